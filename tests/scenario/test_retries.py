"""Retries: what is repeated, what never is, and what a 503 means (mesh.md 5, http.md 13)."""
import socket

import h2.errors
import pytest

from harness import client
from harness.h2peer import H2Origin, echo
from harness.origins import OK, answer_with, read_head, reset
from harness.ports import free_port
from harness.sidecar import metric_sum
from harness.waits import wait_for


def h2_origin(mesh, **more):
    origin = H2Origin(free_port(), **more)
    mesh.origins.append(origin)
    return origin


def reset_after_head(sock, _, origin):
    origin.note(read_head(sock))
    reset(sock)


def close_after_head(sock, _, origin):
    origin.note(read_head(sock))
    sock.shutdown(socket.SHUT_RDWR)


def half_a_head(sock, _, origin):
    origin.note(read_head(sock))
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    reset(sock)


@pytest.mark.quick
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connect_is_free_for_every_method(mesh, method):
    app = mesh.app()
    sidecar = mesh.bare(free_port(), free_port(), app.port)
    for i in range(30):
        answer = client.request(sidecar.outbound, "/%d" % i, method, "orders", b"x")
        assert answer.status == 200
    assert len(app.seen) == 30


def test_every_instance_refuses(mesh):
    sidecar = mesh.bare(free_port(), free_port())
    answer = client.request(sidecar.outbound, "/", "POST", "orders", b"x")
    assert answer.status == 503 and answer.outcome == "not-processed"
    assert answer.reason in ("connect_refused", "all_unreachable", "queue_timeout")
    assert answer.field("retry-after") == "1"


@pytest.mark.parametrize("script", [reset_after_head, close_after_head, half_a_head])
def test_lost_after_the_request_was_sent(mesh, script):
    """GET goes to another instance; POST is never executed twice: 502, unknown."""
    bad = mesh.raw_origin(script)
    app = mesh.app()
    sidecar = mesh.bare(bad.port, app.port)
    for i in range(40):
        assert client.request(sidecar.outbound, "/get/%d" % i, host="orders").status == 200
    assert bad.accepted > 0, "the bad instance was tried"
    before = len(app.seen)
    taken = bad.accepted
    failed = 0
    for i in range(40):
        answer = client.request(sidecar.outbound, "/post/%d" % i, "POST", "orders", b"x")
        if answer.status != 200:
            failed += 1
            assert (answer.status, answer.outcome) == (502, "unknown")
            assert answer.reason in ("upstream_reset", "upstream_closed")
    posts_at_bad = sum(1 for head in bad.received if head.startswith(b"POST"))
    assert posts_at_bad == failed and bad.accepted - taken >= failed
    assert len(app.seen) - before == 40 - failed, "each went to exactly one of them"


def test_put_and_delete_are_repeated(mesh):
    bad = mesh.raw_origin(reset_after_head)
    app = mesh.app()
    sidecar = mesh.bare(bad.port, app.port)
    for method in ("PUT", "DELETE", "HEAD", "OPTIONS"):
        for i in range(10):
            assert client.request(sidecar.outbound, "/%d" % i, method, "orders", b"x").status == 200


def test_attempt_numbers(mesh):
    bad = mesh.raw_origin(reset_after_head)
    app = mesh.app()
    sidecar = mesh.bare(bad.port, app.port, protocol="http1")
    for i in range(20):
        assert client.request(sidecar.outbound, "/%d" % i, host="orders").status == 200
    attempts = {line["pillion.attempts"] for line in wait_for(
        lambda: sidecar.access_lines() if len(sidecar.access_lines()) == 20 else None, "all lines are written")}
    assert attempts == {1, 2}
    wait_for(lambda: metric_sum(sidecar.metrics(), "pillion_attempts_total", service="orders") >= 20, "all are counted")


def test_with_one_instance_a_get_is_not_repeated_there(mesh):
    """MS-01: never the same instance twice."""
    bad = mesh.raw_origin(reset_after_head)
    sidecar = mesh.bare(bad.port)
    answer = client.request(sidecar.outbound, "/", host="orders")
    assert (answer.status, answer.outcome) == (502, "unknown")
    assert len(bad.received) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_refused_stream_is_repeated_for_every_method(mesh, method):
    refusing = h2_origin(mesh, begin=lambda session, stream: session.reset(
        stream.number, h2.errors.ErrorCodes.REFUSED_STREAM) or True)
    good = h2_origin(mesh)
    sidecar = mesh.bare(refusing.port, good.port, protocol="h2c")
    for i in range(20):
        answer = client.request(sidecar.outbound, "/%d" % i, method, "orders", b"body")
        assert answer.status == 200 and answer.body == b"%s /%d 4" % (method.encode(), i)
    assert refusing.streams, "the refusing one was asked"
    assert len(good.streams) == 20


def test_refused_everywhere_means_not_processed(mesh):
    refusing = h2_origin(mesh, begin=lambda session, stream: session.reset(
        stream.number, h2.errors.ErrorCodes.REFUSED_STREAM) or True)
    sidecar = mesh.bare(refusing.port, protocol="h2c")
    answer = client.request(sidecar.outbound, "/", "POST", "orders", b"x")
    assert (answer.status, answer.reason, answer.outcome) == (503, "refused_stream", "not-processed")


def test_goaway_below_our_stream(mesh):
    """W-14: an id above GOAWAY's last id was not processed, whatever the method."""
    def leave(session, stream):
        if session.number == 1 and not session.goaway:
            with session.lock:
                session.goaway = True
                session.connection.close_connection(last_stream_id=0)
                session.flush()
            return True
        return False
    origin = h2_origin(mesh, begin=leave)
    other = h2_origin(mesh, begin=leave)
    sidecar = mesh.bare(origin.port, other.port, protocol="h2c")
    for i in range(10):
        answer = client.request(sidecar.outbound, "/%d" % i, "POST", "orders", b"x")
        assert answer.status == 200 or (answer.status, answer.outcome) == (503, "not-processed")
    assert answer.status == 200


def test_reset_of_an_accepted_stream_is_not_repeated_for_posts(mesh):
    def break_it(session, stream):
        session.reset(stream.number, h2.errors.ErrorCodes.INTERNAL_ERROR)
    bad = h2_origin(mesh, respond=break_it)
    good = h2_origin(mesh, respond=echo)
    sidecar = mesh.bare(bad.port, good.port, protocol="h2c")
    failed = 0
    for i in range(30):
        answer = client.request(sidecar.outbound, "/%d" % i, "POST", "orders", b"x")
        if answer.status != 200:
            failed += 1
            assert (answer.status, answer.outcome) == (502, "unknown")
    assert len(bad.streams) == failed and len(good.streams) == 30 - failed
    for i in range(30):
        assert client.request(sidecar.outbound, "/%d" % i, host="orders").status == 200


def test_stale_keep_alive(mesh):
    """An instance that closes connections after each answer without saying so."""
    def one_each(sock, _, origin):
        head = read_head(sock)
        origin.note(head)
        sock.sendall(OK)
        sock.shutdown(socket.SHUT_RDWR)
    origin = mesh.raw_origin(one_each)
    sidecar = mesh.bare(origin.port)
    for i in range(60):
        answer = client.request(sidecar.outbound, "/%d" % i, "GET", "orders")
        assert answer.status == 200
    posts = 0
    for i in range(60):
        answer = client.request(sidecar.outbound, "/%d" % i, "POST", "orders", b"x")
        assert answer.status == 200 or (answer.status, answer.outcome) in (
            (502, "unknown"), (503, "not-processed"))
        posts += answer.status == 200
    executed = sum(1 for head in origin.received if head.startswith(b"POST"))
    assert posts <= executed <= 60, "never one of them twice"


def test_body_beyond_the_replay_buffer_is_sent_once(mesh):
    """MT-06: 64 KiB can be repeated, one byte more cannot."""
    def swallow_then_reset(sock, _, origin):
        got = b""
        while len(got) < 60000:
            piece = sock.recv(65536)
            if not piece:
                return
            got += piece
        origin.note(got[:20])
        reset(sock)
    bad = mesh.raw_origin(swallow_then_reset)
    app = mesh.app()
    sidecar = mesh.bare(bad.port, app.port)
    for i in range(12):
        answer = client.request(sidecar.outbound, "/%d" % i, "PUT", "orders", b"r" * 65536)
        assert answer.status == 200 and answer.json()["length"] == 65536
    statuses = {client.request(sidecar.outbound, "/big", "PUT", "orders", b"r" * 400000).status for _ in range(12)}
    assert statuses <= {200, 502} and bad.received


def test_503_of_an_application(mesh):
    """FS: GET is repeated elsewhere, POST is not; the last real answer is what the caller gets."""
    sick = mesh.app(name="sick", fail_with=503)
    well = mesh.app(name="well")
    sidecar = mesh.bare(sick.port, well.port)
    for i in range(20):
        assert client.request(sidecar.outbound, "/%d" % i, host="orders").status == 200
    asked = len(sick.seen) + len(well.seen)
    statuses = [client.request(sidecar.outbound, "/%d" % i, "POST", "orders", b"x") for i in range(20)]
    assert len(sick.seen) + len(well.seen) == asked + 20, "no POST was sent twice"
    for answer in statuses:
        assert answer.status == 200 or (answer.status == 503 and answer.reason is None and b"failed" in answer.body)
    well.fail_with = 503
    answer = client.request(sidecar.outbound, "/", host="orders")
    assert answer.status == 503 and answer.json() == {"failed": True}


def test_retry_settings(mesh):
    sick = mesh.app(name="sick", fail_with=503)
    sicker = mesh.app(name="sicker", fail_with=503)
    sidecar = mesh.sidecar("caller", config={"services": {
        "never": {"retry": "never", "instances": [{"address": "127.0.0.1:%d" % sick.port},
                                                  {"address": "127.0.0.1:%d" % sicker.port}]},
        "opted": {"retry": {"idempotent": True, "max": 2}, "instances": [
            {"address": "127.0.0.1:%d" % sick.port}, {"address": "127.0.0.1:%d" % sicker.port}]}}})
    client.request(sidecar.outbound, "/", host="never")
    assert len(sick.seen) + len(sicker.seen) == 1
    client.request(sidecar.outbound, "/", "POST", "opted", b"x")
    assert len(sick.seen) + len(sicker.seen) == 3, "its author says that repeating is harmless"


def test_budget_bounds_the_load_on_a_sick_service(mesh):
    """MT-20, MX-14: all instances say 503; what they get is at most 1.2 times the calls, and 20 more."""
    sick = [mesh.app(name="sick-%d" % i, fail_with=503) for i in range(3)]
    sidecar = mesh.bare(*[one.port for one in sick])
    offered = 300
    for i in range(offered):
        assert client.request(sidecar.outbound, "/%d" % i, host="orders").status == 503
    got = sum(len(one.seen) for one in sick)
    workers = 2  # each has a bucket of its own
    assert offered < got <= offered * 1.2 + 20 * workers + 10, got


def test_callee_application_gone(mesh):
    """The callee's sidecar says that the application did not get it: another instance may."""
    gone = free_port()
    app = mesh.app()
    dead = mesh.sidecar("orders", app=gone, ready=False, config={"service": {"app": {"check": "none"}}})
    live = mesh.sidecar("orders", app=app.port)
    caller = mesh.sidecar("caller", config={"services": {"orders": {"instances": [
        {"address": "127.0.0.1:%d" % one.inbound, "protocol": "sidecar"} for one in (dead, live)]}}})
    for i in range(30):
        answer = client.request(caller.outbound, "/%d" % i, "POST", "orders", b"x")
        assert answer.status == 200, answer
    direct = client.request(dead.inbound, "/", "POST", "orders", b"x")
    assert direct.status == 503 and direct.outcome == "not-processed"
    assert direct.reason in ("app_unreachable", "app_not_ready")


def test_early_answer_is_an_answer(mesh):
    """MT-11: 413 before the body was sent."""
    origin = mesh.raw_origin(answer_with(
        b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n"))
    sidecar = mesh.bare(origin.port)
    with client.dial(sidecar.outbound) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100000000\r\n\r\nstart")
        answer = client.read_answer(sock, "POST")
    assert answer.status == 413 and answer.body == b"no\n"
