#!/usr/bin/python3
"""A gRPC application without generated code: messages are bytes. As a thread, or a process."""
import argparse
import sys
import time
from concurrent import futures

import grpc

SERVICE = "greeter.Say"


class Say:
    def __init__(self):
        self.seen = []  # (method, {metadata}, time remaining)
        self.cancelled = []
        self.executed = []

    def note(self, method, context):
        self.seen.append((method, list(context.invocation_metadata()), context.time_remaining()))

    def hello(self, request, context):
        self.note("Hello", context)
        context.send_initial_metadata((("x-initial", "1"), ("x-initial-bin", b"\x00\xff\x10")))
        context.set_trailing_metadata((("x-trailing", "t"), ("x-trailing-bin", b"\x01\x02\xfe")))
        return b"hello " + request

    def fail(self, request, context):
        self.note("Fail", context)
        context.set_trailing_metadata((("grpc-status-details-bin", request), ("x-why", "because")))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no, not at all: 100 % \u00e9\n")

    def slow(self, request, context):
        self.note("Slow", context)
        context.add_callback(lambda: self.cancelled.append(request))
        end = time.monotonic() + 30
        while context.is_active() and time.monotonic() < end:
            time.sleep(0.02)
        return b"late"

    def expand(self, request, context):
        self.note("Expand", context)
        for i in range(int(request)):
            yield b"%d" % i

    def collect(self, requests, context):
        self.note("Collect", context)
        return b",".join(requests)

    def chat(self, requests, context):
        self.note("Chat", context)
        for request in requests:
            yield request.upper()

    def early(self, requests, context):
        """Ends before the client has ended."""
        self.note("Early", context)
        yield next(iter(requests))

    def once(self, request, context):
        self.executed.append(request)
        return b"done"


def make_server(port, say):
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
    methods = {
        "Hello": grpc.unary_unary_rpc_method_handler(say.hello),
        "Once": grpc.unary_unary_rpc_method_handler(say.once),
        "Fail": grpc.unary_unary_rpc_method_handler(say.fail),
        "Slow": grpc.unary_unary_rpc_method_handler(say.slow),
        "Expand": grpc.unary_stream_rpc_method_handler(say.expand),
        "Collect": grpc.stream_unary_rpc_method_handler(say.collect),
        "Chat": grpc.stream_stream_rpc_method_handler(say.chat),
        "Early": grpc.stream_stream_rpc_method_handler(say.early),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    if server.add_insecure_port("127.0.0.1:%d" % port) != port:
        raise OSError("cannot bind port %d" % port)
    return server


class GrpcApp:
    def __init__(self, port):
        self.port = port
        self.say = Say()
        self.server = make_server(port, self.say)
        self.server.start()

    def stop(self):
        self.server.stop(0).wait(10)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    server = make_server(parser.parse_args().port, Say())
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    sys.exit(main())
