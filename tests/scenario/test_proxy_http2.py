"""HTTP/2 in, out and across versions, with curl, nghttp, h2load and python3-h2 (http.md 4, 5)."""
import re
import shutil
import subprocess

import h2.errors
import pytest

from harness import client
from harness.h2peer import H2Client, H2Origin
from harness.ports import free_port
from harness.waits import wait_for


def h2_origin(mesh, **more):
    origin = H2Origin(free_port(), **more)
    mesh.origins.append(origin)
    return origin


@pytest.fixture(scope="module")
def setting(shared):
    class Setting:
        app = shared.app(name="orders")
        modern = h2_origin(shared)
        sidecar = shared.sidecar("web", app=shared.app(name="web").port, config={"services": {
            "orders": {"instances": [{"address": "127.0.0.1:%d" % app.port}]},
            "modern": {"instances": [{"address": "127.0.0.1:%d" % modern.port, "protocol": "h2c"}]}}})
    return Setting


def tool(*words, timeout=300, **more):
    if not shutil.which(words[0]):
        pytest.skip("%s is not installed" % words[0])
    return subprocess.run([str(word) for word in words], capture_output=True, timeout=timeout, **more)


@pytest.mark.quick
def test_curl_h2_to_an_http1_application(setting):
    done = tool("curl", "-sS", "--http2-prior-knowledge", "-H", "host: orders", "-d", "x" * 100000, "-w", " %{http_version}",
                "http://127.0.0.1:%d/c?d=1" % setting.sidecar.outbound)
    assert done.returncode == 0, done.stderr
    assert b'"length": 100000' in done.stdout and b'"path": "/c?d=1"' in done.stdout and done.stdout.endswith(b" 2")


def test_curl_h1_to_an_h2_application(setting):
    answer = client.request(setting.sidecar.outbound, "/m", "PUT", "modern", b"y" * 300000)
    assert answer.body == b"PUT /m 300000"


def test_h2_to_h2(setting):
    session = H2Client(setting.sidecar.outbound)
    streams = [session.get("/%d" % i, "modern", "POST", body=b"z" * 1000 * i) for i in range(20)]
    for i, stream in enumerate(streams):
        assert session.wait(stream).body == b"POST /%d %d" % (i, 1000 * i)
    session.close()


@pytest.mark.parametrize("authority", ["orders", "ORDERS:80", "orders.pillion"])
def test_form_c_the_authority_names_it(setting, authority):
    session = H2Client(setting.sidecar.outbound)
    stream = session.wait(session.get("/", authority))
    assert stream.field(":status") == "200" and b'"app": "orders"' in stream.body
    session.close()


def test_nghttp(setting):
    done = tool("nghttp", "-nv", "-m", "8", "-H", ":authority: orders", "http://127.0.0.1:%d/n" % setting.sidecar.outbound)
    assert done.returncode == 0, done.stdout[-500:]
    assert done.stdout.count(b":status: 200") == 8
    assert b"RST_STREAM" not in done.stdout


@pytest.mark.threads
def test_h2load_multiplexed(setting):
    done = tool("h2load", "-n", "2000", "-c", "8", "-m", "16", "-H", ":authority: orders",
                "http://127.0.0.1:%d/bytes/100" % setting.sidecar.outbound)
    assert done.returncode == 0, done.stderr
    found = re.search(rb"(\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    assert found and found.groups() == (b"2000", b"0", b"0"), done.stdout
    assert b"2000 2xx" in done.stdout


def test_h2load_http1(setting):
    done = tool("h2load", "--h1", "-n", "1000", "-c", "8",
                "--connect-to", "127.0.0.1:%d" % setting.sidecar.outbound, "http://modern/")
    assert b"1000 succeeded, 0 failed" in done.stdout, done.stdout


def test_large_bodies_cross(setting):
    session = H2Client(setting.sidecar.outbound)
    stream = session.wait(session.get("/bytes/5000000", "orders"))
    assert len(stream.body) == 5000000
    session.close()
    done = tool("curl", "-sS", "--http2-prior-knowledge", "-H", "host: modern", "--data-binary", "@-",
                "http://127.0.0.1:%d/up" % setting.sidecar.outbound, input=b"u" * 5000000)
    assert done.stdout == b"POST /up 5000000"


def test_trailers_pass_between_h2_peers(shared):
    def with_trailers(session, stream):
        session.send(stream.number, [(":status", "200"), ("trailer", "x-sum")], b"body", trailers=[
            ("x-sum", "%d" % len(stream.trailers or [])), ("x-pillion-token", "forged")])
    origin = h2_origin(shared, respond=with_trailers)
    sidecar = shared.bare(origin.port, protocol="h2c")
    session = H2Client(sidecar.outbound)
    stream = session.wait(session.get("/"))
    assert stream.body == b"body"
    assert ("x-sum", "0") in stream.trailers
    assert not any(name.startswith("x-pillion-") for name, _ in stream.trailers)
    session.close()
    answer = client.request(sidecar.outbound, "/", host="orders")
    assert answer.status == 200 and answer.body == b"body"


def test_a_refusal_costs_the_stream_only(setting):
    session = H2Client(setting.sidecar.outbound)
    bad = session.get("/", "nobody")
    good = session.get("/good", "orders")
    assert session.wait(bad).field(":status") == "503"
    assert bad.field("x-pillion-reason").startswith("service_unknown")
    assert session.wait(good).field(":status") == "200"
    assert session.goaway is None
    session.close()


@pytest.mark.parametrize("fields", [
    [("X-Upper", "1")], [("connection", "close")], [("te", "gzip")], [("transfer-encoding", "chunked")],
    [("content-length", "5, 5")], [("x", "a\x00b")], [("host", "other")]])
def test_malformed_requests_reset_the_stream_only(setting, fields):
    before = len(setting.app.seen)
    session = H2Client(setting.sidecar.outbound)
    bad = session.get("/malformed", "orders", more=fields)
    session.wait(bad)
    assert bad.reset is not None or bad.field(":status") == "400"
    good = session.wait(session.get("/still", "orders"))
    assert good.field(":status") == "200"
    assert all(path != "/malformed" for _, path, _, _ in setting.app.seen[before:])
    session.close()


def test_content_length_that_lies(setting):
    session = H2Client(setting.sidecar.outbound)
    bad = session.get("/lies", "orders", "POST", [("content-length", "10")], b"four")
    session.wait(bad)
    assert bad.reset == h2.errors.ErrorCodes.PROTOCOL_ERROR or bad.field(":status") == "400"
    assert session.wait(session.get("/next", "orders")).field(":status") == "200"
    session.close()


def test_cancelled_streams_cancel_the_upstream(shared):
    origin = h2_origin(shared, begin=lambda session, stream: True)  # never answers
    sidecar = shared.bare(origin.port, protocol="h2c")
    session = H2Client(sidecar.outbound)
    stream = session.get("/")
    wait_for(lambda: origin.streams, "the origin has it")
    session.reset(stream.number, h2.errors.ErrorCodes.CANCEL)
    wait_for(lambda: origin.resets, "the origin was told")
    assert origin.resets[0][1] == h2.errors.ErrorCodes.CANCEL
    session.close()


def test_rapid_resets_meet_a_limit(setting):
    """H2-22..30: hundreds of opened and reset streams end the connection or are refused, others go on."""
    session = H2Client(setting.sidecar.outbound)
    try:
        for _ in range(1500):
            stream = session.get("/slow/0", "orders")
            session.reset(stream.number, h2.errors.ErrorCodes.CANCEL)
        for _ in range(1000):
            if not session.pump() or session.goaway:
                break
    except (OSError, h2.exceptions.ProtocolError):
        session.closed = True
    assert session.closed or session.goaway
    session.close()
    assert client.request(setting.sidecar.outbound, "/after", host="orders").status == 200


def test_ping_flood_meets_a_limit(setting):
    session = H2Client(setting.sidecar.outbound)
    ended = False
    try:
        for i in range(20000):
            session.connection.ping(b"%08d" % i)
            if i % 100 == 0:
                session.flush()
        session.flush()
        while session.pump() and not session.goaway:
            pass
        ended = True
    except (OSError, h2.exceptions.ProtocolError):
        ended = True
    assert ended
    assert client.request(setting.sidecar.outbound, "/after", host="orders").status == 200


def test_prior_knowledge_and_http1_on_one_port(setting):
    for _ in range(3):
        assert client.request(setting.sidecar.inbound, "/", host="web").status == 200
        session = H2Client(setting.sidecar.inbound)
        assert session.wait(session.get("/", "web")).field(":status") == "200"
        session.close()


def test_h2_limit_of_streams_is_announced_and_kept(setting):
    session = H2Client(setting.sidecar.outbound)
    while session.connection.remote_settings.max_concurrent_streams > 1000:
        session.pump()
    assert session.connection.remote_settings.max_concurrent_streams == 100
    streams = [session.get("/bytes/2000", "orders") for _ in range(100)]
    for stream in streams:
        assert session.wait(stream).field(":status") == "200"
    session.close()
