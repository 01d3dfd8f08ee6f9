"""Our HTTP/1 codec against nginx's over seeded mutations of good requests (http.md 3, 18). Where both read the
same bytes, a request that we take must be the same request there: method, target, and where its body ends. We may
refuse more; a difference in framing is a door for a second request inside the first."""
import os
import posixpath
import random
import re
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from harness import client
from harness.ports import free_port, is_free
from harness.sidecar import BUILD
from harness.waits import wait_for

TOOL = os.path.join(os.path.abspath(BUILD), "tests", "unit", "http", "h1-tool")
COUNT = 3000
THREADS = 8
CUT = ("downstream_truncated",)

CONFIG = """
user root; daemon off; worker_processes 1; pid %(folder)s/pid; error_log %(folder)s/error.log crit;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy;
  fastcgi_temp_path %(folder)s/f; uwsgi_temp_path %(folder)s/u; scgi_temp_path %(folder)s/s;
  client_header_timeout 60s; client_body_timeout 60s; lingering_close off; large_client_header_buffers 8 64k;
  server {
    listen 127.0.0.1:%(port)d;
    location / { proxy_pass http://127.0.0.1:%(origin)d; proxy_ignore_client_abort on;
                 proxy_set_header Host x; proxy_set_header X-From $remote_addr; proxy_set_header TE ""; }
  }
}
"""

GET = b"GET /a?b=1 HTTP/1.1\r\nHost: h\r\n\r\n"
HEAD = b" HTTP/1.1\r\nHost: h\r\n"
GOOD = [
    GET,
    GET + b"GET /second" + HEAD + b"\r\n",
    b"POST /up" + HEAD + b"Content-Length: 5\r\n\r\nhello" + GET,
    b"POST /up" + HEAD + b"Content-Length: 10\r\nX: y\r\n\r\n0123456789",
    b"PUT /c" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + GET,
    b"POST /c" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
    b"POST /c" + HEAD + b"X-A: 1\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n00f\r\n0123456789abcde\r\n000\r\n\r\n",
    b"GET http://h/abs?q HTTP/1.1\r\nHost: h\r\n\r\n",
    b"DELETE /d" + HEAD + b"Content-Length: 0\r\n\r\n" + GET,
    b"POST /x" + HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + GET,
    b"GET /old HTTP/1.0\r\n\r\n",
    b"POST /old HTTP/1.0\r\nHost: h\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody",
    b"OPTIONS /o" + HEAD + b"Accept: */*\r\nCookie: a=b; c=\"d\"\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
]
BYTES = [bytes([i]) for i in b"\r\n\t \0:;,/?#%\"'()+-_.0123456789abcdefABCDEFxX\x0b\x0c\x1f\x7f\x80\x85\xa0\xff"] + [
    b"\r\n", b"\n\r", b"\r\r\n", b"\n\n", b"\r\n\r\n", b"0\r\n\r\n", b"\r\n ", b"\r\n\t", b": ", b" :", b"0x", b"0" * 17]
LINES = [
    b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: 3", b"content-length:5", b"Content-Length : 5",
    b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length: 5,6", b"Content-Length:", b"Content-Length: -1",
    b"Content-Length: 0x5", b"Content-Length: 05", b"Content-Length: 5 ", b"Content-Length: 18446744073709551621",
    b"Content_Length: 5", b"Transfer-Encoding: chunked", b"transfer-encoding:chunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding:", b"Transfer-Encoding: chunked\t", b"Transfer-Encoding: \x0bchunked", b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: chunked\r\n identity", b"Connection: close", b"Connection: Content-Length",
    b"Connection: Transfer-Encoding", b"Upgrade: h2c", b"Expect: 100-continue", b"Host: other", b"Host:", b"X: y\r\n folded",
    b" leading: blank", b"NoColon", b": empty", b"X:\x00", b"X: \x80", b"X-Method-Override: PUT"]


def mutate(dice):
    data = dice.choice(GOOD)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3))):
        kind = dice.randrange(8)
        at = dice.randrange(len(data) + 1)
        if kind == 0:
            data = data[:at] + dice.choice(BYTES) + data[at:]
        elif kind == 1:
            data = data[:at] + dice.choice(BYTES) + data[at + 1:]
        elif kind == 2:
            data = data[:at] + data[at + dice.choice((1, 1, 2, 4)):]
        elif kind in (3, 4, 5):
            lines = data.split(b"\r\n")
            lines.insert(dice.randrange(1, max(2, min(len(lines), 6))), dice.choice(LINES))
            data = b"\r\n".join(lines)
        elif kind == 6:
            lines = data.split(b"\r\n")
            one, two = dice.randrange(len(lines)), dice.randrange(len(lines))
            lines[one], lines[two] = lines[two], lines[one]
            data = b"\r\n".join(lines)
        else:
            data = data[:at] + data[dice.randrange(len(data) + 1):]
    return data[:4096]


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def ours(inputs):
    """For each input its requests as (method, target, whole, length, checksum), and the last word."""
    done = subprocess.run([TOOL], input=b"".join(struct.pack(">I", len(one)) + one for one in inputs),
                          capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found, requests = [], []
    for line in done.stdout.split(b"\n")[:-1]:
        words = line.split(b" ")
        if words[0] == b"=":
            found.append((requests, words[1].decode()))
            requests = []
        else:
            method, target, how, length, checksum = words
            requests.append((method, target, how == b"whole", int(length), int(checksum, 16)))
    assert len(found) == len(inputs)
    return found


class Origin:
    """Takes what nginx passes on, by the address of the client that sent it."""

    def __init__(self):
        self.port = free_port()
        self.seen = {}
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            try:
                with sock:
                    self.serve(sock)
            except OSError:
                pass

    def serve(self, sock):
        sock.settimeout(60)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = sock.recv(65536)
            if not piece:
                return
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        length = int(fields.get(b"content-length", b"0"))
        while len(body) < length:
            piece = sock.recv(65536)
            if not piece:
                return
            body += piece
        method, _, rest = lines[0].partition(b" ")
        target = rest.rpartition(b" ")[0]
        self.seen.setdefault(fields[b"x-from"].decode(), []).append((method, target, True, len(body), crc32c(body)))
        sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Nginx:
    def __init__(self, folder, origin):
        os.makedirs(folder)
        os.chmod(folder, 0o755)
        self.port = free_port()
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG % {"folder": folder, "port": self.port, "origin": origin.port})
        self.process = subprocess.Popen(["nginx", "-c", config, "-p", folder], stderr=subprocess.DEVNULL)
        wait_for(lambda: not is_free(self.port), "nginx listens")

    def send(self, address, data):
        """The statuses that it answers with; the address names the input to the origin."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(address, 0)) as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it answered early and closed
            return client.read_to_end(sock)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def address_of(number):
    return "127.9.%d.%d" % (number // 250, number % 250 + 1)


@pytest.fixture
def theirs(mesh):
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    if not os.access(TOOL, os.X_OK):
        pytest.skip("the build has no %s" % TOOL)
    origin = Origin()
    mesh.origins.append(origin)
    nginx = Nginx(mesh.path("nginx"), origin)
    mesh.origins.append(nginx)

    def ask(inputs):
        answers = [b""] * len(inputs)

        def work(first):
            for i in range(first, len(inputs), THREADS):
                answers[i] = nginx.send(address_of(i), inputs[i])
        threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [(origin.seen.get(address_of(i), []), answers[i]) for i in range(len(inputs))]
    return ask


NGINX_METHOD = re.compile(rb"[A-Z_-]+\Z")  # it knows no other letters of RFC 9110's tokens


def canonical(request):
    """We encode what is no character of a path and take dots out of it (http.md 3); nginx passes it on as it came
    and drops an empty query behind an absolute form."""
    method, target, *rest = request
    if b"/." in target:
        target = posixpath.normpath(target)
    target = re.sub(rb'[^!-~]|["<>\\^`{|}]', lambda found: b"%%%02X" % found.group()[0], target)
    target = re.sub(rb"%[0-9a-f]{2}", lambda found: found.group().upper(), target, flags=re.IGNORECASE)
    return [method, target[:-1] if target.endswith(b"?") else target] + rest


def differences(data, mine, word, seen, answer):
    """In the requests that we took. The last one may be a part: refused for its body with a word, or cut by its
    sender; a sender that is at its end there and not here would be a difference."""
    for i, request in enumerate(mine):
        if not NGINX_METHOD.match(request[0]):
            return None
        if i >= len(seen):
            refused = b"\t" in data  # to nginx a tab is no blank around a value
            return None if refused or not request[2] else "request %d is %r here and none there (%r)" % (
                i, request, answer[-60:])
        if not request[2] and word not in CUT:
            return None
        if canonical(request) != canonical(seen[i]):
            return "request %d is %r here and %r there" % (i, request, seen[i])
    return None


def test_the_other_parser_sees_the_same(theirs):
    dice = random.Random(18)
    inputs = GOOD + [mutate(dice) for _ in range(COUNT)]
    taken, report = 0, []
    for data, (mine, word), (seen, answer) in zip(inputs, ours(inputs), theirs(inputs)):
        taken += len(mine)
        one = differences(data, mine, word, seen, answer)
        if one:
            report.append("%r (%s): %s" % (data, word, one))
    assert taken > COUNT / 4, "too few of the inputs are requests"
    assert report == [], "%d: %s" % (len(report), "\n".join(report))
