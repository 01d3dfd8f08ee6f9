#!/usr/bin/python3
"""The demo's three applications. None of them knows that there is a mesh: each only knows the base
URL of its local sidecar (PILLION_OUTBOUND), as a legacy program would know a proxy.

  app.py shop PORT      HTML over HTTP/1.0, legacy style; receives stock.low
  app.py orders PORT    JSON over HTTP/1.1, calls stock, receives stock.low; publishes it with DEMO_PUBLISHES=stock.low
  app.py stock PORT     gRPC with reflection
"""
import html
import http.client
import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LOW = 5
OUTBOUND = os.environ.get("PILLION_OUTBOUND") or "127.0.0.1:7441"


def call(method, service, path, body=None, headers=None):
    """One call through the sidecar: the Host field names the service."""
    connection = http.client.HTTPConnection(OUTBOUND, timeout=10)
    try:
        fields = {"Host": service}
        if body is not None:
            fields["Content-Type"] = "application/json"
        fields.update(headers or {})
        connection.request(method, path, body, fields)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, format, *arguments):
        pass

    def answer(self, status, body, kind="application/json"):
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        # In one write: where a kill could come between head and body, the answer would be cut.
        self._headers_buffer.append(b"\r\n" + data)
        self.flush_headers()

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


class Shop(Handler):
    protocol_version = "HTTP/1.0"  # as old as it gets
    low = {}  # sku -> how many are left, as the last message said

    def do_POST(self):
        """A message is pushed as an ordinary request; 2xx settles it."""
        event = self.body()
        if self.path != "/events":
            self.answer(404, "no such page\n", "text/plain")
            return
        event = json.loads(event)
        self.low[str(event["sku"])] = str(event.get("left", "few"))
        self.answer(204, "")

    def do_GET(self):
        if self.path != "/":
            self.answer(404, "no such page\n", "text/plain")
            return
        status, body = call("GET", "orders", "/orders/7")
        if status != 200:
            self.answer(502, "<h1>Shop</h1><p>orders said %d: %s</p>\n" % (status, body.decode()),
                        "text/html")
            return
        order = json.loads(body)
        rows = "".join("<tr><td>%s<td>%s<td>%s left<td>%s" %
                       (line["sku"], line["count"], line["left"], line["stockInstance"])
                       for line in order["lines"])
        low = "".join("<p>Running low: %s, %s left\n" % (html.escape(sku), html.escape(left))
                      for sku, left in sorted(self.low.items()))
        self.answer(200, "<!doctype html><title>Shop</title><h1>Order %s of %s</h1><table>%s</table>\n%s" %
                    (order["id"], order["customer"], rows, low), "text/html")


class Orders(Handler):
    protocol_version = "HTTP/1.1"
    events = []
    fail_next = {}
    told = set()  # of what is low, what has been published
    lock = threading.Lock()

    def order(self, number):
        lines = []
        for sku, count in (("a1", 2), ("b2", 1)):
            status, body = call("POST", "stock", "/shop.Stock/Get", json.dumps({"sku": sku}))
            if status != 200:
                raise RuntimeError("stock said %d: %s" % (status, body.decode()))
            level = json.loads(body)
            lines.append({"sku": sku, "count": count, "left": level.get("left", "0"),
                          "stockInstance": level.get("instance", "")})
        self.publish_low(lines)
        return {"id": str(number), "customer": "Ada", "lines": lines}

    def publish_low(self, lines):
        """Once for each thing; a sidecar that does not take it now is asked again with the next order."""
        topic = os.environ.get("DEMO_PUBLISHES")
        for line in lines:
            if topic and int(line["left"]) < LOW and line["sku"] not in self.told:
                event = json.dumps({"sku": line["sku"], "left": int(line["left"])})
                if call("POST", OUTBOUND, "/v1/pub/" + topic, event)[0] == 200:
                    self.told.add(line["sku"])

    def serve_order(self, number):
        try:
            self.answer(200, json.dumps(self.order(number)) + "\n")
        except (RuntimeError, OSError) as error:
            self.answer(503, json.dumps({"error": {"code": 14, "message": str(error)}}) + "\n")

    def do_GET(self):
        if self.path == "/events":
            with self.lock:
                self.answer(200, json.dumps(self.events) + "\n")
        elif self.path.startswith("/orders/"):
            self.serve_order(int(self.path.rsplit("/", 1)[1] or 0))
        elif self.path == "/healthz":
            self.answer(200, "{}\n")
        elif self.path == "/slow":
            time.sleep(4)
            self.answer(200, "{\"slow\":true}\n")
        else:
            self.answer(404, "{\"error\":{\"message\":\"no such path\"}}\n")

    def do_POST(self):
        body = self.body()
        if self.path == "/shop.Orders/Get":  # how a gRPC call arrives here
            self.serve_order(int(json.loads(body or b"{}").get("id", 0)))
        elif self.path == "/events":
            self.receive(body)
        elif self.path == "/mend":
            with self.lock:
                self.fail_next.clear()
            self.answer(200, "{}\n")
        else:
            self.answer(404, "{\"error\":{\"message\":\"no such path\"}}\n")

    def receive(self, body):
        """A pushed message. One with "bad": true is refused until POST /mend."""
        event = json.loads(body)
        with self.lock:
            if event.get("bad") and not os.path.exists(os.environ.get("DEMO_MENDED", "/nonexistent")):
                self.answer(422, "{\"error\":{\"message\":\"the order system does not know this sku\"}}\n")
                return
            self.events.append({"id": self.headers.get("ce-id"), "data": event})
            log = os.environ.get("DEMO_EVENTS")
            if log:
                with open(log, "a", encoding="utf-8") as file:
                    file.write(json.dumps(event) + "\n")
        self.answer(204, "")


def serve_http(handler, port):
    server = Server(("127.0.0.1", port), handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


def generated():
    """Compiles the schema with protoc; returns the modules."""
    folder = tempfile.mkdtemp(prefix="pillion-demo-")
    schema = os.path.join(HERE, "schema")
    subprocess.run(["protoc", "-I", schema, "-I", "/usr/include", "--python_out", folder,
                    os.path.join(schema, "shop.proto"), os.path.join(schema, "reflection.proto")],
                   check=True)
    sys.path.insert(0, folder)
    import reflection_pb2
    import shop_pb2
    subprocess.run(["rm", "-rf", folder], check=False)
    return shop_pb2, reflection_pb2


def serve_stock(port):
    from concurrent import futures
    import grpc
    shop, reflection = generated()
    levels = {"a1": 40, "b2": 3}
    me = "stock-%d" % os.getpid()
    lock = threading.Lock()

    def level(sku):
        answer = shop.Level(sku=sku, left=levels.get(sku, 0), instance=me)
        answer.checked.GetCurrentTime()
        return answer

    def get(request, context):
        if not request.sku:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "sku is empty")
        return level(request.sku)

    def take(request, context):
        with lock:
            if levels.get(request.sku, 0) < request.count:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "only %d left" %
                              levels.get(request.sku, 0))
            levels[request.sku] -= request.count
            return level(request.sku)

    def describe(requests, context):
        from google.protobuf import descriptor_pool
        pool = descriptor_pool.Default()
        for request in requests:
            answer = reflection.ServerReflectionResponse(original_request=request)
            kind = request.WhichOneof("message_request")
            try:
                if kind == "list_services":
                    for name in ("shop.Stock", "grpc.reflection.v1.ServerReflection"):
                        answer.list_services_response.service.add().name = name
                else:
                    file = (pool.FindFileByName(request.file_by_filename) if kind == "file_by_filename"
                            else pool.FindFileContainingSymbol(request.file_containing_symbol))
                    answer.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)
            except KeyError:
                answer.error_response.error_code = 5
                answer.error_response.error_message = "not found"
            yield answer

    def unary(function, request, answer):
        return grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=request.FromString,
            response_serializer=answer.SerializeToString)

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("shop.Stock", {
            "Get": unary(get, shop.Item, shop.Level),
            "Take": unary(take, shop.TakeRequest, shop.Level)}),
        grpc.method_handlers_generic_handler("grpc.reflection.v1.ServerReflection", {
            "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
                describe, request_deserializer=reflection.ServerReflectionRequest.FromString,
                response_serializer=reflection.ServerReflectionResponse.SerializeToString)})))
    if server.add_insecure_port("127.0.0.1:%d" % port) == 0:
        sys.exit("stock: port %d is taken" % port)
    server.start()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    server.stop(5).wait()


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("shop", "orders", "stock"):
        sys.exit(__doc__)
    port = int(sys.argv[2])
    if sys.argv[1] == "stock":
        serve_stock(port)
    else:
        serve_http(Shop if sys.argv[1] == "shop" else Orders, port)


if __name__ == "__main__":
    main()
