"""HTTP/1.1 through a sidecar: by name to an application, and in to the own one (http.md 1, 3, 8)."""
import http.client
import socket
import subprocess

import pytest

from harness import client
from harness.origins import OK, answer_with, read_head
from harness.waits import wait_for


@pytest.fixture(scope="module")
def setting(shared):
    class Setting:
        app = shared.app(name="orders")
        web = shared.app(name="web")
        sidecar = shared.sidecar("web", app=web.port, config={
            "services": {"orders": {"instances": [{"address": "127.0.0.1:%d" % app.port}]}}})
    return Setting


@pytest.mark.quick
@pytest.mark.threads
def test_call_by_name(setting):
    answer = client.request(setting.sidecar.outbound, "/orders/7?full=1", host="orders")
    told = answer.json()
    assert answer.status == 200
    assert (told["app"], told["method"], told["path"]) == ("orders", "GET", "/orders/7?full=1")
    assert answer.reason is None, "an application's answer carries no word of pillion"


@pytest.mark.quick
def test_inbound_reaches_the_own_application(setting):
    answer = client.request(setting.sidecar.inbound, "/mine", host="web")
    assert answer.json()["app"] == "web"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "M-SEARCH"])
def test_methods(setting, method):
    body = b"some text" if method in ("POST", "PUT", "PATCH") else None
    answer = client.request(setting.sidecar.outbound, "/m", method, "orders", body)
    assert answer.status == 200
    if method == "HEAD":
        assert answer.body == b"" and int(answer.field("content-length")) > 0
    else:
        assert answer.json()["method"] == method
        assert answer.json()["length"] == len(body or b"")


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3000000])
def test_bodies_with_length(setting, size):
    body = bytes(i % 251 for i in range(min(size, 4096))) * (size // 4096 + 1)
    answer = client.request(setting.sidecar.outbound, "/up", "POST", "orders", body[:size])
    assert answer.json()["length"] == size
    assert len(client.request(setting.sidecar.outbound, "/bytes/%d" % size, host="orders").body) == size


def test_chunked_both_ways(setting):
    with client.dial(setting.sidecar.outbound) as sock:
        sock.sendall(b"POST /up HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"first", b"second", b"x" * 70000):
            sock.sendall(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\nX-Trailer: 1\r\n\r\n")
        assert client.read_answer(sock).json()["length"] == 70011
    answer = client.request(setting.sidecar.outbound, "/chunks/200", host="orders")
    assert answer.body == b"".join(b"chunk %d\n" % i for i in range(200))


def test_a_connection_is_kept_and_pipelined(setting):
    with client.dial(setting.sidecar.outbound) as sock:
        sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: orders\r\n\r\n" % i for i in range(20)))
        file = sock.makefile("rb")
        for i in range(20):
            assert b"200" in file.readline()
            length = 0
            while True:
                line = file.readline().strip()
                if not line:
                    break
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert b'"path": "/%d"' % i in file.read(length)


def test_hop_by_hop_fields_end_here(setting):
    answer = client.request(setting.sidecar.outbound, "/", host="orders", fields=[
        ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"), ("TE", "gzip"),
        ("Proxy-Connection", "keep-alive"), ("X-Stays", "yes"), ("X-Stays", "and again")])
    fields = answer.json()["fields"]
    names = [name for name, _ in fields]
    assert "x-hop" not in names and "keep-alive" not in names and "proxy-connection" not in names
    assert ["x-stays", "yes"] in fields and ["x-stays", "and again"] in fields or \
        ["x-stays", "yes, and again"] in fields
    assert "via" in names


def test_own_fields_of_strangers_are_removed(setting):
    answer = client.request(setting.sidecar.inbound, "/", host="web", fields=[
        ("X-Pillion-Token", "1"), ("x-pillion-hops", "3"), ("X-PILLION-REASON", "no_instance"),
        ("x-pillion-unheard-of", "1"), ("x-pillion-deadline", "5000")])
    names = [name for name, _ in answer.json()["fields"] if name.startswith("x-pillion-")]
    assert set(names) <= {"x-pillion-deadline", "x-pillion-attempt"}


def test_expect_continue(setting):
    with client.dial(setting.sidecar.outbound) as sock:
        sock.sendall(b"POST /up HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        file = sock.makefile("rb")
        first = file.readline()
        if b" 100" in first:
            assert file.readline() == b"\r\n"
        sock.sendall(b"hello")
        final = first if b" 100" not in first else file.readline()
        assert b" 200 " in final


def test_http10_client_and_http10_origin(shared, setting):
    got = client.raw(setting.sidecar.outbound, b"GET /old HTTP/1.0\r\nHost: orders\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0] and b'"path": "/old"' in body
    assert b"transfer-encoding" not in head.lower()

    def old_server(sock, _, origin):
        origin.note(read_head(sock))
        sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>from long ago")
    origin = shared.raw_origin(old_server)
    sidecar = shared.bare(origin.port, service="legacy")
    for _ in range(3):
        assert client.request(sidecar.outbound, "/", host="legacy").body == b"<p>from long ago"


def test_interim_responses_pass(shared):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    origin = shared.raw_origin(answer_with(hints + OK))
    sidecar = shared.bare(origin.port, service="hints")
    with client.dial(sidecar.outbound) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: hints\r\nConnection: close\r\n\r\n")
        got = client.read_to_end(sock)
    assert got.startswith(b"HTTP/1.1 103 ") and b"HTTP/1.1 200 " in got and got.endswith(b"ok")


def test_two_answers_to_one_request_are_not_believed(shared):
    origin = shared.raw_origin(answer_with(OK + OK))
    sidecar = shared.bare(origin.port, service="double")
    for _ in range(4):
        assert client.request(sidecar.outbound, "/", host="double").body == b"ok"
    wait_for(lambda: origin.accepted >= 4, "each answer came from a connection of its own")


def test_client_leaves_in_the_middle(setting):
    for _ in range(20):
        sock = client.dial(setting.sidecar.outbound)
        sock.sendall(b"GET /bytes/4000000 HTTP/1.1\r\nHost: orders\r\n\r\n")
        sock.recv(1000)
        sock.close()
    answer = client.request(setting.sidecar.outbound, "/after", host="orders")
    assert answer.status == 200
    wait_for(lambda: setting.sidecar.status()["traffic"]["in_flight"] == 0, "nothing is left under way")


def test_upgrade_is_served_as_a_plain_request(setting):
    answer = client.request(setting.sidecar.outbound, "/ws", host="orders", fields=[
        ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
    assert answer.status == 200
    assert "upgrade" not in [name for name, _ in answer.json()["fields"]]


def test_connect_is_refused(setting):
    answer = client.raw(setting.sidecar.outbound, b"CONNECT orders.pillion:80 HTTP/1.1\r\nHost: orders.pillion:80\r\n\r\n",
                        half_close=True)
    assert answer.startswith(b"HTTP/1.1 405 ")


def test_half_closed_client_gets_all_or_nothing(setting):
    """C-12: a client that closed its sending side may count as gone; half an answer is never sent."""
    got = client.raw(setting.sidecar.outbound, b"GET /half HTTP/1.1\r\nHost: orders\r\n\r\n", half_close=True)
    assert got == b"" or (b"200 OK" in got and b'"path": "/half"' in got)
    wait_for(lambda: any(line.get("url.path") == "/half" for line in setting.sidecar.access_lines()),
             "the exchange is in the access log")


def test_every_exchange_is_one_line_of_the_access_log(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    connection = http.client.HTTPConnection("127.0.0.1", sidecar.outbound, timeout=30)
    for i in range(50):
        assert client.request_on(connection, "/line/%d" % i, host="orders").status == 200
    connection.close()
    assert client.request(sidecar.outbound, "/", host="nobody").status == 503
    sidecar.stop()
    lines = sidecar.access_lines()
    assert sorted(line["url.path"] for line in lines if line["http.response.status_code"] == 200) == \
        sorted("/line/%d" % i for i in range(50))
    refused = [line for line in lines if line["http.response.status_code"] == 503]
    assert len(refused) == 1 and refused[0]["pillion.reason"] in ("service_unknown", "no_instance")
    assert refused[0]["pillion.outcome"] == "not-processed"


def test_a_trace_id_goes_through(setting):
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    fields = dict(client.request(setting.sidecar.outbound, "/", host="orders",
                                 fields=[("traceparent", parent)]).json()["fields"])
    assert fields["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    fields = dict(client.request(setting.sidecar.outbound, "/", host="orders",
                                 fields=[("traceparent", "ff-garbage")]).json()["fields"])
    assert len(fields["traceparent"]) == 55 and not fields["traceparent"].startswith("ff")


def test_curl(setting):
    done = subprocess.run(["curl", "-sS", "-H", "host: orders", "--data-binary", "@-", "-w", " %{http_code}",
                           "http://127.0.0.1:%d/from/curl" % setting.sidecar.outbound],
                          input=b"y" * 200000, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b'"length": 200000' in done.stdout and done.stdout.endswith(b" 200")


def test_ipv6_is_no_surprise(mesh):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    app = mesh.app()
    sidecar = mesh.bare(app.port, start=False)
    sidecar.write_config({"listeners": {"six": {"kind": "outbound", "listen": "[::1]:%d" % sidecar.outbound}}})
    try:
        socket.socket(socket.AF_INET6).bind(("::1", 0))
    except OSError:
        pytest.skip("no address ::1 here")
    sidecar.start()
    with socket.create_connection(("::1", sidecar.outbound), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in client.read_to_end(sock)
