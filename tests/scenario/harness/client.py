"""Clients: one request with http.client, and raw bytes over a socket."""
import contextlib
import http.client
import json
import socket

TIMEOUT = 60


class Answer:
    """A whole HTTP/1 answer."""

    def __init__(self, status, fields, body, version=11):
        self.status = status
        self.fields = fields  # list of (name, value)
        self.body = body
        self.version = version

    def field(self, name):
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        return values[0] if values else None

    @property
    def reason(self):
        """The word of x-pillion-reason, or None: the answer is not pillion's."""
        value = self.field("x-pillion-reason")
        return value.split(";")[0] if value else None

    @property
    def outcome(self):
        return self.field("x-pillion-outcome")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "Answer(%d, %r, %r)" % (self.status, self.fields, self.body[:400])


# The answer may have come all the same (RFC 9112 9.5), as it does with real clients.
REFUSED_WHILE_SENT = contextlib.suppress(BrokenPipeError, ConnectionResetError)


def request(port, path="/", method="GET", host=None, body=None, fields=None, timeout=TIMEOUT):
    """One request on a connection of its own; the answer is read whole."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        return request_on(connection, path, method, host, body, fields)
    finally:
        connection.close()


def request_on(connection, path="/", method="GET", host=None, body=None, fields=None):
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", host or "127.0.0.1:%d" % connection.port)
    names = {name.lower() for name, _ in (fields or [])}
    if body is not None and "transfer-encoding" not in names:
        connection.putheader("Content-Length", str(len(body)))
    for name, value in fields or []:
        connection.putheader(name, value)
    connection.endheaders()
    with REFUSED_WHILE_SENT:
        connection.send(body or b"")
    answer = connection.getresponse()
    return Answer(answer.status, answer.getheaders(), answer.read(), answer.version)


def dial(port, timeout=TIMEOUT):
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_answer(sock, method="GET"):
    answer = http.client.HTTPResponse(sock, method=method)
    answer.begin()
    return Answer(answer.status, answer.getheaders(), answer.read(), answer.version)


def read_to_end(sock):
    """Everything until the peer closes or resets."""
    got = b""
    try:
        while True:
            piece = sock.recv(65536)
            if not piece:
                return got
            got += piece
    except ConnectionResetError:
        return got


def raw(port, data, half_close=False, timeout=TIMEOUT):
    """Sends bytes, returns all that comes until the other side closes."""
    with dial(port, timeout) as sock:
        with REFUSED_WHILE_SENT:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        return read_to_end(sock)
