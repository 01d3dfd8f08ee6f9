"""One sidecar of the binary under test: its configuration, processes, logs and admin interface."""
import copy
import json
import os
import re
import signal
import shutil
import subprocess
import sys
import tempfile
import time

from harness import client
from harness.ports import free_port
from harness.waits import alive, children, command_of, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("PILLION_BUILD", os.path.join(ROOT, "build"))
KIND = os.environ.get("PILLION_KIND", "plain")
BINARY = os.path.join(os.path.abspath(BUILD), "proxy", "pillion")
APP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "app.py")
PYTHON = "/usr/bin/python3"

# A proxy that this machine's user configured is for the world outside, not for 127.0.0.1.
PROXIES = {name: os.environ.pop(name) for name in list(os.environ) if name.lower().endswith("_proxy")}

SOCKET_PATH_MAX = 107
GRACE = "10s"  # the application has 40 % of it to end after its SIGTERM (mesh.md 9.1)

SANITIZER_REPORT = re.compile(
    r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:"
    r"|is read again"  # registry.md RW-07: never in any test
    r"|assertion failed|ERROR: UndefinedBehaviorSanitizer")

DEFAULT_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:suppressions=" + os.path.join(ROOT, "tests/tsan.supp"),
}


def merge(base, more):
    """Objects by key, everything else replaced; None removes a key."""
    for key, value in more.items():
        if value is None:
            base.pop(key, None)
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)
    return base


def environment(more=None):
    env = {key: value for key, value in os.environ.items() if not key.startswith("PILLION_")}
    for key, value in DEFAULT_OPTIONS.items():
        env.setdefault(key, value)
    env.update(more or {})
    return env


def binary(*arguments, env=None, timeout=60, **more):
    """Runs the binary to its end: a CompletedProcess with text."""
    return subprocess.run([BINARY] + [str(a) for a in arguments], env=environment(env), text=True,
                          capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL, **more)


class Sidecar:
    """folder: its own directory; config: merged over an explicit static one; app: the port of the
    application or None; command: run as the child, else `pillion proxy`."""

    def __init__(self, folder, name="web", app=None, config=None, command=None, arguments=(), env=None,
                 cwd=None):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.name = name
        self.command = command
        self.arguments = list(arguments)
        self.env = env or {}
        self.cwd = cwd or folder
        self.inbound, self.outbound, self.admin = free_port(), free_port(), free_port()
        self.socket = os.path.join(folder, "admin.sock")
        self.short = None
        if len(self.socket) > SOCKET_PATH_MAX:
            self.short = tempfile.mkdtemp(prefix="pillion-test-", dir="/tmp")
            self.socket = os.path.join(self.short, "admin.sock")
        self.file = os.path.join(folder, "pillion.json")
        self.out = os.path.join(folder, "out.log")
        self.err = os.path.join(folder, "err.log")
        self.process = None
        self.config = {
            "service": {"name": name},
            "process": {"data_dir": os.path.join(folder, "data"), "workers": 2, "grace": GRACE},
            "listeners": {"inbound": {"kind": "inbound", "listen": "127.0.0.1:%d" % self.inbound},
                          "outbound": {"kind": "outbound", "listen": "127.0.0.1:%d" % self.outbound}},
            "registry": {"kind": "static"},
            "admin": {"socket": self.socket, "address": "127.0.0.1:%d" % self.admin},
        }
        if app:
            self.config["service"]["app"] = {"address": "127.0.0.1:%d" % app, "check_interval": "500ms"}
        merge(self.config, config or {})
        self.write_config()

    def write_config(self, more=None):
        if more:
            merge(self.config, more)
        temporary = self.file + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(self.config, file, indent=1)
        os.rename(temporary, self.file)

    def words(self):
        words = [BINARY, "run" if self.command else "proxy", "-c", self.file] + self.arguments
        return words + (["--"] + [str(w) for w in self.command] if self.command else [])

    def start(self, ready=True, wait=True, **more):
        assert self.process is None or self.process.poll() is not None, "%s runs already" % self.name
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            self.process = subprocess.Popen(self.words(), stdout=out, stderr=err, cwd=self.cwd,
                                            stdin=subprocess.DEVNULL, env=environment(self.env),
                                            start_new_session=True, **more)
        if wait:
            self.wait_started()
        if wait and ready:
            self.wait_ready()
        return self

    def probe(self, path):
        return client.request(self.admin, path)

    def _check(self, path):
        if self.process.poll() is not None:
            raise RuntimeError("%s ended with %r:\n%s" % (self.name, self.process.returncode, self.stderr()))
        return self.probe(path).status == 200

    def wait_started(self):
        wait_for(lambda: self._check("/startupz"), "%s started" % self.name)

    def wait_ready(self):
        wait_for(lambda: self._check("/readyz"), "%s ready" % self.name)

    def status(self):
        return self.probe("/v1/status").json()

    def generation(self):
        return self.status()["generation"]

    @property
    def pid(self):
        return self.process.pid

    def proxy_pid(self):
        """The proxy process: the child of the parent that runs the same binary."""
        for pid in children(self.pid):
            if command_of(pid).startswith(BINARY):
                return pid
        return None

    def app_pid(self):
        for pid in children(self.pid):
            if not command_of(pid).startswith(BINARY):
                return pid
        return None

    def signal(self, number):
        os.kill(self.pid, number)

    def wait_exit(self, timeout=60):
        return self.process.wait(timeout)

    def stop(self, timeout=60):
        """SIGTERM and its drain; the exit code as a shell sees it."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self):
        """kill -9 of everything: nobody gets to say goodbye."""
        try:
            # Stopped first: a parent that runs may start another proxy after the children were listed.
            os.kill(self.pid, signal.SIGSTOP)
        except ProcessLookupError:
            pass
        victims = [self.pid] + children(self.pid)
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(30)
        wait_for(lambda: not any(alive(pid) for pid in victims[1:]), "children of %s gone" % self.name)

    def cli(self, *arguments, **more):
        env = dict(more.pop("env", {}), PILLION_ADMIN="unix:" + self.socket)
        return binary(*arguments, env=env, **more)

    def stderr(self):
        return read(self.err)

    def stdout(self):
        return read(self.out)

    def log_lines(self):
        return json_lines(self.stderr())

    def access_lines(self):
        return [line for line in json_lines(self.stdout()) if line.get("event.dataset") == "pillion.access"]

    def metrics(self):
        return parse_metrics(self.probe("/metrics").body.decode())

    def sanitizer_report(self):
        text = self.stderr()
        found = SANITIZER_REPORT.search(text)
        return text[max(0, found.start() - 500):found.start() + 6000] if found else None

    def end(self):
        """For fixtures, after SIGTERM: whatever its state, it is gone afterwards."""
        if self.process is None:
            return
        try:
            self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("%s did not end within 90 s of SIGTERM" % self.name) from None
        finally:
            if self.short:
                shutil.rmtree(self.short, ignore_errors=True)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def whole_lines(text):
    """Without the last one where it is still being written."""
    return text[:text.rfind("\n") + 1].splitlines()


def json_lines(text):
    found = []
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                pass
    return found


METRIC = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? '
                    r'(-?[0-9.]+(?:e[+-]?[0-9]+)?|NaN|[+-]Inf)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse_metrics(text):
    """Prometheus text 0.0.4 as {(name, frozenset of labels): value}; raises on anything else, also on what only strict
    readers mind: a sample without HELP and TYPE in front of it, a family in two places, an end that is no line."""
    values, types, helps, family = {}, {}, {}, None
    if text and not text.endswith("\n"):
        raise ValueError("the last line does not end")
    for number, line in enumerate(text.split("\n")[:-1]):
        where = "line %d: %r" % (number + 1, line)
        if line.startswith("# HELP "):
            name, told = line[len("# HELP "):].split(" ", 1)
            if name in helps or not told.strip():
                raise ValueError("help twice or empty, " + where)
            helps[name] = told
        elif line.startswith("# TYPE "):
            name, kind = line[len("# TYPE "):].split(" ")
            if name in types or kind not in ("counter", "gauge", "histogram"):
                raise ValueError("type twice or unknown, " + where)
            if kind == "counter" and not name.endswith("_total"):
                raise ValueError("a counter without _total, " + where)
            if name not in helps:
                raise ValueError("no help, " + where)
            types[name] = kind
            family = name
        else:
            found = METRIC.match(line)
            if not found:
                raise ValueError("no metric, " + where)
            name, labels = found.group(1), LABEL.findall(found.group(2) or "")
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            if name != family and (base != family or types[family] != "histogram"):
                raise ValueError("not of the family that was declared last, " + where)
            if types[family] == "histogram" and (name == family or (name.endswith("_bucket") != ("le" in dict(labels)))):
                raise ValueError("no line of a histogram, " + where)
            if len(dict(labels)) != len(labels):
                raise ValueError("a label twice, " + where)
            key = (name, frozenset(labels))
            if key in values:
                raise ValueError("series twice, " + where)
            values[key] = float(found.group(3))
    return values


def metric_sum(metrics, name, **labels):
    wanted = set(labels.items())
    return sum(value for (key, found), value in metrics.items() if key == name and wanted <= found)


def app_command(port, *more):
    return [PYTHON, APP, "--port", str(port)] + [str(word) for word in more]


def pause(seconds):
    """Lets something run for a while: the length of a load, never a condition of a verdict."""
    time.sleep(seconds)


if __name__ == "__main__":
    sys.exit("this is a module")
