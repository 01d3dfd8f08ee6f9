"""Ports that nothing else uses: outside of the range that the kernel hands to outgoing connections,
tried by binding them, never given twice by one process."""
import os
import random
import socket

LOWEST = 10300
HIGHEST = 65500
WIDTH_MIN = 4000  # a whole run takes about two thousand

_given = set()
_random = random.Random(os.getpid())


def outside(first, last):
    """The wider part of LOWEST..HIGHEST outside of first..last; all of it where neither part is wide
    enough: there the bind alone decides."""
    parts = [(LOWEST, first - 1), (max(last + 1, LOWEST), HIGHEST)]
    lowest, highest = max(parts, key=lambda part: part[1] - part[0])
    return (lowest, highest) if highest - lowest >= WIDTH_MIN else (LOWEST, HIGHEST)


def _bounds():
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            return outside(*(int(word) for word in file.read().split()))
    except OSError:
        return outside(32768, 60999)


def is_free(port, host="127.0.0.1"):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
            return True
        except OSError:
            return False


def free_port():
    lowest, highest = _bounds()
    for _ in range(20000):
        port = _random.randint(lowest, highest)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise RuntimeError("no free port")


def free_port_family(count, step, steps):
    """A port P such that P..P+count-1 are free in all `steps` families that lie `step` apart."""
    lowest, highest = _bounds()
    for _ in range(20000):
        first = _random.randint(lowest, highest - step * steps)
        wanted = [first + step * family + i for family in range(steps) for i in range(count)]
        if not _given.intersection(wanted) and all(is_free(port) for port in wanted):
            _given.update(wanted)
            return first
    raise RuntimeError("no free ports")
