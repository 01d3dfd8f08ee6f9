"""Origins that misbehave on purpose, on raw sockets."""
import socket
import struct
import threading

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_head(sock, got=b""):
    """Bytes up to and with the empty line; less when the peer ends before."""
    while b"\r\n\r\n" not in got:
        piece = sock.recv(65536)
        if not piece:
            return got
        got += piece
    return got


class RawOrigin:
    """Accepts connections and hands each to script(sock, number, origin) in a thread of its own."""

    def __init__(self, port, script):
        self.port = port
        self.script = script
        self.accepted = 0
        self.received = []  # bytes that scripts noted
        self.sockets = []
        self.gate = threading.Event()  # scripts may stall on it
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(256)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

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
        try:
            self.script(sock, number, self)
        except OSError:
            pass
        finally:
            try:
                sock.close()
            except OSError:
                pass

    def note(self, data):
        self.received.append(data)
        return data

    def stop(self):
        self.gate.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.sockets:
            try:
                sock.close()
            except OSError:
                pass


def record_everything(sock, _, origin):
    """Answers each request head with `ok` and notes every byte."""
    got = b""
    while True:
        piece = sock.recv(65536)
        if not piece:
            return
        origin.note(piece)
        got += piece
        while b"\r\n\r\n" in got:
            _, _, got = got.partition(b"\r\n\r\n")
            sock.sendall(OK)


def answer_with(*answers):
    """The n-th request of a connection gets the n-th answer, the last one again and again; the
    connection is closed after an answer that says so."""
    def script(sock, _, origin):
        got = b""
        for number in range(10000):
            got = read_head(sock, got)
            if b"\r\n\r\n" not in got:
                return
            head, _, got = got.partition(b"\r\n\r\n")
            origin.note(head)
            answer = answers[min(number, len(answers) - 1)]
            sock.sendall(answer)
            if b"connection: close" in answer.lower():
                return
    return script
