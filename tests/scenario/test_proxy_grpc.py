"""gRPC through the sidecar of the caller, that of the callee, to the application (http.md 9)."""
import threading

import grpc
import pytest

from harness import client
from harness.grpcapp import GrpcApp
from harness.h2peer import H2Client
from harness.ports import free_port
from harness.waits import wait_for

HELLO = "/greeter.Say/Hello"


@pytest.fixture(scope="module")
def setting(shared):
    class Setting:
        app = GrpcApp(free_port())
        shared.origins.append(app)
        front, behind = shared.pair(app.port, service="greeter")
        channel = grpc.insecure_channel("127.0.0.1:%d" % front.outbound,
                                        options=[("grpc.default_authority", "greeter")])
        say = app.say
    yield Setting
    Setting.channel.close()


def unary(channel, method="Hello"):
    return channel.unary_unary("/greeter.Say/" + method)


@pytest.mark.quick
@pytest.mark.threads
def test_unary_form_c(setting):
    assert unary(setting.channel)(b"you", timeout=30) == b"hello you"


def test_unary_form_d(setting):
    """The authority is the sidecar's address; the service is the package of the path."""
    with grpc.insecure_channel("127.0.0.1:%d" % setting.front.outbound) as channel:
        assert unary(channel)(b"d", timeout=30) == b"hello d"


def test_metadata_both_ways(setting):
    answer, call = unary(setting.channel).with_call(b"", timeout=30, metadata=(
        ("x-asked", "yes"), ("x-asked", "twice"), ("x-asked-bin", b"\x00\x01\xfe\xff"), ("x-pillion-hops", "9")))
    assert answer == b"hello "
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert initial["x-initial"] == "1" and initial["x-initial-bin"] == b"\x00\xff\x10"
    assert trailing["x-trailing"] == "t" and trailing["x-trailing-bin"] == b"\x01\x02\xfe"
    seen = setting.say.seen[-1][1]
    assert ("x-asked-bin", b"\x00\x01\xfe\xff") in seen
    assert [value for name, value in seen if name == "x-asked"] in (["yes", "twice"], ["yes, twice"], ["yes,twice"])
    assert not any(name == "x-pillion-hops" for name, _ in seen)


def test_error_with_details(setting):
    details = bytes(range(256)) * 28
    with pytest.raises(grpc.RpcError) as raised:
        unary(setting.channel, "Fail")(details, timeout=30)
    error = raised.value
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "no, not at all: 100 % \u00e9\n"
    trailing = dict(error.trailing_metadata())
    assert trailing["grpc-status-details-bin"] == details and trailing["x-why"] == "because"


def test_server_stream(setting):
    call = setting.channel.unary_stream("/greeter.Say/Expand")(b"500", timeout=60)
    assert list(call) == [b"%d" % i for i in range(500)]


def test_client_stream(setting):
    pieces = [b"x" * i for i in range(200)]
    assert setting.channel.stream_unary("/greeter.Say/Collect")(iter(pieces), timeout=60) == b",".join(pieces)
    assert setting.channel.stream_unary("/greeter.Say/Collect")(iter([]), timeout=60) == b""


def test_bidirectional_is_not_held_back(setting):
    """Each answer is needed to ask the next question."""
    questions = ["a", "bb", "ccc", "d" * 50000]
    ready = threading.Semaphore(1)

    def ask():
        for question in questions:
            assert ready.acquire(timeout=30)
            yield question.encode()
    answers = []
    for answer in setting.channel.stream_stream("/greeter.Say/Chat")(ask(), timeout=60):
        answers.append(answer.decode())
        ready.release()
    assert answers == [question.upper() for question in questions]


def test_server_that_ends_first(setting):
    gate = threading.Event()

    def ask():
        yield b"one"
        gate.wait(20)
    call = setting.channel.stream_stream("/greeter.Say/Early")(ask(), timeout=30)
    assert list(call) == [b"one"]
    assert call.code() == grpc.StatusCode.OK
    gate.set()


def test_large_messages(setting):
    message = b"m" * 3000000
    assert unary(setting.channel)(message, timeout=60) == b"hello " + message


def test_cancel_reaches_the_application(setting):
    before = len(setting.say.cancelled)
    call = unary(setting.channel, "Slow").future(b"cancel me", timeout=60)
    wait_for(lambda: setting.say.seen[-1][0] == "Slow", "the application has it")
    call.cancel()
    wait_for(lambda: len(setting.say.cancelled) > before, "the application was told")


def test_deadline_goes_along_and_ends_the_call(setting):
    with pytest.raises(grpc.RpcError) as raised:
        unary(setting.channel, "Slow")(b"too long", timeout=4)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    method, _, remaining = setting.say.seen[-1]
    assert method == "Slow" and 0 < remaining < 5


def test_deadline_of_a_raw_client(setting):
    """G-08: the sidecar itself answers status 4 when the time is up."""
    session = H2Client(setting.front.outbound)
    stream = session.get("/greeter.Say/Slow", "greeter", "POST", [
        ("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "300m")], b"\0\0\0\0\1x")
    session.wait(stream)
    fields = dict(stream.fields + (stream.trailers or []))
    assert fields[":status"] == "200" and fields["grpc-status"] == "4"
    session.close()


@pytest.mark.parametrize("value", ["123456789m", "S", "-1S", "1s", "1x"])
def test_unreadable_deadline(setting, value):
    session = H2Client(setting.front.outbound)
    stream = session.wait(session.get(HELLO, "greeter", "POST", [
        ("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", value)], b"\0\0\0\0\0"))
    assert stream.field(":status") == "200" and stream.field("grpc-status") == "3"
    assert stream.field("x-pillion-reason").startswith("bad_deadline")
    session.close()


@pytest.mark.quick
def test_unknown_service_is_status_14(setting):
    with grpc.insecure_channel("127.0.0.1:%d" % setting.front.outbound,
                               options=[("grpc.enable_retries", 0)]) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary("/nobody.Here/Ask")(b"", timeout=30)
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert raised.value.details().startswith("service_unknown")
    assert dict(raised.value.trailing_metadata())["x-pillion-outcome"] == "not-processed"


def test_grpc_to_an_http1_application(setting, mesh):
    """G-02: refused, and the application sees nothing of it."""
    app = mesh.app()
    front, _ = mesh.pair(app.port, service="greeter", protocol="http1")
    with grpc.insecure_channel("127.0.0.1:%d" % front.outbound) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            unary(channel)(b"", timeout=30)
    assert raised.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE)
    assert not any(path == HELLO for _, path, _, _ in app.seen)


def test_application_killed_in_a_call(mesh):
    app = GrpcApp(free_port())
    front, behind = mesh.pair(app.port, service="greeter")
    with grpc.insecure_channel("127.0.0.1:%d" % front.outbound, options=[("grpc.enable_retries", 0)]) as channel:
        call = unary(channel, "Slow").future(b"x", timeout=60)
        wait_for(lambda: app.say.seen and app.say.seen[-1][0] == "Slow", "the application has it")
        behind.kill()
        with pytest.raises(grpc.RpcError) as raised:
            call.result()
        assert raised.value.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
        assert raised.value.code() != grpc.StatusCode.UNAVAILABLE, "RE-01: 14 would promise that it was not processed"
    app.stop()


def test_many_calls_at_once(setting):
    calls = [unary(setting.channel).future(b"%d" % i, timeout=60) for i in range(400)]
    assert [call.result() for call in calls] == [b"hello %d" % i for i in range(400)]
    wait_for(lambda: setting.front.status()["traffic"]["in_flight"] == 0, "nothing is left under way")


def test_health_of_a_grpc_application(mesh):
    """MH-05: what the application speaks is found out by asking it."""
    app = GrpcApp(free_port())
    mesh.origins.append(app)
    sidecar = mesh.sidecar("greeter", app=app.port)
    status = wait_for(lambda: sidecar.status() if sidecar.status()["app"]["protocol"] != "unknown" else None,
                      "the application was asked what it speaks")
    assert status["app"]["healthy"] is True
    assert client.request(sidecar.admin, "/readyz").status == 200
