#!/usr/bin/python3
"""Writes to etcd over gRPC with N puts in flight for some seconds; prints rate, p50 and p99. A Python
client costs more CPU than a C one: the figure flatters whoever is measured with a C client, so it is
printed together with the client's own CPU share."""
import sys
import threading
import time

import grpc


def varint(value):
    out = b""
    while True:
        byte = value & 0x7f
        value >>= 7
        out += bytes([byte | (0x80 if value else 0)])
        if not value:
            return out


def put(number):
    key = b"bench/%08d" % (number % 100000)
    value = b"x" * 128
    return b"\x0a" + varint(len(key)) + key + b"\x12" + varint(len(value)) + value


def main():
    address, in_flight, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    channel = grpc.insecure_channel(address)
    call = channel.unary_unary("/etcdserverpb.KV/Put")
    call(put(0), timeout=10)
    times = []
    lock = threading.Lock()
    slots = threading.Semaphore(in_flight)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        slots.acquire()
        began = time.monotonic()
        future = call.future(put(number), timeout=30)
        number += 1

        def done(finished, began=began):
            if finished.exception() is None:
                with lock:
                    times.append(time.monotonic() - began)
            slots.release()
        future.add_done_callback(done)
    for _ in range(in_flight):
        slots.acquire()
    times.sort()
    cpu = time.process_time() / (seconds or 1)
    if not times:
        sys.exit("no write succeeded")
    print("%.0f writes/s, p50 %.2f ms, p99 %.2f ms (client CPU %.0f %%)" % (
        len(times) / seconds, times[len(times) // 2] * 1000, times[int(len(times) * 0.99)] * 1000, cpu * 100))


if __name__ == "__main__":
    main()
