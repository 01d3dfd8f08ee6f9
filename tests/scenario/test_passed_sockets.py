"""Socket activation (operations.md PR-04): listening sockets that the program which starts the sidecar opened before."""
import os
import socket
import subprocess

import pytest

from harness import client
from harness.ports import free_port
from harness.sidecar import environment
from harness.waits import wait_for


def listening(port, host="127.0.0.1", listen=True, kind=socket.SOCK_STREAM):
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    if listen and kind == socket.SOCK_STREAM:
        sock.listen(64)
    return sock


def launch(sidecar, sockets, names, pid=None, count=None):
    """As systemd does it: descriptors from 3 on, LISTEN_PID the process that is executed."""
    script = """import fcntl, os, sys
wanted = [int(word) for word in sys.argv[1].split(",") if word]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in wanted]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.environ["LISTEN_PID"] = sys.argv[2] or str(os.getpid())
os.environ["LISTEN_FDS"] = sys.argv[3]
os.environ["LISTEN_FDNAMES"] = sys.argv[4]
os.execv(sys.argv[5], sys.argv[5:])
"""
    fds = [sock.fileno() for sock in sockets]
    with open(sidecar.out, "ab") as out, open(sidecar.err, "ab") as err:
        sidecar.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", script, ",".join(map(str, fds)), str(pid or ""), str(len(fds) if count is None else count),
             ":".join(names)] + sidecar.words(), pass_fds=fds, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
            env=environment(), start_new_session=True)


@pytest.mark.quick
@pytest.mark.threads
def test_connections_that_came_before(mesh):
    """What waits in the queue before the start is served; a proxy that dies loses no connection either."""
    app = mesh.app()
    sidecar = mesh.sidecar("web", app=app.port, start=False)
    sockets = [listening(sidecar.inbound), listening(sidecar.outbound)]
    early = client.dial(sidecar.inbound)
    early.sendall(b"GET /early HTTP/1.1\r\nHost: web\r\n\r\n")
    launch(sidecar, sockets, ["inbound", "outbound"])
    for sock in sockets:
        sock.close()
    sidecar.wait_ready()
    answer = client.read_answer(early, "GET")
    early.close()
    assert answer.status in (200, 503), "served, though the application may not have been looked at yet"
    for _ in range(40):
        assert client.request(sidecar.inbound, "/", host="web").status == 200
    before = sidecar.proxy_pid()
    os.kill(before, 9)
    waiting = client.dial(sidecar.inbound)
    waiting.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
    assert client.read_answer(waiting, "GET").status in (200, 503)
    waiting.close()
    wait_for(lambda: sidecar.proxy_pid() not in (None, before), "a new proxy process")
    sidecar.wait_ready()
    assert client.request(sidecar.inbound, "/", host="web").status == 200
    assert sidecar.stop() == 0


def test_some_are_passed_others_are_bound(mesh):
    app = mesh.app()
    sidecar = mesh.sidecar("web", app=app.port, start=False)
    sockets = [listening(sidecar.outbound)]
    launch(sidecar, sockets, ["outbound"])
    sockets[0].close()
    sidecar.wait_ready()
    assert client.request(sidecar.inbound, "/", host="web").status == 200
    sidecar.write_config({"service": {"weight": 7}})
    assert sidecar.cli("reload").returncode == 0
    assert client.request(sidecar.outbound, "/", host="nobody").status == 503
    assert sidecar.stop() == 0


@pytest.mark.parametrize("make, names, says", [
    (lambda port: listening(port), ["inbond"], "no listener has this name"),
    (lambda port: listening(port), [""], "without a name"),
    (lambda port: listening(port, "127.0.0.2"), ["inbound"], "bound to 127.0.0.2"),
    (lambda port: listening(free_port()), ["inbound"], "the listener to 127.0.0.1"),
    (lambda port: listening(port, listen=False), ["inbound"], "no listening stream socket"),
    (lambda port: listening(port, kind=socket.SOCK_DGRAM), ["inbound"], "no listening stream socket")])
def test_what_does_not_fit(mesh, make, names, says):
    sidecar = mesh.sidecar("web", start=False)
    sock = make(sidecar.inbound)
    launch(sidecar, [sock], names)
    assert sidecar.wait_exit() == 78
    assert "PIL2003" in sidecar.stderr() and says in sidecar.stderr(), sidecar.stderr()
    sock.close()


@pytest.mark.parametrize("count", ["3", "33", "x"])
def test_variables_that_contradict_themselves(mesh, count):
    sidecar = mesh.sidecar("web", start=False)
    launch(sidecar, [], ["inbound"], count=count)
    assert sidecar.wait_exit() == 78
    assert "PIL2003" in sidecar.stderr() and "LISTEN_FDS is " + count in sidecar.stderr()


def test_meant_for_another_process(mesh):
    sidecar = mesh.sidecar("web", start=False)
    launch(sidecar, [], ["x"], pid=1, count=3)
    sidecar.wait_started()
    assert sidecar.stop() == 0
