"""Malformed HTTP: an answer with a reason word, and never a byte of it to the other side."""
import pytest

from harness import client
from harness.origins import answer_with, record_everything
from harness.waits import wait_for

G = b" HTTP/1.1\r\nHost: orders\r\n"

REQUESTS = [
    ("bare LF", b"GET / HTTP/1.1\nHost: orders\n\n", 400, "bad_line_end"),
    ("bare CR in a value", b"GET /" + G + b"X: a\rb\r\n\r\n", 400, "bad_line_end"),
    ("two blanks", b"GET  / HTTP/1.1\r\nHost: orders\r\n\r\n", 400, "bad_request_line"),
    ("no version", b"GET /\r\n\r\n", 400, "bad_request_line"),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: orders\r\n\r\n", 505, "bad_version"),
    ("long method", b"G" * 33 + b" /" + G + b"\r\n", 501, "method_unknown"),
    ("fragment", b"GET /a#b" + G + b"\r\n", 400, "bad_target"),
    ("encoded NUL", b"GET /%00" + G + b"\r\n", 400, "bad_target"),
    ("above the root", b"GET /../a" + G + b"\r\n", 400, "bad_target"),
    ("TRACE", b"TRACE /" + G + b"\r\n", 405, "method_forbidden"),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400, "bad_host"),
    ("two hosts", b"GET /" + G + b"Host: orders\r\n\r\n", 400, "bad_host"),
    ("blank before colon", b"GET /" + G + b"X : a\r\n\r\n", 400, "bad_header"),
    ("folded line", b"GET /" + G + b"X: a\r\n b\r\n\r\n", 400, "bad_header"),
    ("NUL in a value", b"GET /" + G + b"X: a\0b\r\n\r\n", 400, "bad_header"),
    ("no colon", b"GET /" + G + b"X\r\n\r\n", 400, "bad_header"),
    ("alias of a guarded name", b"POST /" + G + b"Content_Length: 5\r\n\r\nhello", 400, "header_alias"),
    ("length twice", b"POST /" + G + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, "bad_length"),
    ("length list", b"POST /" + G + b"Content-Length: 5, 5\r\n\r\nhello", 400, "bad_length"),
    ("length signed", b"POST /" + G + b"Content-Length: +5\r\n\r\nhello", 400, "bad_length"),
    ("length and coding", b"POST /" + G + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400, "length_and_coding"),
    ("coding twice", b"POST /" + G + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400, "bad_transfer_coding"),
    ("unknown coding", b"POST /" + G + b"Transfer-Encoding: gzip\r\n\r\n", 501, "bad_transfer_coding"),
    ("nominated host", b"GET /" + G + b"Connection: host\r\n\r\n", 400, "bad_connection_option"),
    ("expectation", b"POST /" + G + b"Expect: more\r\nContent-Length: 1\r\n\r\nx", 417, "expectation_failed"),
    ("long target", b"GET /" + b"a" * 9000 + G + b"\r\n", 414, "uri_too_long"),
    ("many fields", b"GET /" + G + b"".join(b"X-%d: 1\r\n" % i for i in range(120)) + b"\r\n", 431, "too_many_fields"),
    ("huge field", b"GET /" + G + b"X: " + b"y" * 66000 + b"\r\n\r\n", 431, "head_too_large"),
]


@pytest.fixture(scope="module")
def setting(shared):
    class Setting:
        origin = shared.raw_origin(record_everything)
        sidecar = shared.bare(origin.port)
    return Setting


@pytest.mark.parametrize("data,status,word", [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_request_is_refused_and_not_passed_on(setting, data, status, word):
    before = len(setting.origin.received)
    closes = word != "method_forbidden"  # RE-08
    got = client.raw(setting.sidecar.outbound, data if closes else data[:-2] + b"Connection: close\r\n\r\n")
    lines = got.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    fields = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
    assert lines[0].startswith("HTTP/1.1 %d " % status), got[:300]
    assert fields["x-pillion-reason"].split(";")[0] == word
    assert fields["x-pillion-outcome"] == "not-processed"
    assert fields["connection"].lower() == "close"
    assert len(setting.origin.received) == before, "not a byte of it reached the other side"


@pytest.mark.quick
def test_request_in_single_bytes(setting):
    before = len(setting.origin.received)
    with client.dial(setting.sidecar.outbound) as sock:
        try:
            for i in range(len(REQUESTS[12][1])):
                sock.sendall(REQUESTS[12][1][i:i + 1])
        except OSError:
            pass  # it closed after the first bad byte
        got = client.read_to_end(sock)
    assert b"bad_header" in got or got == b""
    assert len(setting.origin.received) == before


def test_good_request_before_a_bad_one_is_served(setting):
    got = client.raw(setting.sidecar.outbound,
                     b"GET /good" + G + b"\r\n" + b"GET /bad HTTP/1.1\r\nHost : orders\r\n\r\n" + b"GET /after" + G + b"\r\n")
    assert got.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 400 " in got
    passed = b"".join(setting.origin.received)
    assert b"/good" in passed and b"/bad" not in passed and b"/after" not in passed


@pytest.mark.parametrize("chunk", [b"0x5\r\nhello\r\n", b"g\r\n", b"5\r\nhelloX\r\n", b"5\nhello\r\n",
                                   b"11111111111111111\r\n", b"-1\r\n", b"5;=x\r\nhello\r\n"])
def test_bad_chunks_cut_the_upstream(setting, chunk):
    """The head may have gone on before the fault was seen; the bad bytes may not."""
    before = len(setting.origin.received)
    got = client.raw(setting.sidecar.outbound,
                     b"POST /chunks" + G + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + chunk + b"0\r\n\r\n")
    if got:
        status = int(got.split(b" ")[1])
        assert status in (200, 400), got[:200]
        if status == 400:
            assert b"bad_chunk" in got or b"bad_line_end" in got
    assert b"0\r\n\r\n" not in b"".join(setting.origin.received[before:]), "it never looks complete"


def test_truncated_body_never_looks_complete(setting):
    before = len(setting.origin.received)
    with client.dial(setting.sidecar.outbound) as sock:
        sock.sendall(b"POST /cut" + G + b"Content-Length: 100\r\n\r\nonly this")
    wait_for(lambda: setting.sidecar.status()["traffic"]["in_flight"] == 0, "the exchange ended")
    assert b"".join(setting.origin.received[before:]).count(b"only this") <= 1


def test_log_shows_refusals_without_raw_bytes(setting):
    client.raw(setting.sidecar.outbound, b"GET /\x1b[31mred HTTP/1.1\r\nHost: orders\r\n\r\n")
    text = setting.sidecar.stderr() + setting.sidecar.stdout()
    assert "\x1b" not in text


OK_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
RESPONSES = [
    ("two lengths", OK_LENGTH + b"Content-Length: 2\r\n\r\nok"),
    ("length and chunked", OK_LENGTH + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ("unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    ("folded", OK_LENGTH + b"X: a\r\n b\r\n\r\nok"),
    ("blank before colon", OK_LENGTH + b"X : a\r\n\r\nok"),
    ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    ("NUL", OK_LENGTH + b"X: a\0b\r\n\r\nok"),
    ("not HTTP", b"220 mail.example ESMTP\r\n"),
    ("HTTP/2 in a status line", b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok"),
    ("status 099", b"HTTP/1.1 099 X\r\nContent-Length: 2\r\n\r\nok"),
    ("nine interim responses", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9 + OK_LENGTH + b"\r\nok"),
    ("101 unasked", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ("a head of 70 KiB", OK_LENGTH + b"X: " + b"y" * 71680 + b"\r\n\r\nok"),
]


@pytest.mark.parametrize("data", [row[1] for row in RESPONSES], ids=[row[0] for row in RESPONSES])
def test_bad_answers_become_502(mesh, data):
    origin = mesh.raw_origin(answer_with(data))
    sidecar = mesh.bare(origin.port)
    answer = client.request(sidecar.outbound, "/", "POST", "orders", b"x")
    assert (answer.status, answer.outcome) == (502, "unknown")
    assert answer.reason in ("upstream_protocol", "upstream_head_too_large")
    assert b"mail.example" not in answer.body and b"yyyy" not in answer.body


def test_answers_that_end_early_are_cut(mesh):
    origin = mesh.raw_origin(answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nfour"))
    chunked = mesh.raw_origin(answer_with(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nfour\r\n"))
    sidecar = mesh.sidecar("caller", config={"services": {
        "short": {"instances": [{"address": "127.0.0.1:%d" % origin.port}]},
        "endless": {"instances": [{"address": "127.0.0.1:%d" % chunked.port}]}}})
    got = client.raw(sidecar.outbound, b"GET / HTTP/1.1\r\nHost: short\r\n\r\n")
    assert got.count(b"HTTP/1.1") == 1 and not got.endswith(b"four" + b"\0" * 6)
    assert b"Content-Length: 10" not in got or len(got.partition(b"\r\n\r\n")[2]) < 10
    got = client.raw(sidecar.outbound, b"GET / HTTP/1.1\r\nHost: endless\r\n\r\n")
    assert b"0\r\n\r\n" not in got, "the client can tell that it was cut"
