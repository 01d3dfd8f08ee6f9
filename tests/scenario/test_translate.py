"""JSON to a gRPC application by reflection, gRPC to a JSON application by a descriptor file (codec.md 7, 9, 12)."""
import json
import os
import shutil
import subprocess

import grpc
import pytest

from harness import client
from harness.app import App
from harness.ports import free_port
from harness.sidecar import PYTHON
from harness.waits import wait_for

REFLECTAPP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness", "reflectapp.py")

SCHEMA = """
syntax = "proto3";
package shop;
service Stock {
  rpc Get(Item) returns (Level) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Take(Item) returns (Level);
  rpc Watch(Item) returns (stream Level);
}
message Item { string sku = 1; int64 big_count = 2; bytes raw = 3; repeated int32 parts = 4; map<string, double> prices = 5;
               Kind kind = 6; Item inner = 7; int32 fail = 15; }
message Level { string sku = 1; int64 big_count = 2; bytes raw = 3; repeated int32 parts = 4; map<string, double> prices = 5;
                Kind kind = 6; Item inner = 7; %s }
enum Kind { NONE = 0; SOME = 1; }
"""


def write_schema(folder, more=""):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "stock.proto")
    with open(path, "w", encoding="ascii") as file:
        file.write(SCHEMA % more)
    return path


@pytest.fixture(scope="module", autouse=True)
def needs_protoc():
    if not shutil.which("protoc"):
        pytest.skip("protoc is not installed")


@pytest.fixture(scope="module")
def setting(shared):
    class Setting:
        proto = write_schema(shared.path("schema"))
        port = free_port()
        sidecar = shared.sidecar("stock", app=port, command=[PYTHON, REFLECTAPP, "--port", str(port), "--proto", proto])
        front = shared.sidecar("caller", config={"services": {"stock": {"instances": [
            {"address": "127.0.0.1:%d" % sidecar.inbound, "protocol": "sidecar"}]}}})
    return Setting


def post(setting, path, body, fields=()):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.request(setting.front.outbound, path, "POST", "stock", text,
                          [("Content-Type", "application/json")] + list(fields))


@pytest.mark.quick
def test_json_in_grpc_served_json_out(setting):
    answer = post(setting, "/shop.Stock/Get", {"sku": "a1"})
    assert answer.status == 200, answer
    assert answer.json() == {"sku": "a1"}
    assert answer.field("content-type").startswith("application/json")
    assert not any(name.lower().startswith("grpc-") for name, _ in answer.fields)


def test_every_kind_of_field(setting):
    asked = {"sku": "\u00e9\u4e2d", "bigCount": "9007199254740993", "raw": "AP/+", "parts": [1, -2, 3],
             "prices": {"a": 1.5, "b": -0.25}, "kind": "SOME", "inner": {"sku": "in", "inner": {"kind": "SOME"}}}
    answer = post(setting, "/shop.Stock/Take", asked)
    assert answer.status == 200 and answer.json() == asked
    spelled = post(setting, "/shop.Stock/Take", {"big_count": 7, "kind": 1})
    assert spelled.json() == {"bigCount": "7", "kind": "SOME"}
    assert post(setting, "/shop.Stock/Get", {}).json() == {}


@pytest.mark.parametrize("body,path", [
    (b'{"sku": 5}', "sku"), (b'{"bigCount": "x"}', "bigCount"), (b'{"parts": [1, "y"]}', "parts"),
    (b'{"inner": {"raw": "*"}}', "raw"), (b'{"nonsense": 1}', "nonsense"), (b'{"kind": "OTHER"}', "kind"),
    (b'{"sku": "a"', ""), (b'[]', ""), (b'{"sku": "a", "sku": "b"}', "sku")])
def test_bad_json_names_the_field(setting, body, path):
    """The field by path, never half a message."""
    answer = post(setting, "/shop.Stock/Get", body)
    assert (answer.status, answer.reason, answer.outcome) == (400, "codec_request", "not-processed")
    assert path in answer.json()["error"]["message"]


@pytest.mark.parametrize("code,status", [(3, 400), (5, 404), (7, 403), (8, 429), (9, 400), (12, 501), (13, 500), (14, 503), (16, 401)])
def test_errors_of_the_application(setting, code, status):
    answer = post(setting, "/shop.Stock/Take", {"fail": code})
    assert answer.status == status, answer
    assert "as asked: %d" % code in answer.body.decode()


def test_unknown_method(setting):
    answer = post(setting, "/shop.Stock/Nothing", {})
    assert answer.status == 404 and answer.reason == "codec_method"
    answer = post(setting, "/shop.Nowhere/Get", {})
    assert answer.status == 404


def test_what_is_not_offered(setting):
    answer = client.request(setting.front.outbound, "/shop.Stock/Get", "DELETE", "stock")
    assert answer.status == 405 and answer.reason == "codec_type"
    answer = client.request(setting.front.outbound, "/shop.Stock/Get", "POST", "stock", b"<a/>", [("Content-Type", "text/xml")])
    assert answer.status in (415, 400) and answer.reason in ("codec_type", "codec_request")
    answer = post(setting, "/shop.Stock/Watch", {})
    assert answer.status in (501, 415, 404) and answer.reason == "codec_type"


def test_limits_of_messages(setting):
    with client.dial(setting.front.outbound) as sock:
        sock.sendall(b"POST /shop.Stock/Get HTTP/1.1\r\nHost: stock\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 9000010\r\n\r\n{\"sku\":\"")
        try:
            for _ in range(90):
                sock.sendall(b"x" * 100000)
            sock.sendall(b'"}')
        except OSError:
            pass  # it answered early and closed
        answer = client.read_answer(sock, "POST")
    assert answer.status == 413 and answer.reason in ("codec_limit", "body_too_large")
    deep = b'{"inner":' * 200 + b"{}" + b"}" * 200
    answer = post(setting, "/shop.Stock/Get", deep)
    assert answer.status in (400, 413) and answer.reason in ("codec_request", "codec_limit")


def test_grpc_callers_pass_untouched(setting):
    with grpc.insecure_channel("127.0.0.1:%d" % setting.front.outbound,
                               options=[("grpc.default_authority", "stock")]) as channel:
        answer = channel.unary_unary("/shop.Stock/Get")(b"\x0a\x02a1", timeout=30)
    assert answer == b"\x0a\x02a1"


def test_call_verb_translates(setting):
    done = setting.front.cli("call", "stock", "shop.Stock.Get", '{"sku":"cli"}')
    if done.returncode != 0:
        done = setting.front.cli("call", "stock", "/shop.Stock/Get", '{"sku":"cli"}')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"sku": "cli"}


def test_many_at_once(setting):
    done = subprocess.run(["h2load", "-n", "1000", "-c", "4", "-m", "8", "-H", ":authority: stock", "-H",
                           "content-type: application/json", "-d", write_body(setting),
                           "http://127.0.0.1:%d/shop.Stock/Get" % setting.front.outbound], capture_output=True, text=True, timeout=120)
    assert "1000 succeeded, 0 failed" in done.stdout and "1000 2xx" in done.stdout, done.stdout


def write_body(setting):
    path = os.path.join(setting.sidecar.folder, "body.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"sku": "a1", "parts": list(range(100))}, file)
    return path


def test_an_application_with_another_schema(mesh):
    """The schema is looked for again when the application was down, or when a method is not known."""
    port = free_port()
    proto = write_schema(mesh.path("schema"))
    sidecar = mesh.sidecar("stock", app=port, command=[PYTHON, REFLECTAPP, "--port", str(port), "--proto", proto], config={
        "service": {"app": {"restart": "on-failure"}}})

    def ask(body, path="/shop.Stock/Get"):
        return client.request(sidecar.inbound, path, "POST", "stock", json.dumps(body).encode(),
                              [("Content-Type", "application/json")])
    assert ask({"sku": "a"}).json() == {"sku": "a"}
    write_schema(mesh.path("schema"), "int32 fail = 15;")
    text = open(proto, encoding="ascii").read().replace("int32 fail = 15; }", "int32 fail = 15; string colour = 16; }", 1)
    text = text.replace("int32 fail = 15; }", "int32 fail = 15; string colour = 16; }")
    with open(proto, "w", encoding="ascii") as file:
        file.write(text)
    old = sidecar.app_pid()
    os.kill(old, 9)
    wait_for(lambda: sidecar.app_pid() not in (None, old), "it is started again")
    wait_for(lambda: ask({"colour": "red"}).status == 200, "the new field is known", timeout=60)
    wait_for(lambda: ask({"colour": "red"}).json() == {"colour": "red"}, "and is told back")


@pytest.fixture(scope="module")
def reverse(shared):
    """A JSON application with a descriptor file."""
    class Orders(App):
        pass
    folder = shared.path("reverse")
    proto = write_schema(folder)
    descriptor = os.path.join(folder, "stock.pb")
    subprocess.run(["protoc", "-I", folder, "--include_imports", "--descriptor_set_out", descriptor, proto], check=True)

    class Setting:
        app = shared.app(name="stock")
        sidecar = shared.sidecar("stock", app=app.port, config={
            "translation": {"app": ["json"], "descriptors": [descriptor], "reflection": False}})
        channel = grpc.insecure_channel("127.0.0.1:%d" % sidecar.inbound, options=[("grpc.default_authority", "stock")])
    yield Setting
    Setting.channel.close()


def test_grpc_caller_of_a_json_application(reverse):
    """GJ-01: POST /Service/Method with JSON; its answer has fields that the schema does not know, which is an error
    unless they are ignored, so the application's answer is what decides."""
    with pytest.raises(grpc.RpcError) as raised:
        reverse.channel.unary_unary("/shop.Stock/Get")(b"\x0a\x02a1", timeout=30)
    method, path, fields, body = [row for row in reverse.app.seen if row[1] == "/shop.Stock/Get"][-1]
    assert method == "POST" and json.loads(body) == {"sku": "a1"}
    assert fields["content-type"].startswith("application/json")
    assert raised.value.code() == grpc.StatusCode.INTERNAL
    assert raised.value.details().startswith("codec_response")


def test_errors_of_a_json_application(reverse):
    for status, codes in ((404, (5, 12)), (400, (3, 13)), (403, (7,)), (503, (14,)), (500, (2, 13)), (401, (16,)), (429, (8, 14))):
        reverse.app.fail_with = status
        try:
            with pytest.raises(grpc.RpcError) as raised:
                reverse.channel.unary_unary("/shop.Stock/Take")(b"\x0a\x02a1", timeout=30)
        finally:
            reverse.app.fail_with = 0
        assert raised.value.code().value[0] in codes, (status, raised.value.code())


def test_bad_protobuf_is_refused(reverse):
    before = len([row for row in reverse.app.seen if row[0] == "POST"])
    with pytest.raises(grpc.RpcError) as raised:
        reverse.channel.unary_unary("/shop.Stock/Get")(b"\x0a\xff", timeout=30)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details().startswith("codec_request")
    assert len([row for row in reverse.app.seen if row[0] == "POST"]) == before


def test_json_callers_of_a_json_application_pass(reverse):
    answer = client.request(reverse.sidecar.inbound, "/plain", "POST", "stock", b'{"x":1}', [("Content-Type", "application/json")])
    assert answer.json()["path"] == "/plain" and answer.json()["body"] == '{"x":1}'
