"""gRPC callers of a JSON application, by a descriptor file: answers, errors, answers that are wrong (codec.md 9, 12)."""
import gzip
import json
import os
import shutil
import subprocess

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from harness.app import App, Handler
from harness.sidecar import metric_sum
from harness.waits import wait_for

SCHEMA = """
syntax = "proto3";
package shop;
service Stock {
  rpc Get(Item) returns (Item);
  rpc Take(Item) returns (Item);
}
message Item { string sku = 1; int64 big_count = 2; bytes raw = 3; repeated int32 parts = 4; map<string, double> prices = 5;
               Kind kind = 6; Item inner = 7; bool there = 8; double share = 9; }
enum Kind { NONE = 0; SOME = 1; }
"""

# What the application answers to Take, by the sku: status, content type, body.
ANSWERS = {
    "type": (200, "application/json", b'{"sku":"a","inner":{"parts":[1,"x"]}}'),
    "syntax": (200, "application/json", b'{"sku":"a"'),
    "unknown": (200, "application/json", b'{"sku":"a","colour":"red"}'),
    "media": (200, "text/html", b"<p>in stock</p>"),
    "status": (409, "application/json", b'{"code":6,"message":"it is there already","details":[]}'),
    "plain": (404, "text/plain", b"no such sku"),
    "nested": (400, "application/json", b'{"error":{"code":"invalid","message":"bad sku"}}'),
    "empty": (204, None, b""),
    "away": (302, "text/plain", b"over there"),
}


class JsonHandler(Handler):
    def do(self):
        body = self.read_body()
        self.server.app.note(self, body)
        asked = json.loads(body)
        if self.path != "/shop.Stock/Take":
            self.answer(200, body, (("Content-Type", "application/json"), ("X-Shelf", "7")))
        elif asked["sku"] == "gzip":
            self.answer(200, gzip.compress(body), (("Content-Type", "application/json"), ("Content-Encoding", "gzip")))
        elif asked["sku"].isdigit():
            self.answer(int(asked["sku"]), b"as asked\n", (("Content-Type", "text/plain"),))
        else:
            status, kind, text = ANSWERS[asked["sku"]]
            self.answer(status, text, (("Content-Type", kind),) if kind else ())


@pytest.fixture(scope="module")
def setting(shared):
    if not shutil.which("protoc"):
        pytest.skip("protoc is not installed")
    folder = shared.path("schema")
    os.makedirs(folder)
    proto, descriptor = os.path.join(folder, "stock.proto"), os.path.join(folder, "stock.pb")
    with open(proto, "w", encoding="ascii") as file:
        file.write(SCHEMA)
    subprocess.run(["protoc", "-I", folder, "--include_imports", "--descriptor_set_out", descriptor, proto], check=True)
    with open(descriptor, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)

    class Setting:
        Item = message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("shop.Item"))
        app = shared.app(name="stock")
        sidecar = shared.sidecar("stock", app=app.port, config={
            "translation": {"app": ["json"], "descriptors": [descriptor], "reflection": False}})
        front = shared.sidecar("caller", config={"services": {"stock": {"instances": [
            {"address": "127.0.0.1:%d" % sidecar.inbound, "protocol": "sidecar"}]}}})
        channel = grpc.insecure_channel("127.0.0.1:%d" % front.outbound, options=[("grpc.default_authority", "stock")])

        @classmethod
        def call(cls, method, item, **more):
            """(answer, call) of one unary call."""
            return cls.channel.unary_unary("/shop.Stock/" + method, request_serializer=cls.Item.SerializeToString,
                                           response_deserializer=cls.Item.FromString).with_call(item, timeout=30, **more)
    Setting.app.server.RequestHandlerClass = JsonHandler
    yield Setting
    Setting.channel.close()


def full(setting):
    item = setting.Item(sku="\u00e9\u4e2d", big_count=2 ** 53 + 1, raw=b"\x00\xff\x10", parts=[1, -2, 3], kind=1,
                        there=True, share=-0.25)
    item.prices["a"] = 1.5
    item.inner.inner.kind = 1
    return item


def failed(setting, sku):
    with pytest.raises(grpc.RpcError) as raised:
        setting.call("Take", setting.Item(sku=sku))
    return raised.value.code().name, raised.value.details()


@pytest.mark.quick
def test_unary_success(setting):
    """GJ-01, GJ-02: the application sees ProtoJSON under the method's path, the caller its message and status 0."""
    item = full(setting)
    answer, call = setting.call("Get", item, metadata=(("x-order", "17"), ("x-token-bin", b"\x01\xff")))
    assert answer == item
    assert call.code() == grpc.StatusCode.OK
    assert ("x-shelf", "7") in [(key, value) for key, value in call.initial_metadata()]
    method, path, fields, body = setting.app.seen[-1]
    assert (method, path) == ("POST", "/shop.Stock/Get")
    assert fields["content-type"] == "application/json" and fields["x-order"] == "17" and fields["x-token-bin"] == "Af8"
    assert "te" not in fields and int(fields["content-length"]) == len(body) and fields["grpc-timeout"]
    assert json.loads(body) == json_format.MessageToDict(item)


def test_empty_messages(setting):
    answer, _ = setting.call("Get", setting.Item())
    assert answer == setting.Item() and setting.app.seen[-1][3] == b"{}"
    answer, call = setting.call("Take", setting.Item(sku="empty"))
    assert answer == setting.Item() and call.code() == grpc.StatusCode.OK


def test_compression_both_ways(setting):
    item = setting.Item(sku="gzip", raw=b"x" * 50000)
    answer, _ = setting.call("Take", item, compression=grpc.Compression.Gzip)
    assert answer == item
    assert len(setting.app.seen[-1][3]) > 50000, "the application is spared the coding of gRPC"


def test_large_message(setting):
    item = setting.Item(raw=bytes(range(256)) * 8000)
    answer, _ = setting.channel.unary_unary(
        "/shop.Stock/Get", request_serializer=setting.Item.SerializeToString,
        response_deserializer=setting.Item.FromString).with_call(item, timeout=60)
    assert answer == item
    assert metric_sum(setting.sidecar.metrics(), "pillion_codec_seconds_count") >= 2


@pytest.mark.parametrize("status,code", [
    (400, "INVALID_ARGUMENT"), (401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED"), (404, "NOT_FOUND"), (405, "UNIMPLEMENTED"),
    (408, "DEADLINE_EXCEEDED"), (409, "ABORTED"), (412, "FAILED_PRECONDITION"), (413, "RESOURCE_EXHAUSTED"), (416, "OUT_OF_RANGE"),
    (422, "INVALID_ARGUMENT"), (429, "RESOURCE_EXHAUSTED"), (499, "CANCELLED"), (500, "INTERNAL"), (501, "UNIMPLEMENTED"),
    (418, "UNKNOWN")])
def test_statuses_of_the_application(setting, status, code):
    """ER-02, table R."""
    assert failed(setting, str(status))[0] == code


def test_errors_that_the_application_words(setting):
    """ER-04, first that fits; a redirection is not followed (GJ-02)."""
    assert failed(setting, "status") == ("ALREADY_EXISTS", "it is there already")
    code, details = failed(setting, "nested")
    assert code == "INVALID_ARGUMENT" and "bad sku" in details
    code, details = failed(setting, "plain")
    assert code == "NOT_FOUND" and "no such sku" in details
    code, details = failed(setting, "away")
    assert code == "UNKNOWN" and "302" in details


@pytest.mark.parametrize("sku,place,fault", [
    ("type", "$.inner.parts[1]", "json_type"), ("syntax", "byte 10", "json_syntax"),
    ("unknown", "$.colour", "json_unknown_field"), ("media", "content-type", "frame")])
def test_answers_that_do_not_fit(setting, sku, place, fault):
    """GJ-02, ER-03, ER-07, ER-08: never a guess; counted and logged by name, and nobody tries again."""
    def count():
        return metric_sum(setting.sidecar.metrics(), "pillion_codec_faults_total", fault=fault, side="response")
    asked, before = len(setting.app.seen), count()
    code, details = failed(setting, sku)
    assert code == "INTERNAL" and details.startswith("codec_response") and place in details, details
    assert len([row for row in setting.app.seen[asked:] if row[0] == "POST"]) == 1
    assert count() == before + 1
    line = wait_for(lambda: [line for line in setting.sidecar.log_lines()
                             if line.get("pillion.codec.fault") == fault], "it is logged")[0]
    assert (line["log.level"], line["pillion.codec.direction"]) == ("warn", "json to grpc")
    assert line["url.path"] == "/shop.Stock/Take" and place in line["error.message"] and len(line["trace.id"]) == 32
    record = wait_for(lambda: [line for line in setting.sidecar.access_lines() if line["pillion.reason"] == "codec_response"],
                      "the access log has it")[-1]
    assert record["pillion.outcome"] == "processed"


def test_request_that_does_not_fit(setting):
    asked = len(setting.app.seen)
    with pytest.raises(grpc.RpcError) as raised:
        setting.channel.unary_unary("/shop.Stock/Get")(b"\x0a\x05ab", timeout=30)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details().startswith("codec_request") and "byte" in raised.value.details()
    assert len([row for row in setting.app.seen[asked:] if row[0] == "POST"]) == 0
    assert metric_sum(setting.sidecar.metrics(), "pillion_codec_faults_total", side="request") >= 1
