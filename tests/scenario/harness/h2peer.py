"""HTTP/2 peers on python3-h2: an origin with scripted streams, and a client that sees frames."""
import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from harness import client


class H2Stream:
    def __init__(self, number, fields):
        self.number = number
        self.fields = fields
        self.body = b""
        self.trailers = None
        self.reset = None
        self.ended = False

    def field(self, name):
        return dict(self.fields).get(name)


class H2Origin:
    """respond(session, stream) runs when a request is complete; begin(session, stream) at its head and
    returns True when it has dealt with the stream itself."""

    def __init__(self, port, respond=None, begin=None):
        self.port = port
        self.respond = respond or echo
        self.begin = begin
        self.accepted = 0
        self.streams = []  # every stream whose head came, in order
        self.resets = []
        self.sockets = []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(128)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            self.sockets.append(sock)
            threading.Thread(target=self.serve, args=(sock, self.accepted), daemon=True).start()

    def serve(self, sock, number):
        session = H2Session(sock, client_side=False, number=number)
        try:
            session.loop(self)
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            sock.close()

    def on_head(self, session, stream):
        self.streams.append(stream)
        return bool(self.begin and self.begin(session, stream))

    def on_end(self, session, stream):
        self.respond(session, stream)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            except OSError:
                pass


class H2Session:
    def __init__(self, sock, client_side, number=0, **settings):
        self.sock = sock
        self.number = number
        self.lock = threading.RLock()
        self.streams = {}
        self.goaway = None
        self.closed = False
        config = h2.config.H2Configuration(client_side=client_side, header_encoding="utf-8",
                                           validate_outbound_headers=False, normalize_outbound_headers=False)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.flush()

    def flush(self):
        with self.lock:
            data = self.connection.data_to_send()
            if data:
                self.sock.sendall(data)

    def send(self, number, fields=None, body=None, end=False, trailers=None):
        with self.lock:
            if fields:
                self.connection.send_headers(number, fields, end_stream=end and not body)
                self.flush()
        view = memoryview(body or b"")
        while len(view):
            with self.lock:
                window = min(self.connection.local_flow_control_window(number),
                             self.connection.max_outbound_frame_size, len(view))
                if window > 0:
                    last = window == len(view)
                    self.connection.send_data(number, bytes(view[:window]), end_stream=last and end and not trailers)
                    self.flush()
                    view = view[window:]
                    continue
            if not self.pump():
                return
        with self.lock:
            if trailers:
                self.connection.send_headers(number, trailers, end_stream=True)
            elif end and not fields and not body:
                self.connection.end_stream(number)
            self.flush()

    def reset(self, number, code):
        with self.lock:
            self.connection.reset_stream(number, code)
            self.flush()

    def pump(self, origin=None):
        """Reads once and takes the events; False at the end."""
        data = self.sock.recv(65536)
        if not data:
            self.closed = True
            return False
        ended = []
        with self.lock:
            for event in self.connection.receive_data(data):
                self.take(event, origin, ended)
            self.flush()
        for stream in ended:
            origin.on_end(self, stream)
        return True

    def take(self, event, origin, ended):
        number = getattr(event, "stream_id", None)
        if isinstance(event, (h2.events.RequestReceived, h2.events.ResponseReceived)):
            stream = self.streams.setdefault(number, H2Stream(number, event.headers))
            stream.fields = event.headers
            if origin and origin.on_head(self, stream):
                stream.taken = True
        elif isinstance(event, h2.events.DataReceived):
            self.streams[number].body += event.data
            self.connection.acknowledge_received_data(event.flow_controlled_length, number)
        elif isinstance(event, h2.events.TrailersReceived):
            self.streams[number].trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            self.streams[number].ended = True
            if origin and not getattr(self.streams[number], "taken", False):
                ended.append(self.streams[number])
        elif isinstance(event, h2.events.StreamReset):
            self.streams.setdefault(number, H2Stream(number, [])).reset = event.error_code
            if origin:
                origin.resets.append((number, event.error_code))
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = (event.error_code, event.last_stream_id)

    def loop(self, origin):
        while self.pump(origin):
            pass


def echo(session, stream):
    text = ("%s %s %d" % (stream.field(":method"), stream.field(":path"), len(stream.body))).encode()
    session.send(stream.number, [(":status", "200"), ("content-length", str(len(text)))], text, end=True)


class H2Client(H2Session):
    def __init__(self, port, timeout=client.TIMEOUT):
        super().__init__(client.dial(port, timeout), client_side=True)

    def request(self, fields, body=None, end=True):
        with self.lock:
            number = self.connection.get_next_available_stream_id()
            self.streams[number] = H2Stream(number, [])
        self.send(number, fields, body, end)
        return self.streams[number]

    def get(self, path="/", authority="orders", method="GET", more=(), body=None, end=True):
        fields = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path)]
        return self.request(fields + list(more), body, end)

    def wait(self, stream):
        while not (stream.ended or stream.reset is not None or self.closed):
            if not self.pump():
                break
        return stream

    def close(self):
        self.sock.close()
