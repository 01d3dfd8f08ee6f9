#!/usr/bin/python3
"""The demo: a mesh of plain processes, used, broken and explained. Every claim it prints was checked;
it exits with 0 only when all of them held, and leaves nothing behind (unless --keep)."""
import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
APP = os.path.join(HERE, "app.py")
PYTHON = "/usr/bin/python3"
WAIT = 60.0  # a generous bound for any one event


class Failed(Exception):
    pass


def eventually(what, check, seconds=WAIT):
    """Waits for an event, not for a time."""
    end = time.monotonic() + max(seconds, WAIT)
    last = None
    while time.monotonic() < end:
        try:
            last = check()
            if last:
                return last
        except (Failed, OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired) as error:
            last = error
        time.sleep(0.05)
    raise Failed("%s: not within %d s (last: %s)" % (what, seconds, last))


class Mesh:
    def __init__(self, pillion, keep):
        self.pillion = pillion
        self.keep = keep
        self.folder = tempfile.mkdtemp(prefix="pillion-demo-")
        self.running = {}   # name -> Popen
        self.commands = {}  # name -> (arguments, environment)
        self.ports = {}     # name -> base port
        self.step_number = 0

    def step(self, title, why):
        self.step_number += 1
        print("\n%2d. %s\n    %s" % (self.step_number, title, why), flush=True)

    def show(self, command):
        print("    $ %s" % command, flush=True)

    def check(self, claim, true, detail=""):
        print("    %s %s" % ("ok  " if true else "FAIL", claim), flush=True)
        if not true:
            raise Failed("%s %s" % (claim, detail))

    # -- processes ---------------------------------------------------------------------------

    def start(self, name, base, arguments, environment=None, quiet=False):
        """One sidecar with explicit ports: base (mesh), base + 1 (outbound), base + 2 (admin)."""
        data = os.path.join(self.folder, name)
        command = [self.pillion, "run", "--data-dir", data,
                   "--set", '/listeners/inbound/listen="127.0.0.1:%d"' % base,
                   "--set", '/listeners/outbound/listen="127.0.0.1:%d"' % (base + 1),
                   "--set", '/admin/address="127.0.0.1:%d"' % (base + 2),
                   "--set", '/admin/socket="%s"' % os.path.join(data, "admin.sock"),
                   "--set", '/log/access/output="%s"' % os.path.join(self.folder, name + ".access")]
        command += arguments
        self.commands[name] = (command, environment or {})
        self.ports[name] = base
        self.spawn(name, quiet)

    def spawn(self, name, quiet=False):
        command, environment = self.commands[name]
        if not quiet:
            self.show("pillion run " + " ".join(
                "'%s'" % word if " " in word or '"' in word else word
                for word in command[2:] if True) if self.keep else self.short(command))
        log = open(os.path.join(self.folder, name + ".log"), "ab")
        self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              env=dict(os.environ, **environment))
        log.close()

    def short(self, command):
        words = []
        skip = False
        for word in command[2:]:
            if skip:
                skip = False
            elif word in ("--set", "--data-dir"):
                skip = True
            else:
                words.append(word.replace(PYTHON, "python3").replace(HERE, "docker/demo"))
        return "pillion run " + " ".join(words)

    def children(self, pid):
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % entry, encoding="ascii", errors="replace") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == pid and state != "Z":
                found.append(int(entry))
        return found

    def ended(self, pid):
        """With all its threads: only then are its ports free."""
        try:
            threads = os.listdir("/proc/%d/task" % pid)
            states = []
            for thread in threads:
                with open("/proc/%d/task/%s/stat" % (pid, thread), encoding="ascii", errors="replace") as file:
                    states.append(file.read().rpartition(")")[2].split()[0])
        except FileNotFoundError:
            return not os.path.exists("/proc/%d" % pid)
        except ProcessLookupError:
            return True
        return all(state in ("Z", "X") for state in states)

    def family(self, name):
        """(parent, proxy process, application) of a sidecar; None where there is none."""
        parent = self.running[name].pid
        proxy = application = None
        for child in self.children(parent):
            try:
                with open("/proc/%d/cmdline" % child, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if os.path.basename(words[0]).startswith(b"pillion"):
                proxy = child
            else:
                application = child
        return parent, proxy, application

    def kill_sidecar(self, name):
        """kill -9 of the whole sidecar, as a crash of its host would."""
        os.kill(self.running[name].pid, signal.SIGSTOP)  # it must not start a child that is not in the list
        victims = [pid for pid in self.family(name) if pid]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.running[name].wait()
        eventually("%s is gone" % name, lambda: all(self.ended(pid) for pid in victims))

    def cli(self, name, *arguments, check=True):
        command = [self.pillion, "--addr", "unix:" + os.path.join(self.folder, name, "admin.sock")]
        done = subprocess.run(command + list(arguments), capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise Failed("pillion %s: %s%s" % (" ".join(arguments), done.stdout, done.stderr))
        return done.stdout

    def curl(self, name, *arguments, check=True):
        port = self.ports[name] + 1
        command = ["curl", "-sS", "--max-time", "60"] + [
            word.replace("OUTBOUND", "http://127.0.0.1:%d" % port) for word in arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
        if check and done.returncode != 0:
            raise Failed("curl: %s" % done.stderr.strip())
        return done.stdout

    def status_of(self, name, *arguments):
        return self.curl(name, "-o", "/dev/null", "-w", "%{http_code}", *arguments, check=False)

    def leader(self, names):
        for name in names:
            if self.running[name].poll() is not None:
                continue
            try:
                raft = json.loads(self.cli(name, "raft", "status", "-o", "json"))
            except (Failed, ValueError, subprocess.TimeoutExpired):
                continue
            if raft.get("role") == "leader":
                return name
        return None

    def stop_all(self):
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + 90
        for process in self.running.values():
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def clean(self):
        self.stop_all()
        if os.environ.get("DEMO_KEEP_LOGS"):
            print("logs: %s" % self.folder)
            return
        shutil.rmtree(self.folder, ignore_errors=True)


class Load(threading.Thread):
    """Repeatable calls (GET, and gRPC methods that say they are harmless) without a pause; counts what
    did not come back as 200."""

    def __init__(self, mesh, name, kind):
        super().__init__(daemon=True)
        self.port = mesh.ports[name] + 1
        self.kind = kind
        self.done = 0
        self.failed = []
        self.stopping = False

    def one(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            if self.kind == "page":
                connection.request("GET", "/", headers={"Host": "shop"})
            elif self.kind == "order":
                connection.request("GET", "/orders/7", headers={"Host": "orders"})
            else:
                connection.request("POST", "/shop.Stock/Get", '{"sku":"a1"}',
                                   {"Host": "stock", "Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read()
            return response.status, body[:200]
        finally:
            connection.close()

    def run(self):
        while not self.stopping:
            try:
                status, body = self.one()
                if status != 200:
                    self.failed.append("%d %s" % (status, body))
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
            self.done += 1

    def end(self):
        self.stopping = True
        self.join(120)
        return self.done, self.failed


def grpc_call(port, service, method, request):
    """A gRPC caller of its own: the channel's authority names the service."""
    code = (
        "import sys, grpc\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "import app\n"
        "shop, _ = app.generated()\n"
        "channel = grpc.insecure_channel(sys.argv[1], options=[('grpc.default_authority', sys.argv[2])])\n"
        "call = channel.unary_unary('/shop.Orders/Get', request_serializer=shop.OrderId.SerializeToString,\n"
        "                           response_deserializer=shop.Order.FromString)\n"
        "print(call(shop.OrderId(id=7), timeout=60).customer)\n")
    done = subprocess.run([PYTHON, "-c", code, "127.0.0.1:%d" % port, service, HERE],
                          capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failed("grpc: " + done.stderr[-500:])
    return done.stdout.strip()


VOTERS = ["voter1", "voter2", "voter3"]


def start_mesh(mesh):
    mesh.step("Start the registry: three voters without an application",
              "The first creates the cluster, the others join it and are promoted.")
    mesh.start("voter1", 17440, ["--name", "voter1", "--bootstrap"])
    eventually("the first voter leads", lambda: mesh.leader(["voter1"]))
    for number in (2, 3):
        mesh.start("voter%d" % number, 17440 + 20 * (number - 1),
                   ["--name", "voter%d" % number, "--role", "voter", "--join", "127.0.0.1:17440"])

    def three():
        raft = json.loads(mesh.cli("voter1", "raft", "status", "-o", "json"))
        return sum(1 for peer in raft.get("peers", []) if peer.get("role") == "voter") == 3
    eventually("three voters", three)
    eventually("a leader", lambda: mesh.leader(VOTERS))
    mesh.check("three voters, one leader", True)
    mesh.show("pillion raft status")
    print(indent(mesh.cli("voter1", "raft", "status")))

    mesh.step("Start the applications, each beside its own sidecar",
              "shop speaks HTML over HTTP/1.0, orders JSON, stock gRPC. None of them knows of the others' addresses.")
    join = "127.0.0.1:17440,127.0.0.1:17460,127.0.0.1:17480"
    descriptors = os.path.join(mesh.folder, "shop.pb")
    subprocess.run(["protoc", "-I", os.path.join(HERE, "schema"), "-I", "/usr/include", "--include_imports",
                    "-o", descriptors, os.path.join(HERE, "schema", "shop.proto")], check=True)
    events = {"DEMO_EVENTS": os.path.join(mesh.folder, "events"),
              "DEMO_MENDED": os.path.join(mesh.folder, "mended")}
    for number in (1, 2):
        mesh.start("stock%d" % number, 17500 + 20 * (number - 1),
                   ["--name", "stock", "--port", str(19000 + number), "--join", join,
                    "--", PYTHON, APP, "stock", str(19000 + number)])
    mesh.start("orders", 17540,
               ["--name", "orders", "--port", "18080", "--join", join, "--speaks", "json",
                "--proto", descriptors, "--subscribe", "stock.low/orders=/events",
                "--", PYTHON, APP, "orders", "18080"], events)
    mesh.start("shop", 17560, ["--name", "shop", "--port", "18081", "--join", join,
                               "--", PYTHON, APP, "shop", "18081"])
    for name in ("stock1", "stock2", "orders", "shop"):
        eventually(name + " is ready", lambda: mesh.cli(name, "health", "--ready") is not None, 60)
    two_of_stock(mesh)
    mesh.show("pillion instances stock")
    print(indent(mesh.cli("shop", "instances", "stock")))


def two_of_stock(mesh):
    """Both who call it know both."""
    for name in ("shop", "orders"):
        eventually("two instances at " + name, lambda: len(json.loads(
            mesh.cli(name, "instances", "stock", "-o", "json"))["items"]) == 2)


def indent(text):
    return "\n".join("      " + line for line in text.rstrip().splitlines())


def use_mesh(mesh):
    mesh.step("The page made by all three", "shop asks orders, orders asks stock, each by name through its sidecar.")
    mesh.show("curl -H 'host: shop' http://127.0.0.1:17561/")

    def whole_page():  # each sidecar hears of the others in moments of its own
        page = mesh.curl("shop", "-H", "host: shop", "OUTBOUND/")
        if "Ada" not in page or "stock-" not in page:
            raise Failed(page)
        return page
    print(indent(eventually("one page from three programs", whole_page)))
    mesh.check("one page from three programs", True)

    mesh.step("JSON in, gRPC served, JSON out", "The callee's sidecar translates; the schema came by reflection, nothing was configured.")
    mesh.show("curl -H 'host: stock' --json '{\"sku\":\"a1\"}' http://127.0.0.1:17561/shop.Stock/Get")
    answer = mesh.curl("shop", "-H", "host: stock", "--json", '{"sku":"a1"}', "OUTBOUND/shop.Stock/Get")
    print(indent(answer))
    mesh.check("the gRPC application answered in JSON", json.loads(answer)["left"] == "40", answer)
    answer = mesh.curl("shop", "-H", "host: stock", "--json", '{"skuu":"a1"}', "OUTBOUND/shop.Stock/Get")
    print(indent(answer))
    mesh.check("a wrong field is named", "codec_request" in answer and "skuu" in answer, answer)

    mesh.step("gRPC in, JSON served", "A gRPC client calls the JSON application, whose sidecar has its descriptor file.")
    customer = grpc_call(17561, "orders", "/shop.Orders/Get", None)
    mesh.check("the JSON application answered a gRPC call", customer == "Ada", customer)

    mesh.step("The spread over both instances", "random-hash: two draws, the less loaded one is taken.")
    counts = {}
    for _ in range(60):
        answer = json.loads(mesh.curl("shop", "-H", "host: stock", "--json", '{"sku":"a1"}',
                                      "OUTBOUND/shop.Stock/Get"))
        counts[answer["instance"]] = counts.get(answer["instance"], 0) + 1
    print("      %s" % "  ".join("%s: %d" % pair for pair in sorted(counts.items())))
    mesh.check("both instances serve", len(counts) == 2 and min(counts.values()) >= 8, str(counts))


def under_load(mesh, claim, action):
    loads = [Load(mesh, "shop", kind) for kind in ("stock", "stock", "order", "page")]
    for load in loads:
        load.start()
    time.sleep(0.5)
    try:
        action()
        time.sleep(1.0)
    finally:
        ended = [load.end() for load in loads]
    calls = sum(done for done, _ in ended)
    failed = [text for _, failures in ended for text in failures]
    mesh.check("%s: %d calls, %d failed" % (claim, calls, len(failed)), not failed and calls > 0,
               "; ".join(failed[:3]))


def break_mesh(mesh):
    mesh.step("kill -9 of one stock application under load", "The calls are repeatable: they move to the other instance.")

    def kill_application():
        _, _, application = mesh.family("stock1")
        mesh.show("kill -9 %d   # the application of stock1" % application)
        os.kill(application, signal.SIGKILL)
        eventually("its sidecar ends with it", lambda: mesh.running["stock1"].poll() is not None)
    under_load(mesh, "application killed", kill_application)
    code = mesh.running["stock1"].returncode
    mesh.check("the sidecar ended with its application's code (%d)" % code, code == 137)
    mesh.spawn("stock1")
    eventually("stock1 is back", lambda: mesh.cli("stock1", "health", "--ready") is not None, 60)
    two_of_stock(mesh)

    mesh.step("kill -9 of a whole sidecar under load", "Its connections break in the middle of calls.")
    under_load(mesh, "sidecar killed", lambda: (mesh.show("kill -9   # stock2 with its application"),
                                                mesh.kill_sidecar("stock2")))
    mesh.spawn("stock2")
    eventually("stock2 is back", lambda: mesh.cli("stock2", "health", "--ready") is not None, 60)

    mesh.step("kill -9 of the Raft leader under load", "Calls do not need the registry; a new leader takes registrations at once.")
    leader = eventually("a leader", lambda: mesh.leader(VOTERS))

    def kill_leader():
        mesh.show("kill -9   # %s, the leader" % leader)
        mesh.kill_sidecar(leader)
        join = ",".join("127.0.0.1:%d" % (17440 + 20 * i) for i in range(3))
        mesh.start("late", 17580, ["--name", "late", "--port", "18082", "--join", join,
                                   "--", PYTHON, APP, "orders", "18082"])
        eventually("the registration of `late`", lambda: mesh.cli("late", "health", "--ready") is not None)
    under_load(mesh, "leader killed, a registration accepted after it", kill_leader)
    rest = [name for name in VOTERS if name != leader]
    mesh.check("%s leads now" % eventually("a new leader", lambda: mesh.leader(rest)), True)

    mesh.step("All voters killed: calls go on", "Every sidecar keeps what it last knew, without a time limit.")

    def kill_voters():
        for name in rest:
            mesh.show("kill -9   # %s" % name)
            mesh.kill_sidecar(name)
        time.sleep(2)
    under_load(mesh, "no registry at all", kill_voters)

    mesh.step("The voters come back: nothing was forgotten", "The log on their disks says who was there.")
    for name in VOTERS:
        mesh.spawn(name)
    eventually("a leader", lambda: mesh.leader(VOTERS))

    def listed():  # a voter that was down reads its own copy: it catches up within moments of the election
        names = {item["name"] for item in json.loads(mesh.cli("voter1", "services", "-o", "json"))["items"]}
        missing = {"stock", "orders", "shop", "late"} - names
        if missing:
            raise Failed("voter1 does not list %s" % ", ".join(sorted(missing)))
        return True
    eventually("the services", listed)
    mesh.show("pillion services")
    print(indent(mesh.cli("voter1", "services")))
    mesh.check("stock, orders, shop and late are registered", True)


def received(mesh):
    try:
        with open(os.path.join(mesh.folder, "events"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except OSError:
        return []


def publish(mesh):
    mesh.step("A message is published while its subscriber is down", "On disk before the 200; the group orders gets it when it is back.")
    mesh.show("curl --json '{\"sku\":\"b2\",\"n\":1}' http://127.0.0.1:17561/v1/pub/stock.low")
    print(indent(mesh.curl("shop", "--json", '{"sku":"b2","n":1}', "OUTBOUND/v1/pub/stock.low")))
    eventually("the first message", lambda: any(event.get("n") == 1 for event in received(mesh)))
    mesh.check("delivered to the application by POST /events", True)
    mesh.kill_sidecar("orders")
    mesh.show("kill -9   # orders, application and sidecar")
    answer = mesh.curl("shop", "--json", '{"sku":"b2","n":2}', "OUTBOUND/v1/pub/stock.low")
    print(indent(answer))
    mesh.check("published while nobody listens", json.loads(answer).get("durability") == "fsync", answer)
    mesh.spawn("orders")
    eventually("orders is back", lambda: mesh.cli("orders", "health", "--ready") is not None, 60)
    eventually("the second message", lambda: any(event.get("n") == 2 for event in received(mesh)), 60)
    mesh.check("received after the restart", True)

    mesh.step("A message that always fails", "422 from the application: dead letter, with the application's answer.")
    mesh.curl("shop", "--json", '{"sku":"zz","bad":true,"n":3}', "OUTBOUND/v1/pub/stock.low")

    def dead():
        listed = json.loads(mesh.cli("shop", "dlq", "ls", "stock.low/orders", "-o", "json"))["items"]
        return listed and listed[0]
    letter = eventually("the dead letter", dead)
    mesh.show("pillion dlq ls stock.low/orders")
    print(indent(mesh.cli("shop", "dlq", "ls", "stock.low/orders")))
    mesh.check("the application's answer stands beside it", "does not know this sku" in json.dumps(letter), str(letter))
    with open(os.path.join(mesh.folder, "mended"), "w", encoding="ascii"):
        pass
    mesh.show("pillion dlq replay stock.low/orders")
    mesh.cli("shop", "dlq", "replay", "stock.low/orders")
    eventually("the replayed message", lambda: any(event.get("n") == 3 for event in received(mesh)))
    mesh.check("mended and replayed: received", True)


def under_way(mesh, name):
    return json.loads(mesh.cli(name, "status", "-o", "json"))["traffic"]["in_flight"]


def errors_and_drain(mesh):
    mesh.step("A call to a service that nobody knows", "The answer says which name, why, and that nothing was processed.")
    mesh.show("curl -i -H 'host: pay' http://127.0.0.1:17561/")
    answer = mesh.curl("shop", "-i", "-H", "host: pay", "OUTBOUND/")
    print(indent(answer))
    mesh.check("503, service_unknown, not-processed", "service_unknown" in answer
               and "not-processed" in answer and " 503" in answer, answer)

    mesh.step("SIGTERM: the drain", "A slow request is finished, calls move away, the exit code is the application's.")
    slow = subprocess.Popen(["curl", "-sS", "--max-time", "90", "-H", "host: orders", "http://127.0.0.1:17561/slow"],
                            stdout=subprocess.PIPE, text=True)
    eventually("the request is under way", lambda: under_way(mesh, "orders") == 1)
    mesh.show("kill -TERM %d   # the sidecar of orders" % mesh.running["orders"].pid)
    mesh.running["orders"].send_signal(signal.SIGTERM)
    body = slow.communicate(timeout=120)[0]
    mesh.check("the slow request was answered", "slow" in body, body)
    mesh.running["orders"].wait(90)
    mesh.check("exit code %d" % mesh.running["orders"].returncode, mesh.running["orders"].returncode == 0)
    eventually("orders left the registry", lambda: not [
        item for item in json.loads(mesh.cli("shop", "instances", "orders", "-o", "json"))["items"]])
    mesh.check("the registry forgot the instance at once: it had said goodbye", True)


def no_proxies():
    """What this machine's user configured for the world outside would take calls to 127.0.0.1 along."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]


def main():
    no_proxies()
    parser = argparse.ArgumentParser()
    parser.add_argument("--pillion", required=True)
    parser.add_argument("--keep", action="store_true", help="leave the mesh running")
    arguments = parser.parse_args()
    mesh = Mesh(os.path.abspath(arguments.pillion), arguments.keep)
    began = time.monotonic()
    code = 0
    try:
        start_mesh(mesh)
        use_mesh(mesh)
        break_mesh(mesh)
        publish(mesh)
        errors_and_drain(mesh)
        print("\nEvery claim above was checked. %.0f s." % (time.monotonic() - began))
        if arguments.keep:
            mesh.spawn("orders", quiet=True)
            print("\nThe mesh runs on. Try:\n"
                  "  curl -H 'host: shop' http://127.0.0.1:17561/\n"
                  "  export PILLION_ADMIN=unix:%s/shop/admin.sock\n"
                  "  pillion services; pillion instances stock; pillion status\n"
                  "Logs are in %s. Ctrl-C ends it." % (mesh.folder, mesh.folder))
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            try:
                signal.pause()
            except KeyboardInterrupt:
                pass
    except (Failed, subprocess.SubprocessError, KeyboardInterrupt) as error:
        code = 1
        print("\nThe demo failed: %s" % error)
        for name in sorted(mesh.commands):
            path = os.path.join(mesh.folder, name + ".log")
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    tail = file.read().splitlines()[-6:]
                print("--- %s" % name)
                print("\n".join(line[:400] for line in tail))
    finally:
        mesh.clean()
    return code


if __name__ == "__main__":
    sys.exit(main())
