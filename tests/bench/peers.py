"""The peers of the proxy benchmarks: how each is configured and started. One worker each, access log
on where the peer has one, kept connections to the origin."""
import os
import subprocess
import time
import urllib.request
import socket

LOOPBACK = "127.0.0.1"


def wait_port(port, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection((LOOPBACK, port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("nothing listens on %d" % port)


def descendants(pid):
    found = [pid]
    for one in found:
        try:
            for task in os.listdir("/proc/%d/task" % one):
                with open("/proc/%d/task/%s/children" % (one, task), encoding="ascii") as file:
                    found += [int(word) for word in file.read().split()]
        except OSError:
            pass
    return found


def cpu_seconds(pids):
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/schedstat" % pid, encoding="ascii"):
                pass
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/schedstat" % (pid, task), encoding="ascii") as file:
                    total += int(file.read().split()[0]) / 1e9
        except OSError:
            try:
                with open("/proc/%d/stat" % pid, encoding="ascii") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / ticks
            except OSError:
                pass
    return total


def resident_kib(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
                for line in file:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        except OSError:
            pass
    return total


class Process:
    """One peer, pinned to a core; ended by pid."""

    def __init__(self, command, core, folder, name, ports):
        self.name = name
        self.began = time.monotonic()
        self.log = open(os.path.join(folder, name + ".log"), "wb")
        prefix = ["taskset", "-c", str(core)] if core is not None else []
        self.popen = subprocess.Popen(prefix + command, stdout=self.log, stderr=self.log,
                                      stdin=subprocess.DEVNULL)
        try:
            for port in ports:
                wait_port(port)
        except RuntimeError as error:
            self.stop()
            with open(os.path.join(folder, name + ".log"), encoding="utf-8", errors="replace") as file:
                raise RuntimeError("%s: %s\n%s" % (name, error, file.read()[-800:])) from error
        self.ready_ms = (time.monotonic() - self.began) * 1000

    def pids(self):
        return descendants(self.popen.pid)

    def stop(self):
        pids = self.pids()
        self.popen.terminate()
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            self.popen.wait()
        self.log.close()


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def nginx_origin(folder, h1, h2, core):
    """Serves /small and /large (1 MiB) on an HTTP/1 and a cleartext HTTP/2 port."""
    root = os.path.join(folder, "root")
    os.makedirs(root, exist_ok=True)
    write(os.path.join(root, "small"), "x" * 64)
    write(os.path.join(root, "large"), "x" * 1048576)
    config = write(os.path.join(folder, "origin.conf"), """
daemon off; user root; worker_processes 1; pid %(folder)s/origin.pid; error_log %(folder)s/origin.err;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; keepalive_timeout 3600; http2_max_concurrent_streams 256;
  client_body_temp_path %(folder)s/t1; proxy_temp_path %(folder)s/t2; fastcgi_temp_path %(folder)s/t3;
  uwsgi_temp_path %(folder)s/t4; scgi_temp_path %(folder)s/t5;
  server { listen 127.0.0.1:%(h1)d; root %(root)s; }
  server { listen 127.0.0.1:%(h2)d http2; root %(root)s; http2_recv_timeout 3600; } }
""" % {"folder": folder, "h1": h1, "h2": h2, "root": root})
    return Process(["nginx", "-c", config, "-p", folder], core, folder, "origin", [h1, h2])


def nginx_proxy(folder, port, port2, origin, core):
    config = write(os.path.join(folder, "nginx.conf"), """
daemon off; user root; worker_processes 1; pid %(folder)s/nginx.pid; error_log %(folder)s/nginx.err;
events { worker_connections 4096; }
http { access_log %(folder)s/nginx.access; keepalive_requests 100000000; keepalive_timeout 3600;
  client_body_temp_path %(folder)s/n1; proxy_temp_path %(folder)s/n2; fastcgi_temp_path %(folder)s/n3;
  uwsgi_temp_path %(folder)s/n4; scgi_temp_path %(folder)s/n5;
  upstream origin { server 127.0.0.1:%(origin)d; keepalive 512; keepalive_requests 100000000; }
  server { listen 127.0.0.1:%(port)d; location / { proxy_pass http://origin; proxy_http_version 1.1;
           proxy_set_header Connection ""; proxy_buffering on; proxy_max_temp_file_size 0; } }
  server { listen 127.0.0.1:%(port2)d http2; location / { proxy_pass http://origin; proxy_http_version 1.1;
           proxy_set_header Connection ""; proxy_max_temp_file_size 0; } } }
""" % {"folder": folder, "port": port, "port2": port2, "origin": origin})
    return Process(["nginx", "-c", config, "-p", folder], core, folder, "nginx", [port, port2])


def haproxy(folder, ports, origin, origin2, core):
    """ports: h1->h1, h2->h1, h2->h2."""
    config = write(os.path.join(folder, "haproxy.cfg"), """
global
  nbthread 1
  log %(folder)s/haproxy.sock local0
  maxconn 4096
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  http-reuse always
frontend f1
  bind 127.0.0.1:%(a)d
  default_backend b1
frontend f2
  bind 127.0.0.1:%(b)d proto h2
  default_backend b1
frontend f3
  bind 127.0.0.1:%(c)d proto h2
  default_backend b2
backend b1
  server s 127.0.0.1:%(o1)d
backend b2
  server s 127.0.0.1:%(o2)d proto h2
""" % {"folder": folder, "a": ports[0], "b": ports[1], "c": ports[2], "o1": origin, "o2": origin2})
    return Process(["haproxy", "-db", "-f", config], core, folder, "haproxy", ports)


def nghttpx(folder, name, port, origin, h2, core):
    command = ["nghttpx", "-f127.0.0.1,%d;no-tls" % port,
               "-b127.0.0.1,%d%s" % (origin, ";;proto=h2" if h2 else ""), "--workers=1",
               "--accesslog-file=%s/%s.access" % (folder, name), "--errorlog-file=%s/%s.err" % (folder, name),
               "--no-ocsp", "--conf=/dev/null", "--backend-keep-alive-timeout=3600", "--frontend-http2-read-timeout=3600"]
    return Process(command, core, folder, name, [port])


def pillion(binary, folder, name, base, origin, origin2, core):
    """One sidecar with two configured services: h1 and h2 origins. Ports: base (mesh), base + 1
    (outbound), base + 2 (admin), base + 3 (one port for h1), base + 4 (one port for h2)."""
    config = write(os.path.join(folder, name + ".json"), """
{ "registry": {"kind": "static"}, "process": {"workers": 1, "data_dir": "%(folder)s/%(name)s.data"},
  "service": {"name": "bench"},
  "listeners": {"inbound": {"listen": "127.0.0.1:%(a)d"}, "outbound": {"listen": "127.0.0.1:%(b)d"},
    "one": {"kind": "service", "listen": "127.0.0.1:%(d)d", "service": "one"},
    "two": {"kind": "service", "listen": "127.0.0.1:%(e)d", "service": "two"}},
  "services": {"one": {"instances": [{"address": "127.0.0.1:%(o1)d"}]},
               "two": {"instances": [{"address": "127.0.0.1:%(o2)d", "protocol": "h2c"}]}},
  "broker": {"enabled": false},
  "admin": {"socket": "%(folder)s/%(name)s.sock", "address": "127.0.0.1:%(c)d"},
  "log": {"access": {"output": "%(folder)s/%(name)s.access"}} }
""" % {"folder": folder, "name": name, "a": base, "b": base + 1, "c": base + 2, "d": base + 3,
       "e": base + 4, "o1": origin, "o2": origin2})
    return Process([binary, "proxy", "-c", config], core, folder, name, [base + 3, base + 4])
