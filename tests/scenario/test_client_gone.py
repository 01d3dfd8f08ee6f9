"""A client that leaves in the middle of an upload ends the work that it asked for (http.md X-09, C-12),
and an application that reads nothing does not keep a client that stays (T-08)."""
import select
import threading
import time

import pytest

from harness import client
from harness.origins import read_head, reset
from harness.sidecar import metric_sum
from harness.waits import wait_for

UPLOAD = b"POST /upload HTTP/1.1\r\nHost: orders\r\nContent-Length: 10485760\r\n\r\n"


class Stalling:
    """An origin's script: reads a head and nothing more, and notices when its peer ends."""

    def __init__(self):
        self.begun = threading.Event()
        self.ended = threading.Event()

    def __call__(self, sock, _, origin):
        if not read_head(sock).startswith(b"POST "):
            return  # a look whether this application is there
        self.begun.set()
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP)
        while not origin.gate.is_set():
            if poll.poll(100):
                self.ended.set()
                return


def unread(local, remote):
    """Bytes that wait in the kernel for the process that owns the socket local <- remote."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file.read().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].split(":")[1], 16) == local and int(fields[2].split(":")[1], 16) == remote:
                return int(fields[4].split(":")[1], 16)
    return 0


def fill(sock, port):
    """Sends until the sidecar has stopped reading, but not so much that its kernel takes no more: a
    FIN would have to wait behind that."""
    own = sock.getsockname()[1]
    while True:
        for _ in range(5):
            waiting = unread(port, own)
            if waiting == 0:
                break
            time.sleep(0.02)
        else:
            break
        sock.sendall(b"z" * 32768)
    wait_for(lambda: unread(own, port) == 0, "all was taken by the sidecar's kernel")


def nothing_left(*sidecars):
    for one in sidecars:
        wait_for(lambda: one.status()["traffic"]["in_flight"] == 0, "%s has nothing under way" % one.name)


@pytest.mark.quick
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("legs", [1, 2])
def test_client_leaves_a_stalled_upload(mesh, how, legs):
    stalling = Stalling()
    origin = mesh.raw_origin(stalling)
    if legs == 1:
        front = mesh.bare(origin.port)
        sidecars = [front]
    else:
        sidecars = list(mesh.pair(origin.port, check="none"))
        front = sidecars[0]
    sock = client.dial(front.outbound)
    sock.sendall(UPLOAD)
    assert stalling.begun.wait(30)
    fill(sock, front.outbound)
    assert front.status()["traffic"]["in_flight"] == 1 and not stalling.ended.is_set()
    assert metric_sum(front.metrics(), "pillion_connections", listener="outbound") == 1
    assert metric_sum(sidecars[-1].metrics(), "pillion_pool_connections") == 1
    if how == "reset":
        reset(sock)
    else:
        sock.close()
    assert stalling.ended.wait(30), "the application is told"
    nothing_left(*sidecars)
    lines = wait_for(front.access_lines, "a line in the access log")
    wanted = {"reset": "downstream_reset", "close": "downstream_truncated"}
    assert [line["pillion.reason"] for line in lines] == [wanted[how]]
    for one in sidecars:
        wait_for(lambda: metric_sum(one.metrics(), "pillion_connections", listener="outbound") == 0,
                 "the client's connection is gone")
    wait_for(lambda: metric_sum(sidecars[-1].metrics(), "pillion_pool_connections") == 0, "and the application's")


def test_application_that_reads_nothing(mesh):
    stalling = Stalling()
    origin = mesh.raw_origin(stalling)
    sidecar = mesh.bare(origin.port, services={"orders": {"response_timeout": "1s", "instances": [
        {"address": "127.0.0.1:%d" % origin.port}]}})
    with client.dial(sidecar.outbound) as sock:
        sock.sendall(UPLOAD)
        sock.settimeout(60)
        sender = threading.Thread(target=send_what_goes, args=(sock,))
        sender.start()
        answer = client.read_answer(sock, "POST")
        assert (answer.status, answer.reason, answer.outcome) == (504, "response_timeout", "unknown")
        sender.join()
    assert stalling.ended.wait(30), "the application is told"
    nothing_left(sidecar)


def send_what_goes(sock):
    try:
        sock.sendall(b"z" * 10485760)
    except OSError:
        pass
