#!/usr/bin/python3
"""Side by side in one run: pillion, nginx, haproxy, nghttpx and a bare epoll pump as HTTP proxies; the
translator against jansson; the registry against etcd; idle memory; start to ready. Prints a table and
writes docs/BENCHMARKS.md. Reports; asserts nothing."""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import peers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ORIGIN1, ORIGIN2 = 21000, 21001
ROUNDS = 3


def load(port, h2, path, requests, connections, core):
    """Runs h2load; returns (requests that succeeded, seconds)."""
    command = ["taskset", "-c", str(core), "h2load", "-t1", "-c%d" % connections, "-n%d" % requests]
    command += ["-m16"] if h2 else ["--h1"]
    command.append("http://127.0.0.1:%d%s" % (port, path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    good = re.search(r"(\d+) succeeded", done.stdout)
    spent = re.search(r"finished in ([\d.]+)(ms|s|us)", done.stdout)
    seconds = float(spent.group(1)) * {"s": 1, "ms": 1e-3, "us": 1e-6}[spent.group(2)] if spent else 0
    return (int(good.group(1)) if good else 0), seconds


def measure(process, port, h2, path, requests, connections):
    """CPU microseconds of the proxy per request; None when requests failed."""
    pids = process.pids()
    before = peers.cpu_seconds(pids)
    good, _ = load(port, h2, path, requests, connections, 1)
    spent = peers.cpu_seconds(pids) - before
    if good != requests:
        print("%s: %d of %d requests succeeded" % (process.name, good, requests), file=sys.stderr)
        return None
    return spent * 1e6 / requests


def proxy_rows(binary, folder, quick):
    rows = [("HTTP/1.1 -> HTTP/1.1, 64 B", False, "one", "/small", 40000),
            ("HTTP/2 -> HTTP/2, 64 B", True, "two", "/small", 60000),
            ("HTTP/2 -> HTTP/1.1, 64 B", True, "one", "/small", 40000),
            ("HTTP/1.1 -> HTTP/1.1, 1 MiB", False, "one", "/large", 1500),
            ("HTTP/2 -> HTTP/2, 1 MiB", True, "two", "/large", 1500)]
    origin = peers.nginx_origin(folder, ORIGIN1, ORIGIN2, 1)
    started = [origin]
    try:
        pillion = peers.pillion(binary, folder, "pillion", 21100, ORIGIN1, ORIGIN2, 0)
        nginx = peers.nginx_proxy(folder, 21200, 21201, ORIGIN1, 0)
        haproxy = peers.haproxy(folder, [21300, 21301, 21302], ORIGIN1, ORIGIN2, 0)
        x1 = peers.nghttpx(folder, "nghttpx1", 21400, ORIGIN1, False, 0)
        x2 = peers.nghttpx(folder, "nghttpx2", 21401, ORIGIN2, True, 0)
        pump1 = peers.Process([os.path.join(os.path.dirname(os.path.dirname(binary)), "tests/bench/pump"),
                               "21500", str(ORIGIN1)], 0, folder, "pump1", [21500])
        pump2 = peers.Process([os.path.join(os.path.dirname(os.path.dirname(binary)), "tests/bench/pump"),
                               "21501", str(ORIGIN2)], 0, folder, "pump2", [21501])
        started += [pillion, nginx, haproxy, x1, x2, pump1, pump2]
        table = []
        for title, h2, upstream, path, count in rows:
            where = {"pillion": (pillion, 21103 if upstream == "one" else 21104),
                     "nginx": (nginx, 21201 if h2 else 21200) if upstream == "one" else None,
                     "haproxy": (haproxy, (21301 if h2 else 21300) if upstream == "one" else 21302),
                     "nghttpx": (x1, 21400) if upstream == "one" else (x2, 21401),
                     "pump": None if h2 and upstream == "one" else
                     ((pump1, 21500) if upstream == "one" else (pump2, 21501))}
            row = {"title": title}
            count = count // 8 if quick else count
            for name, place in where.items():
                if not place:
                    row[name] = None
                    continue
                measure(place[0], place[1], h2, path, max(200, count // 20), 16)  # warm
                values = [measure(place[0], place[1], h2, path, count, 16)
                          for _ in range(1 if quick else ROUNDS)]
                values = sorted(value for value in values if value is not None)
                row[name] = values[len(values) // 2] if values else None
            table.append(row)
            print(proxy_line(row), flush=True)
        return table
    finally:
        for process in reversed(started):
            process.stop()


NAMES = ["pillion", "nginx", "haproxy", "nghttpx", "pump"]


def number(value):
    return "-" if value is None else "%.1f" % value


def ratio(row):
    others = [row[name] for name in ("nginx", "haproxy", "nghttpx") if row.get(name)]
    return "-" if not others or not row.get("pillion") else "%.2f" % (row["pillion"] / min(others))


def proxy_line(row):
    return "| %s | %s | %s |" % (row["title"], " | ".join(number(row.get(name)) for name in NAMES),
                                 ratio(row))


def idle_rows(binary, folder):
    """Resident memory (PSS) and time to a listening port, each with the same number of listeners."""
    rows = []
    for name, start in (
            ("pillion", lambda: peers.pillion(binary, folder, "idle", 22100, ORIGIN1, ORIGIN2, None)),
            ("nginx", lambda: peers.nginx_proxy(folder, 22200, 22201, ORIGIN1, None)),
            ("haproxy", lambda: peers.haproxy(folder, [22300, 22301, 22302], ORIGIN1, ORIGIN2, None)),
            ("nghttpx", lambda: peers.nghttpx(folder, "idlex", 22400, ORIGIN1, False, None))):
        ready = []
        memory = 0
        for _ in range(3):
            process = start()
            ready.append(process.ready_ms)
            time.sleep(0.3)
            memory = peers.resident_kib(process.pids())
            process.stop()
        rows.append((name, memory, sorted(ready)[1]))
    return rows


def codec_rows(build):
    tool = os.path.join(build, "tests/bench/codec/bench_codec")
    if not os.path.exists(tool):
        return "not built"
    return subprocess.run([tool], capture_output=True, text=True, timeout=300).stdout.strip()


def etcd_writes(folder, clients, seconds=4):
    """etcd's own load tool is not packaged: a small grpcio client keeps N puts in flight."""
    data = os.path.join(folder, "etcd")
    server = peers.Process(["etcd", "--data-dir", data, "--listen-client-urls", "http://127.0.0.1:23379",
                            "--advertise-client-urls", "http://127.0.0.1:23379",
                            "--listen-peer-urls", "http://127.0.0.1:23380", "--logger", "zap",
                            "--log-outputs", "/dev/null"], None, folder, "etcd", [23379])
    try:
        driver = os.path.join(ROOT, "tests/bench/etcd_load.py")
        done = subprocess.run([sys.executable, driver, "127.0.0.1:23379", str(clients), str(seconds)],
                              capture_output=True, text=True, timeout=120)
        return done.stdout.strip() or done.stderr.strip()[-200:]
    finally:
        server.stop()


def raft_rows(binary, build, folder):
    tool = os.path.join(build, "tests/bench/raft/bench_raft")
    if not os.path.exists(tool):
        return ["bench_raft is not built"]
    lines = []
    data = os.path.join(folder, "voter")
    voter = peers.Process([binary, "run", "--bootstrap", "--name", "voter", "--data-dir", data,
                           "--set", '/listeners/inbound/listen="127.0.0.1:23440"',
                           "--set", '/listeners/outbound/listen="127.0.0.1:23441"',
                           "--set", '/admin/address="127.0.0.1:23442"'], None, folder, "voter", [23440])
    try:
        time.sleep(1.5)
        done = subprocess.run([tool, "127.0.0.1:23440", "4"], capture_output=True, text=True, timeout=120)
        lines += ["pillion: " + line for line in (done.stdout.strip() or done.stderr[-200:]).splitlines()]
    finally:
        voter.stop()
    for clients in (1, 1000):
        lines.append("etcd, %d in flight: %s" % (clients, etcd_writes(folder, clients)))
    return lines


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return "%s, %d cores, Linux %s" % (model.group(1) if model else "unknown CPU", os.cpu_count(),
                                       os.uname().release)


def version(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines()[0] if done.stdout + done.stderr else "?"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["proxy", "idle", "codec", "raft"])
    arguments = parser.parse_args()
    binary = os.path.join(arguments.build, "proxy/pillion")
    folder = tempfile.mkdtemp(prefix="pillion-bench-")
    text = ["# Benchmarks", "",
            "Made by `./dev bench`: one run, all peers on the same machine, nothing asserted. CPU microseconds of the",
            "proxy process per request (median of %d rounds), one worker pinned to its own core, access log and" % ROUNDS,
            "metrics on, 16 connections (HTTP/2: 16 streams each). `pump` moves bytes and knows no HTTP: the floor.",
            "", machine(), ""]
    try:
        if arguments.only in (None, "proxy"):
            text += ["## Proxying, CPU us per request", "",
                     "| case | %s | pillion / best of nginx, haproxy, nghttpx |" % " | ".join(NAMES),
                     "|---|%s|---|" % "|".join(["---"] * len(NAMES))]
            text += [proxy_line(row) for row in proxy_rows(binary, folder, arguments.quick)] + [""]
        if arguments.only in (None, "idle"):
            text += ["## Idle", "", "| | resident (PSS) KiB | start to listening, ms |", "|---|---|---|"]
            text += ["| %s | %d | %.0f |" % row for row in idle_rows(binary, folder)] + [""]
        if arguments.only in (None, "codec"):
            text += ["## JSON <-> wire against jansson", "", "```", codec_rows(arguments.build), "```", ""]
        if arguments.only in (None, "raft"):
            text += ["## Registry writes against etcd (one member each)", "", "```"]
            text += raft_rows(binary, arguments.build, folder) + ["```", ""]
        print("\n".join(text))
        if not arguments.only and not arguments.quick:
            with open(os.path.join(ROOT, "docs/BENCHMARKS.md"), "w", encoding="utf-8") as file:
                file.write("\n".join(text))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
