"""Reload: atomic, without a failed request (operations.md 6, mesh.md 9.3)."""
import signal
import threading

import pytest

from harness import client, cluster
from harness.ports import free_port, is_free
from harness.sidecar import metric_sum
from harness.waits import wait_for


class Load:
    """Threads that call until they are told to stop."""

    def __init__(self, port, host="orders", threads=3, keep=True, method="GET"):
        self.failed = []
        self.done = 0
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(port, host, keep, method)) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, port, host, keep, method):
        connection = None
        while not self.stopped.is_set():
            try:
                if connection is None or not keep:
                    connection = client.http.client.HTTPConnection("127.0.0.1", port, timeout=client.TIMEOUT)
                answer = client.request_on(connection, "/load", method, host, b"x" if method == "POST" else None)
                good = answer.status == 200
                text = repr(answer)
                if (answer.field("connection") or "").lower() == "close" or not keep:
                    connection.close()
                    connection = None
            except (OSError, client.http.client.HTTPException) as error:
                good, text, connection = False, repr(error), None
            with self.lock:
                self.done += 1
                if not good:
                    self.failed.append(text)

    def more(self, count=30):
        before = self.done
        wait_for(lambda: self.done >= before + count, "calls go on", timeout=60)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def reload(sidecar, code=0):
    done = sidecar.cli("reload")
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.quick
@pytest.mark.threads
def test_reload_and_sighup(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    assert sidecar.generation() == 1
    sidecar.write_config({"services": {"orders": {"timeout": "5s"}}})
    done = reload(sidecar)
    assert "/services/orders/timeout" in done.stdout and "5s" in done.stdout
    assert sidecar.generation() == 2
    sidecar.write_config({"services": {"orders": {"timeout": "6s"}}})
    sidecar.signal(signal.SIGHUP)
    wait_for(lambda: sidecar.generation() == 3, "SIGHUP reloads")
    assert client.request(sidecar.outbound, "/", host="orders").status == 200


def test_dry_run_changes_nothing(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    port = free_port()
    sidecar.write_config({"listeners": {"more": {"kind": "service", "service": "orders", "listen": "127.0.0.1:%d" % port}}})
    done = sidecar.cli("reload", "--dry-run")
    assert done.returncode == 0 and "Nothing was applied (dry run)" in done.stdout
    assert "/listeners/more" in done.stdout and "1 change" in done.stdout
    assert sidecar.generation() == 1 and is_free(port)
    with open(sidecar.file, "a", encoding="ascii") as file:
        file.write("}")
    assert sidecar.cli("reload", "--dry-run").returncode == 78


BAD = [
    ("{", "PIL1010"),
    ('{"service":{"name":"x"},"registry":{"kind":"static"},"nonsense":1}', "PIL1101"),
    ('{"service":{"name":"x","app":{"address":"127.0.0.1:0"}},"registry":{"kind":"static"}}', "PIL1104"),
    ('{"service":{"name":"x"},"registry":{"kind":"static"},"listeners":{"a":{"kind":"service","listen":"127.0.0.1:%(taken)d",'
     '"service":"s"}}}', "PIL2001"),
]


@pytest.mark.parametrize("text,code", BAD, ids=[row[1] for row in BAD])
def test_a_bad_file_changes_nothing(mesh, text, code):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    good = sidecar.config
    if "taken" in text:
        sidecar.write_config({"listeners": {"a": {"kind": "service", "service": "s", "listen": "127.0.0.1:%d" % app.port}}})
    else:
        with open(sidecar.file, "w", encoding="ascii") as file:
            file.write(text)
    done = reload(sidecar, 78)
    assert code in done.stderr, done.stderr
    assert done.stderr.endswith("The running configuration (generation 1) is unchanged.\n"), done.stderr
    if code != "PIL2001":
        assert sidecar.file.split("/")[-1] + ":1:" in done.stderr
    assert sidecar.generation() == 1
    assert client.request(sidecar.outbound, "/", host="orders").status == 200
    sidecar.signal(signal.SIGHUP)
    wait_for(lambda: code in sidecar.stderr(), "SIGHUP logs it")
    assert sidecar.generation() == 1
    wait_for(lambda: metric_sum(sidecar.metrics(), "pillion_config_reloads_total", result="rejected") == 2, "it is counted")
    assert sidecar.generation() == 1
    good["listeners"].pop("a", None)
    sidecar.write_config()
    reload(sidecar)
    assert sidecar.generation() == 2


def test_restart_keys_refuse_the_whole_reload(mesh):
    """RL-06: what runs is always what the file says."""
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    sidecar.write_config({"process": {"workers": 1}, "services": {"orders": {"timeout": "7s"}}})
    done = reload(sidecar, 78)
    assert "PIL2201" in done.stderr and "/process/workers" in done.stderr
    assert sidecar.generation() == 1
    assert '"7s"' not in sidecar.cli("config", "show", "--live", "--effective").stdout
    sidecar.write_config({"process": {"workers": 2}})
    reload(sidecar)
    assert '"7s"' in sidecar.cli("config", "show", "--live", "--effective").stdout


def test_listeners_come_and_go(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    port = free_port()
    sidecar.write_config({"listeners": {"extra": {"kind": "service", "service": "orders", "listen": "127.0.0.1:%d" % port}}})
    reload(sidecar)
    kept = client.dial(port)
    kept.sendall(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.read_answer(kept).status == 200
    slow = []
    thread = threading.Thread(target=lambda: slow.append(client.request(port, "/slow/60")))
    thread.start()
    assert app.slow_started.wait(30)
    sidecar.write_config({"listeners": {"extra": None}})
    reload(sidecar)

    def refused():
        try:
            client.dial(port, 2).close()
            return False
        except OSError:
            return True
    wait_for(refused, "the port is closed")
    app.slow_gate.set()
    thread.join()
    assert slow[0].status == 200, "what was under way on the removed listener finished"
    kept.close()
    sidecar.write_config({"listeners": {"extra": {"kind": "service", "service": "orders", "listen": "127.0.0.1:%d" % port}}})
    reload(sidecar)
    assert client.request(port, "/again").status == 200


def test_a_listener_moves(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    old, new = sidecar.outbound, free_port()
    sidecar.write_config({"listeners": {"outbound": {"listen": "127.0.0.1:%d" % new}}})
    reload(sidecar)
    assert client.request(new, "/", host="orders").status == 200
    wait_for(lambda: is_free(old), "the old port is free")


def test_instances_change_by_reload(mesh):
    """/services/S/instances is of class H: the next exchange."""
    one, two = mesh.app(name="one"), mesh.app(name="two")
    sidecar = mesh.bare(one.port)
    assert client.request(sidecar.outbound, "/", host="orders").json()["app"] == "one"
    sidecar.write_config({"services": {"orders": {"instances": [{"address": "127.0.0.1:%d" % two.port}]},
                                       "later": {"instances": [{"address": "127.0.0.1:%d" % one.port}]}}})
    reload(sidecar)
    wait_for(lambda: client.request(sidecar.outbound, "/", host="orders").json()["app"] == "two", "the new instance is used")
    wait_for(lambda: client.request(sidecar.outbound, "/", host="later").status == 200, "the new service is known")


def test_configured_instances_change_beside_the_registry(mesh):
    """registry.md 12: with the real registry too; without instances in the file the registry is asked."""
    registered, one, two = mesh.app(name="registered"), mesh.app(name="one"), mesh.app(name="two")
    first = cluster.voters(mesh, 1)[0]
    cluster.member(mesh, "orders", [first], app=registered.port)
    caller = cluster.member(mesh, "caller", [first])

    def called():
        return client.request(caller.outbound, "/", host="orders").json()["app"]
    wait_for(lambda: called() == "registered", "the registry's instance is used")
    for app in (one, two):
        caller.write_config({"services": {"orders": {"instances": [{"address": "127.0.0.1:%d" % app.port}]}}})
        reload(caller)
        wait_for(lambda: called() == app.name, "that of the file is used")
    caller.write_config({"services": {"orders": None}})
    reload(caller)
    wait_for(lambda: called() == "registered", "the registry's again")


def test_service_application_moves(mesh):
    one, two = mesh.app(name="one"), mesh.app(name="two")
    sidecar = mesh.sidecar("web", app=one.port)
    assert client.request(sidecar.inbound, "/", host="web").json()["app"] == "one"
    sidecar.write_config({"service": {"app": {"address": "127.0.0.1:%d" % two.port}}})
    reload(sidecar)
    wait_for(lambda: client.request(sidecar.inbound, "/", host="web").json()["app"] == "two", "the new address is used")


def test_if_generation(mesh):
    sidecar = mesh.sidecar("web")
    assert sidecar.cli("reload", "--if-generation", "1").returncode == 0
    assert sidecar.cli("reload", "--if-generation", "1").returncode == 75
    assert sidecar.generation() == 2


def test_many_callers_at_once(mesh):
    """RL-03: each gets the outcome of a read that began after its call."""
    sidecar = mesh.sidecar("web")
    codes = []

    def one():
        codes.append(sidecar.cli("reload").returncode)
    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 12
    assert 2 <= sidecar.generation() <= 13


def test_reloads_under_a_small_load(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    load = Load(sidecar.outbound, threads=2)
    for i in range(10):
        sidecar.write_config({"services": {"orders": {"timeout": "%ds" % (i + 10)}}})
        reload(sidecar)
        load.more(10)
    load.stop()
    assert load.failed == [] and load.done >= 100


@pytest.mark.plain
def test_a_hundred_reloads_under_load(mesh):
    """OT-08: good and bad ones, listeners that come and go; 0 failed."""
    app = mesh.app()
    front, behind = mesh.pair(app.port)
    loads = [Load(front.outbound, threads=2), Load(front.outbound, threads=2, keep=False),
             Load(front.outbound, threads=1, method="POST")]
    for i in range(100):
        one = (front, behind)[i % 2]
        port = free_port()
        if i % 10 == 9:
            with open(one.file, "w", encoding="ascii") as file:
                file.write('{"bad": true}')
            reload(one, 78)
            one.write_config()
        else:
            one.write_config({"services": {"*": {"timeout": "%ds" % (i + 100)}}, "listeners": {
                "extra": None if i % 4 >= 2 else {"kind": "service", "service": "orders",
                                                  "listen": "127.0.0.1:%d" % port}}})
            reload(one)
        loads[0].more(5)
    for load in loads:
        load.stop()
    assert [load.failed for load in loads] == [[], [], []]
    assert sum(load.done for load in loads) > 500
    assert front.generation() > 40 and behind.generation() > 40
