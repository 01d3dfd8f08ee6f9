"""Ports that nothing else uses: below the range that the kernel hands to outgoing connections,
tried by binding them, never given twice by one process."""
import os
import random
import socket

LOWEST = 10300
FALLBACK_HIGHEST = 32700

_given = set()
_random = random.Random(os.getpid())


def _highest():
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            return max(int(file.read().split()[0]) - 1, LOWEST + 1000)
    except OSError:
        return FALLBACK_HIGHEST


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
    highest = _highest()
    for _ in range(2000):
        port = _random.randint(LOWEST, highest)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise RuntimeError("no free port")


def free_port_family(count, step, steps):
    """A port P such that P..P+count-1 are free in all `steps` families that lie `step` apart."""
    highest = _highest() - step * steps
    for _ in range(2000):
        first = _random.randint(LOWEST, highest)
        wanted = [first + step * family + i for family in range(steps) for i in range(count)]
        if not _given.intersection(wanted) and all(is_free(port) for port in wanted):
            _given.update(wanted)
            return first
    raise RuntimeError("no free ports")
