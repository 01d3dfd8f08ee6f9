#!/usr/bin/python3
"""A small HTTP/1.1 application with a ledger: as a thread of a test, or as the child of a sidecar.

It tells in JSON what it was asked, and appends one line per executed request that carries an
x-request-ledger or ce-id field: `id method port`. Paths choose how it behaves, see do()."""
import argparse
import json
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


PIECE = memoryview(b"x" * 65536)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            body = b""
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                piece = self.rfile.read(size)
                body += piece
                if size == 0:
                    while self.rfile.readline().strip():
                        pass
                    return body
                self.rfile.readline()
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def answer(self, status, body, fields=()):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        # In one write: where a kill could come between head and body, the answer would be cut.
        self._headers_buffer.append(b"\r\n" + (body if self.command != "HEAD" else b""))
        self.flush_headers()

    def answer_bytes(self, count):
        """In pieces: many readers of much at once need no memory here."""
        self.send_response(200)
        self.send_header("Content-Length", str(count))
        self.end_headers()
        while count > 0 and self.command != "HEAD":
            count -= self.wfile.write(PIECE[:count])

    def do(self):
        app = self.server.app
        body = self.read_body()
        app.note(self, body)
        path, _, query = self.path.partition("?")
        parts = path.strip("/").split("/")
        if app.fail_with:
            self.answer(app.fail_with, b'{"failed":true}\n')
        elif parts[0] == "slow":
            app.slow_started.set()
            app.slow_gate.wait(float(parts[1]) if len(parts) > 1 else 30)
            self.answer(200, b"slow done\n")
        elif parts[0] == "status":
            self.answer(int(parts[1]), b"as asked\n", (("Retry-After", "0"),) if "after" in query else ())
        elif parts[0] == "release":
            app.slow_gate.set()
            self.answer(200, b"released\n")
        elif parts[0] == "bytes":
            self.answer_bytes(int(parts[1]))
        elif parts[0] == "chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for i in range(int(parts[1])):
                piece = b"chunk %d\n" % i
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        elif parts[0] == "exit":
            self.answer(200, b"bye\n")
            self.wfile.flush()
            os._exit(int(parts[1]))
        elif parts[0] == "environment":
            self.answer(200, json.dumps(dict(os.environ)).encode())
        else:
            text = {"app": app.name, "pid": os.getpid(), "method": self.command, "path": self.path,
                    "version": self.request_version, "body": body.decode("latin-1") if len(body) < 4096 else "",
                    "length": len(body), "fields": [[n.lower(), v] for n, v in self.headers.items()]}
            self.answer(200, json.dumps(text).encode() + b"\n", (("Content-Type", "application/json"),))

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.do
        raise AttributeError(name)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # HTTPServer's would ask for the name of 127.0.0.1
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        pass  # a client that went away is no news


class App:
    def __init__(self, port, name="app", ledger=None, fail_with=0):
        self.port = port
        self.name = name
        self.fail_with = fail_with
        self.seen = []  # (method, path, {field: value}, body)
        self.slow_started = threading.Event()
        self.slow_gate = threading.Event()
        self.ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if ledger else -1
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.app = self
        self.thread = None

    def note(self, handler, body):
        fields = {name.lower(): value for name, value in handler.headers.items()}
        name = fields.get("x-request-ledger") or fields.get("ce-id")
        if self.ledger >= 0 and name:
            line = "%s %s %d\n" % (name, handler.command, self.port)
            os.write(self.ledger, line.encode())
        if len(self.seen) < 10000 and self.thread:
            self.seen.append((handler.command, handler.path, fields, body))

    def start(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.slow_gate.set()
        self.server.shutdown()
        self.server.server_close()
        if self.ledger >= 0:
            os.close(self.ledger)
            self.ledger = -1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", default="app")
    parser.add_argument("--ledger")
    parser.add_argument("--exit-on-term", type=int, default=0)
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--call-on-term", help="host of a call through PILLION_OUTBOUND at the end")
    parser.add_argument("--start-after", type=float, default=0)
    arguments = parser.parse_args()
    time.sleep(arguments.start_after)

    def ended(*_):
        if arguments.call_on_term:
            import urllib.request
            asked = urllib.request.Request("http://%s/last-words" % os.environ["PILLION_OUTBOUND"],
                                           headers={"Host": arguments.call_on_term})
            try:
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    print("last words: %d" % answer.status, flush=True)
            except OSError as error:
                print("last words failed: %s" % error, flush=True)
        os._exit(arguments.exit_on_term)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if arguments.ignore_term else ended)
    app = App(arguments.port, arguments.name, arguments.ledger)
    app.slow_gate.clear()
    app.server.serve_forever()


if __name__ == "__main__":
    socket.setdefaulttimeout(120)
    sys.exit(main())
