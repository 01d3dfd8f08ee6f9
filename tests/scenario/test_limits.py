"""Peers that stall, flood or hoard meet a limit that has a name (http.md 11, 12, 17; mesh.md 7)."""
import ctypes
import os
import socket
import subprocess
import threading

import pytest

from harness import client
from harness.origins import OK, answer_with, read_head
from harness.sidecar import metric_sum
from harness.waits import resident_kib, wait_for

MIB = 1024


def test_slow_head_gets_408(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port, limits={"head_timeout": "2s"})
    with client.dial(sidecar.outbound) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: ord")
        got = client.read_to_end(sock)
    assert got.startswith(b"HTTP/1.1 408 ") and b"head_timeout" in got
    with client.dial(sidecar.outbound) as sock:
        assert client.read_to_end(sock) == b"", "a connection that says nothing is closed in silence"
    assert app.seen == []


def test_stalled_body_gets_408_or_a_cut(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port, limits={"body_gap": "1s"})
    with client.dial(sidecar.outbound) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100\r\n\r\nhalf")
        got = client.read_to_end(sock)
    assert got.startswith(b"HTTP/1.1 408 ") and b"body_timeout" in got
    wait_for(lambda: [line for line in sidecar.access_lines() if line["pillion.reason"] == "body_timeout"], "logged")


def test_silent_application_gets_504(mesh):
    origin = mesh.raw_origin(lambda sock, number, one: (one.note(read_head(sock)), one.gate.wait(60)))
    sidecar = mesh.bare(origin.port, services={"orders": {"response_timeout": "1s", "instances": [
        {"address": "127.0.0.1:%d" % origin.port}]}})
    answer = client.request(sidecar.outbound, "/", "POST", "orders", b"x")
    assert (answer.status, answer.reason, answer.outcome) == (504, "response_timeout", "unknown")
    assert len(origin.received) == 1


def test_deadline_of_the_whole_exchange(mesh):
    origin = mesh.raw_origin(lambda sock, number, one: (one.note(read_head(sock)), one.gate.wait(60)))
    sidecar = mesh.bare(origin.port, services={"orders": {"timeout": "1s", "instances": [
        {"address": "127.0.0.1:%d" % origin.port}]}})
    answer = client.request(sidecar.outbound, "/", host="orders")
    assert (answer.status, answer.reason, answer.outcome) == (504, "deadline_exceeded", "unknown")
    answer = client.request(sidecar.outbound, "/", host="orders", fields=[("x-pillion-deadline", "200")])
    assert (answer.status, answer.reason) == (504, "deadline_exceeded")


def test_idle_connections_are_closed(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port, limits={"idle_timeout": "1s"})
    with client.dial(sidecar.outbound) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
        assert client.read_answer(sock).status == 200
        assert client.read_to_end(sock) == b""


def test_body_limit(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port, limits={"body_bytes": "64KiB"})
    answer = client.request(sidecar.outbound, "/", "POST", "orders", b"x" * 65536)
    assert answer.status == 200
    with client.dial(sidecar.outbound) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 65537\r\n\r\n")
        answer = client.read_answer(sock, "POST")
    assert (answer.status, answer.reason) == (413, "body_too_large")


@pytest.mark.quick
def test_concurrency_limit_queues_then_refuses(mesh):
    """mesh.md 7: `active` work, `queued` wait, the rest is told at once that nothing was done."""
    app = mesh.app()
    sidecar = mesh.bare(app.port, process={"workers": 1}, services={"orders": {
        "limits": {"active": 4, "queued": 4}, "queue_timeout": "20s",
        "instances": [{"address": "127.0.0.1:%d" % app.port}]}})
    answers = []

    def one():
        answers.append(client.request(sidecar.outbound, "/slow/60", "POST", "orders", b"x", timeout=90))
    threads = []

    def more(count, under_way):
        for _ in range(count):
            threads.append(threading.Thread(target=one))
            threads[-1].start()
        wait_for(lambda: sidecar.status()["traffic"]["in_flight"] == under_way, "%d are under way" % under_way)
    more(4, 4)
    wait_for(lambda: len(app.seen) == 4, "four are at work")
    more(4, 8)
    assert len(app.seen) == 4, "the others wait in the sidecar"
    more(16, 8)
    wait_for(lambda: len(answers) == 16, "those beyond both limits are refused")
    assert {(answer.status, answer.reason, answer.outcome) for answer in answers} == {
        (503, "queue_full", "not-processed")}
    app.slow_gate.set()
    for thread in threads:
        thread.join()
    assert len(app.seen) == 8 and [answer.status for answer in answers[16:]] == [200] * 8


def test_queue_timeout(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port, process={"workers": 1}, services={"orders": {
        "limits": {"active": 1, "queued": 8}, "queue_timeout": "500ms",
        "instances": [{"address": "127.0.0.1:%d" % app.port}]}})
    holder = threading.Thread(target=client.request, args=(sidecar.outbound, "/slow/60", "GET", "orders"))
    holder.start()
    assert app.slow_started.wait(30)
    answer = client.request(sidecar.outbound, "/", "POST", "orders", b"x")
    assert (answer.status, answer.reason, answer.outcome) == (503, "queue_timeout", "not-processed")
    app.slow_gate.set()
    holder.join()
    assert [path for _, path, _, _ in app.seen] == ["/slow/60"]


def test_inbound_limit_of_the_application(mesh):
    app = mesh.app()
    sidecar = mesh.sidecar("web", app=app.port, config={
        "process": {"workers": 1}, "service": {"app": {"max_active": 2}}})
    holders = [threading.Thread(target=client.request, args=(sidecar.inbound, "/slow/60", "GET", "web")) for _ in range(8)]
    for one in holders:
        one.start()
    wait_for(lambda: len([1 for _, path, _, _ in app.seen if path == "/slow/60"]) >= 2, "two are at work")
    app.slow_gate.set()
    for one in holders:
        one.join()
    assert client.request(sidecar.inbound, "/", host="web").status == 200


def test_stalled_readers_do_not_grow_memory(mesh):
    """B-01, B-02: 40 clients that read nothing of 20 MiB each."""
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    assert client.request(sidecar.outbound, "/bytes/1000000", host="orders").status == 200
    before = resident_kib(sidecar.proxy_pid())
    socks = []
    for _ in range(40):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(60)
        sock.connect(("127.0.0.1", sidecar.outbound))
        sock.sendall(b"GET /bytes/20000000 HTTP/1.1\r\nHost: orders\r\n\r\n")
        socks.append(sock)
    wait_for(lambda: len(app.seen) >= 41, "all are under way")
    assert client.request(sidecar.outbound, "/bytes/100000", host="orders").status == 200
    grown = resident_kib(sidecar.proxy_pid()) - before
    assert grown < 150 * MIB, "%d KiB for 40 stalled readers" % grown
    total = 0
    while True:
        piece = socks[0].recv(1 << 20)
        total += len(piece)
        if total >= 20000000 or not piece:
            break
    assert total >= 20000000, "who begins to read gets all"
    for sock in socks:
        sock.close()
    wait_for(lambda: sidecar.status()["traffic"]["in_flight"] == 0, "nothing is left under way")


def test_stalled_application_does_not_grow_memory(mesh):
    """The other direction: an application that does not read 20 uploads of 20 MiB."""
    def stall(sock, _, origin):
        read_head(sock)
        origin.gate.wait(90)
    origin = mesh.raw_origin(stall)
    sidecar = mesh.bare(origin.port)
    before = resident_kib(sidecar.proxy_pid())
    socks = []
    for _ in range(20):
        sock = client.dial(sidecar.outbound)
        sock.sendall(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 20000000\r\n\r\n")
        sock.settimeout(0.05)
        try:
            while True:
                sock.sendall(b"z" * 65536)
        except (socket.timeout, BlockingIOError):
            pass
        socks.append(sock)
    assert resident_kib(sidecar.proxy_pid()) - before < 100 * MIB
    assert sidecar.status()["live"] is True
    for sock in socks:
        sock.close()
    origin.gate.set()
    wait_for(lambda: sidecar.status()["traffic"]["in_flight"] == 0, "nothing is left under way")


@pytest.mark.threads
def test_many_connections(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    socks = [client.dial(sidecar.outbound) for _ in range(400)]
    for i, sock in enumerate(socks):
        sock.sendall(b"GET /%d HTTP/1.1\r\nHost: orders\r\n\r\n" % i)
    for sock in socks:
        assert client.read_answer(sock).status == 200
        sock.close()
    assert len(app.seen) == 400


def test_slow_client_of_a_small_answer_is_served(mesh):
    origin = mesh.raw_origin(answer_with(OK))
    sidecar = mesh.bare(origin.port)
    with client.dial(sidecar.outbound) as sock:
        for byte in b"GET /slowly HTTP/1.1\r\nHost: orders\r\n\r\n":
            sock.sendall(bytes([byte]))
        assert client.read_answer(sock).body == b"ok"


def test_limits_are_counted(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port, limits={"body_bytes": "64KiB"})
    for _ in range(3):
        with client.dial(sidecar.outbound) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100000\r\n\r\n")
            assert client.read_answer(sock, "POST").status == 413
    wait_for(lambda: metric_sum(sidecar.metrics(), "pillion_exchanges_total", reason="body_too_large") == 3,
             "all are counted")


@pytest.fixture
def strange_address():
    """This thread, and what it starts, in a namespace of its own with an address beside loopback."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a network namespace")
    name = "pillion-limits-%d" % os.getpid()
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode != 0:
        pytest.skip("this machine makes no network namespaces")
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + name, os.O_RDONLY)
    enter = ctypes.CDLL(None, use_errno=True).setns
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "-n", name, "address", "add", "192.0.2.7/32", "dev", "lo"], check=True)
        assert enter(there, 0) == 0
        yield "192.0.2.7"
    finally:
        enter(home, 0)
        os.close(there)
        os.close(home)
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_a_stranger_holds_so_many_connections(strange_address, mesh):
    """http.md SN-08: per address; the own machine and mesh peers are exempt."""
    address = strange_address
    app = mesh.app()
    sidecar = mesh.sidecar("web", app=app.port, start=False, config={
        "process": {"workers": 1}, "limits": {"per_source_max": 3}})
    sidecar.write_config({"listeners": {"inbound": {"listen": "0.0.0.0:%d" % sidecar.inbound}}})
    sidecar.start()

    def call(sock):
        sock.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        return client.read_answer(sock).status
    strangers = [socket.create_connection((address, sidecar.inbound), timeout=30) for _ in range(3)]
    assert [call(sock) for sock in strangers] == [200, 200, 200]
    with socket.create_connection((address, sidecar.inbound), timeout=30) as one_more:
        assert client.read_to_end(one_more) == b"", "closed without a byte"
    for sock in [client.dial(sidecar.inbound) for _ in range(5)]:
        assert call(sock) == 200
        sock.close()
    assert metric_sum(sidecar.metrics(), "pillion_connections_closed_total", reason="source_limit") == 1
    strangers.pop().close()

    def again():
        with socket.create_connection((address, sidecar.inbound), timeout=30) as sock:
            return call(sock) == 200
    wait_for(lambda: metric_sum(sidecar.metrics(), "pillion_connections", listener="inbound") == 2, "it is gone")
    assert again()
    for sock in strangers:
        sock.close()
