"""Every reason word that a client can see is provoked; header, body, log line and metric agree, for callers by HTTP/1,
HTTP/2 and gRPC (reasons.md RE-20)."""
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading

import h2.errors
import pytest

from harness import client
from harness.h2peer import H2Client, H2Origin
from harness.origins import answer_with, read_head, reset
from harness.ports import free_port
from harness.sidecar import ROOT, metric_sum
from harness.waits import wait_for
from test_malformed import REQUESTS
from test_translate import write_schema

ROW = re.compile(r"^REASON\((\w+), (\d+), (\d+), (\d+), OUTCOME_(\w+), (\d),", re.MULTILINE)
ALL = ("h1", "h2", "grpc")
HTTP = ("h1", "h2")

# Not provoked here, each with its reason.
SKIPPED = {
    "no_instance": "needs a registered service without anybody: tests/unit/upstream/test_attempt.c",
    "dns_failed": "depends on the resolver of the machine: tests/unit/upstream/test_attempt.c",
    "draining": "lasts for a moment of a stop: test_lifecycle",
    "retry_shed": "a second attempt that meets a limit: tests/unit/upstream/test_attempt.c",
    "overloaded": "needs memory or descriptors to be exhausted: tests/unit/exchange/test_server.c",
    "idle_timeout": "before a head only on streams that are silent for long: tests/unit/http/test_h2.c",
    "app_exited": "ends its sidecar: test_lifecycle",
    "internal_error": "a broken invariant: tests/unit/http/test_h1_server.c",
    "group_conflict": "a declaration's answer in the log, not an exchange's",
    "in_flight": "needs a thousand publishes that wait for the disk: broker.md 12",
    "too_many_topics": "needs ten thousand topics",
    "waiters": "needs as many fetches that wait as there may be",
    "spool_failed": "needs a disk that fails: test_pubsub",
    "spool_error": "needs a disk that fails: test_pubsub",
    "spool_full": "needs a full disk: test_pubsub",
    "commit_timeout": "needs a disk that stands still for 10 s",
}


def table():
    with open(os.path.join(ROOT, "proxy", "base", "codes.def"), encoding="utf-8") as file:
        rows = ROW.findall(file.read())
    return {word: {"code": "PIL" + pil, "http": int(status), "grpc": int(grpc), "outcome": outcome}
            for word, pil, status, grpc, outcome, stage in rows if stage == "1" and status != "0"}


TABLE = table()


class Told:
    """An answer of any form."""

    def __init__(self, status, fields, body):
        self.status = status
        self.fields = {name.lower(): value for name, value in fields}
        self.body = body


def ask(form, port, host="orders", path="/", method="GET", fields=(), body=None):
    if form == "h1":
        answer = client.request(port, path, method, host, body, list(fields))
        return Told(answer.status, answer.fields, answer.body)
    more = [(name.lower(), value) for name, value in fields]
    if form == "grpc":
        method, body = "POST", b"\0\0\0\0\0" if body is None else body
        more += [("content-type", "application/grpc"), ("te", "trailers")]
    session = H2Client(port)
    try:
        stream = session.wait(session.get(path, host, method, more, body))
        # A body that nobody wants is ended so, after the answer.
        assert stream.reset in (None, h2.errors.ErrorCodes.NO_ERROR), "reset with %r" % stream.reset
        return Told(int(stream.field(":status")), stream.fields + (stream.trailers or []), stream.body)
    finally:
        session.close()


def hold(sock, number, origin):
    read_head(sock)
    origin.gate.wait(300)


def once_then(action):
    def script(sock, number, origin):
        read_head(sock)
        action(sock)
    return script


class Busy:
    """A listener whose queue is full: nobody gets a connection there."""

    def __init__(self):
        self.port = free_port()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(0)
        self.clients = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
            self.clients.append(sock)

    def stop(self):
        for sock in self.clients + [self.listener]:
            sock.close()


class Setting:
    """One caller for all; a service of its own for each form where a failure is remembered."""

    def __init__(self, mesh):
        self.mesh = mesh
        self.app = mesh.app(name="orders")
        self.slow = mesh.app(name="limited")
        busy = Busy()
        mesh.origins.append(busy)
        other = mesh.sidecar("stock", app=self.app.port)
        reset_code = h2.errors.ErrorCodes
        ports = {
            "silent": self.raw(hold), "late": self.raw(hold),
            "resetting": self.raw(once_then(reset)), "closing": self.raw(once_then(lambda sock: None)),
            "garbage": self.raw(answer_with(b"220 mail ESMTP\r\n")),
            "big-head": self.raw(answer_with(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 71680 + b"\r\n\r\n"))}
        modern = {
            "refusing": self.h2(begin=lambda session, stream: session.reset(
                stream.number, reset_code.REFUSED_STREAM) or True),
            "breaking": self.h2(begin=lambda session, stream: session.reset(
                stream.number, reset_code.INTERNAL_ERROR) or True),
            "mute": self.h2(begin=lambda session, stream: True)}
        services = {"orders": self.service(self.app.port), "limited": dict(self.service(self.slow.port), limits={
            "active": 1, "queued": 1}, queue_timeout="500ms"), "full": dict(self.service(self.slow.port), limits={
                "active": 1, "queued": 1}, queue_timeout="60s")}
        for form in ALL:
            services["refused-" + form] = self.service(free_port())
            services["gone-" + form] = self.service(free_port())
            services["busy-" + form] = dict(self.service(busy.port), connect_timeout="300ms")
            services["nowhere-" + form] = {"instances": [{"address": "127.255.255.255:9"}]}
            services["stranger-" + form] = self.service(self.app.port, "sidecar")
            services["wrong-" + form] = self.service(other.inbound, "sidecar")
        services.update({name: self.service(port) for name, port in ports.items()})
        services.update({name: self.service(port, "h2c") for name, port in modern.items()})
        services["late"]["response_timeout"] = "300ms"
        self.caller = mesh.sidecar("caller", config={
            "process": {"workers": 1}, "services": services,
            "limits": {"body_bytes": "64KiB", "head_timeout": "1s", "body_gap": "1s"}})
        self.id8 = self.caller.status()["instance"][:8]

    def raw(self, script):
        return self.mesh.raw_origin(script).port

    def h2(self, **more):
        origin = H2Origin(free_port(), **more)
        self.mesh.origins.append(origin)
        return origin.port

    def service(self, port, protocol="http1"):
        return {"instances": [{"address": "127.0.0.1:%d" % port, "protocol": protocol}]}


@pytest.fixture(scope="module")
def setting(shared):
    return Setting(shared)


def logged(sidecar, word, outcome):
    return [line for line in sidecar.access_lines() if (line["pillion.reason"], line["pillion.outcome"]) == (word, outcome)]


def counted(sidecar, word):
    metrics = sidecar.metrics()
    return (metric_sum(metrics, "pillion_exchanges_total", reason=word) +
            metric_sum(metrics, "pillion_connections_closed_total", reason=word) +
            metric_sum(metrics, "pillion_pubsub_refused_total", reason=word))


def check(sidecar, form, word, told, line=True, count=True):
    """What the client was told, and what is in log and metrics, is one thing (RE-02 to RE-07)."""
    row = TABLE[word]
    named = told.fields.get("x-pillion-reason", "")
    assert named.split(";")[0] == word, (told.status, told.fields, told.body[:300])
    assert ("code=" + row["code"]) in named
    outcome = told.fields["x-pillion-outcome"]
    if row["outcome"] != "BY_PROGRESS":
        assert outcome == row["outcome"].lower().replace("_", "-")
    if form == "grpc":
        assert told.status == 200 and told.body == b""
        # H2-38: the upstream of this row resets with INTERNAL_ERROR.
        assert int(told.fields["grpc-status"]) == (13 if word == "upstream_reset" else row["grpc"])
        assert told.fields["grpc-message"].startswith(word + ": ")
        assert told.fields["content-type"].startswith("application/grpc")
    else:
        error = json.loads(told.body)["error"]
        assert (error["reason"], error["code"], error["outcome"]) == (word, row["code"], outcome)
        assert told.body.endswith(b"\n") and len(told.body) <= 1024
        assert told.fields["content-type"] == "application/json" and told.fields["cache-control"] == "no-store"
        assert told.fields.get("retry-after") == ("1" if told.status in (429, 503) else "5" if told.status == 507 else None)
        assert (told.status == 405) == ("allow" in told.fields)
        if word not in ("codec_limit", "codec_type", "bad_transfer_coding"):
            assert told.status == row["http"]
    assert not (outcome != "not-processed" and (told.status == 503 or told.fields.get("grpc-status") == "14")), "RE-01"
    if count:
        wait_for(lambda: counted(sidecar, word) > 0, "%s is counted" % word)
    if line:
        wait_for(lambda: logged(sidecar, word, outcome), "%s is logged" % word)


CALLS = [
    ("bad_name", ALL, dict(host="127.0.0.1:%(outbound)d", path="/x")),
    ("reserved_path", ALL, dict(path="/pillion.v1.Nothing/Here", host="orders")),
    ("egress_denied", ALL, dict(host="10.1.2.3")),
    ("method_forbidden", HTTP, dict(method="TRACE")),
    ("loop", ALL, dict(fields=[("Via", "1.1 pillion-o-%(id8)s")])),
    ("wrong_service", ALL, dict(host="wrong-%(form)s")),
    ("grpc_needs_h2", ("grpc",), dict(host="orders")),
    ("bad_deadline", ("grpc",), dict(fields=[("grpc-timeout", "1x")])),
    ("service_unknown", ALL, dict(host="nobody")),
    ("connect_refused", HTTP, dict(host="refused-%(form)s")),
    ("connect_timeout", HTTP, dict(host="busy-%(form)s")),
    ("connect_failed", HTTP, dict(host="nowhere-%(form)s")),
    ("peer_not_pillion", ALL, dict(host="stranger-%(form)s")),
    ("refused_stream", ALL, dict(host="refusing")),
    ("deadline_exceeded", HTTP, dict(host="silent", fields=[("x-pillion-deadline", "300")])),
    ("deadline_exceeded", ("grpc",), dict(host="mute", fields=[("grpc-timeout", "300m")])),
    ("response_timeout", HTTP, dict(host="late", method="POST", body=b"x")),
    ("upstream_reset", HTTP, dict(host="resetting")),
    ("upstream_reset", ("grpc",), dict(host="breaking")),
    ("upstream_closed", HTTP, dict(host="closing")),
    ("upstream_protocol", HTTP, dict(host="garbage")),
    ("upstream_head_too_large", HTTP, dict(host="big-head")),
    ("body_too_large", HTTP, dict(method="POST", body=b"x" * 70000)),
    ("expectation_failed", HTTP, dict(method="POST", body=b"x", fields=[("Expect", "more")])),
]
ONE_BY_ONE = [(word, form, how) for word, forms, how in CALLS for form in forms]


@pytest.mark.parametrize("word,form,how", ONE_BY_ONE, ids=["%s-%s" % row[:2] for row in ONE_BY_ONE])
def test_calls(setting, word, form, how):
    values = {"form": form, "outbound": setting.caller.outbound, "id8": setting.id8}
    how = {key: value % values if isinstance(value, str) else value for key, value in how.items()}
    how["fields"] = [(name, value % values) for name, value in how.get("fields", ())]
    # A head that its reader refuses makes no exchange, and so no line; on HTTP/2 the connection goes on, uncounted.
    refused = word == "expectation_failed"
    check(setting.caller, form, word, ask(form, setting.caller.outbound, **how), not refused, not (refused and form == "h2"))


@pytest.mark.parametrize("form", HTTP)
def test_all_unreachable(setting, form):
    """MC-03: after three seconds without anybody."""
    told = wait_for(lambda: (lambda one: one if one.fields["x-pillion-reason"].startswith("all_unreachable") else None)(
        ask(form, setting.caller.outbound, "gone-" + form)), "nobody was there for long", every=0.3)
    check(setting.caller, form, "all_unreachable", told)


@pytest.mark.parametrize("word,service", [("queue_timeout", "limited"), ("queue_full", "full")])
def test_queues(setting, word, service):
    holders = []
    setting.slow.slow_gate.clear()
    before = len(setting.slow.seen)

    def more():
        holders.append(threading.Thread(target=ask, args=("h1", setting.caller.outbound, service, "/slow/200")))
        holders[-1].start()
    more()
    wait_for(lambda: len(setting.slow.seen) > before, "the holder is at work")
    if word == "queue_full":
        more()
        wait_for(lambda: setting.caller.status()["traffic"]["in_flight"] == 2, "the only place to wait is taken")
    try:
        for form in HTTP:
            check(setting.caller, form, word, ask(form, setting.caller.outbound, service, "/x", "POST", body=b"x"))
    finally:
        setting.slow.slow_gate.set()
        for one in holders:
            one.join()


def raw_answer(port, data):
    got = client.raw(port, data)
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    return Told(int(lines[0].split(" ")[1]), [(one.partition(":")[0], one.partition(":")[2].strip()) for one in lines[1:]], body)


READER = {word: data for _, data, _, word in REQUESTS if word not in ("method_forbidden", "expectation_failed")}
READER["bad_chunk"] = b"POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
READER["bad_trailer"] = b"POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n"
READER["head_timeout"] = b"GET / HTTP/1.1\r\nHost: ord"
READER["body_timeout"] = b"POST / HTTP/1.1\r\nHost: silent\r\nContent-Length: 9\r\n\r\nhalf"


@pytest.mark.parametrize("word", sorted(READER))
def test_the_reader_of_http1(setting, word):
    """Refused before there is an exchange: the connection tells, log and metrics of the connection count."""
    check(setting.caller, "h1", word, raw_answer(setting.caller.outbound, READER[word]), line=False)


@pytest.fixture(scope="module")
def doors(shared):
    """Inbound sides whose application is not there, and a broker with its doors shut."""
    class Doors:
        waiting = shared.sidecar("waiting", app=free_port(), ready=False)
        app = shared.app(name="alone")
        alone = shared.sidecar("alone", app=app.port, config={"service": {"app": {"check_interval": "60s"}}})
        broker = shared.sidecar("broker", config={"broker": {"auto_topics": False, "auto_groups": False, "topics": {
            "known": {"bytes": "1MiB"}}, "subscriptions": [
                {"name": "s", "topic": "known", "group": "g", "push": "http://127.0.0.1:%d/x" % free_port()}]}})
        free = shared.sidecar("free", config={"broker": {}})
        off = shared.sidecar("off", config={"broker": {}})
    Doors.app.stop()
    shared.origins.remove(Doors.app)
    Doors.off.write_config({"broker": {"enabled": False}})
    assert Doors.off.cli("reload").returncode == 0
    return Doors


@pytest.mark.parametrize("word,door,form", [("app_not_ready", "waiting", form) for form in ALL] + [
    ("app_unreachable", "alone", form) for form in HTTP])
def test_the_own_application(doors, word, door, form):
    sidecar = getattr(doors, door)
    check(sidecar, form, word, ask(form, sidecar.inbound, door))


EVENT = ("Content-Type", "application/json")
BROKER = [
    ("bad_topic", "free", "/v1/pub/a..b", b"{}", ()),
    ("bad_group", "free", "/v1/sub/a/g%20g/fetch", b"{}", ()),
    ("bad_event", "free", "/v1/pub/a", b"{}", [("ce-specversion", "0.3")]),
    ("bad_parameter", "free", "/v1/pub/a?ttl=1ms", b"{}", ()),
    ("bad_body", "free", "/v1/sub/a/g/fetch", b"{", ()),
    ("unsupported_durability", "free", "/v1/pub/a?durability=paper", b"{}", ()),
    ("reserved", "free", "/v1/pub/a.dlq.g", b"{}", ()),
    ("cross_site", "free", "/v1/pub/a", b"{}", [("Origin", "http://elsewhere")]),
    ("bad_event_format", "free", "/v1/pub/a", b"{}", [("Content-Type", "application/cloudevents+json")]),
    ("unknown_topic", "broker", "/v1/pub/other", b"{}", ()),
    ("unknown_group", "broker", "/v1/sub/known/other/fetch", b"{}", ()),
    ("broker_off", "off", "/v1/pub/a", b"{}", ()),
]


@pytest.mark.parametrize("form", HTTP)
@pytest.mark.parametrize("word,door,path,body,fields", BROKER, ids=[row[0] for row in BROKER])
def test_the_broker(doors, word, door, path, body, fields, form):
    sidecar = getattr(doors, door)
    given = list(fields) if any(name == "Content-Type" for name, _ in fields) else [EVENT] + list(fields)
    check(sidecar, form, word, ask(form, sidecar.outbound, "127.0.0.1:%d" % sidecar.outbound, path, "POST", given, body),
          line=False)


@pytest.mark.parametrize("form", HTTP)
def test_a_full_topic(doors, form):
    """Nobody takes what is published: the topic's quota is reached."""
    def refused():
        told = ask(form, doors.broker.outbound, "127.0.0.1:%d" % doors.broker.outbound, "/v1/pub/known", "POST", [EVENT],
                   b"x" * 300000)
        return None if told.status == 200 else told
    check(doors.broker, form, "topic_full", wait_for(refused, "the topic is full"), line=False)


@pytest.fixture(scope="module")
def translating(shared):
    """JSON callers of a gRPC application that answers nonsense, with its schema, without one, and waiting for one."""
    if not shutil.which("protoc"):
        pytest.skip("protoc is not installed")
    folder = shared.path("schema")
    proto = write_schema(folder)
    descriptor = os.path.join(folder, "stock.pb")
    subprocess.run(["protoc", "-I", folder, "--include_imports", "--descriptor_set_out", descriptor, proto], check=True)

    def nonsense(session, stream):
        session.send(stream.number, [(":status", "200"), ("content-type", "application/grpc")],
                     struct.pack(">BI", 0, 2) + b"\x0a\xff", trailers=[("grpc-status", "0")])
    origin = H2Origin(free_port(), respond=nonsense)
    mute = H2Origin(free_port(), begin=lambda session, stream: True)
    shared.origins += [origin, mute]

    def sidecar(name, port, **translation):
        return shared.sidecar(name, app=port, ready=False, config={
            "service": {"app": {"protocol": "h2c", "check": "none"}}, "translation": dict({"app": ["grpc"]}, **translation)})

    class Translating:
        known = sidecar("known", origin.port, descriptors=[descriptor], reflection=False)
        unknown = sidecar("unknown", origin.port, reflection=False)
        later = sidecar("later", mute.port, schema_wait="300ms")
    return Translating


CODEC = [
    ("codec_request", "known", "POST", "/shop.Stock/Get", b'{"sku": 5}', ()),
    ("codec_frame", "known", "POST", "/shop.Stock/Get", b"no gzip", [("Content-Encoding", "gzip")]),
    ("codec_response", "known", "POST", "/shop.Stock/Get", b"{}", ()),
    ("codec_limit", "known", "POST", "/shop.Stock/Get", b'{"inner":' * 200 + b"{}" + b"}" * 200, ()),
    ("codec_method", "known", "POST", "/shop.Stock/Nothing", b"{}", ()),
    ("codec_type", "known", "DELETE", "/shop.Stock/Get", None, ()),
    ("codec_schema", "unknown", "POST", "/shop.Stock/Get", b"{}", ()),
    ("codec_schema_wait", "later", "POST", "/shop.Stock/Get", b"{}", ()),
]


@pytest.mark.parametrize("form", HTTP)
@pytest.mark.parametrize("word,door,method,path,body,fields", CODEC, ids=[row[0] for row in CODEC])
def test_translation(translating, word, door, method, path, body, fields, form):
    sidecar = getattr(translating, door)
    given = ([EVENT] if body else []) + list(fields)
    check(sidecar, form, word, ask(form, sidecar.inbound, door, path, method, given, body))


def test_no_word_is_forgotten():
    here = {row[0] for row in CALLS} | set(READER) | {row[0] for row in BROKER} | {row[0] for row in CODEC} | {
        "all_unreachable", "queue_timeout", "queue_full", "app_not_ready", "app_unreachable", "topic_full"}
    assert here & set(SKIPPED) == set()
    assert here | set(SKIPPED) == set(TABLE), (sorted(set(TABLE) - here - set(SKIPPED)), sorted((here | set(SKIPPED)) - set(TABLE)))
