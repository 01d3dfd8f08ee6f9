"""The life of a sidecar and its application: two processes, signals, exit codes (mesh.md 9, docs/parent.md)."""
import json
import os
import signal
import threading

import pytest

from harness import client
from harness.h2peer import H2Origin
from harness.ports import free_port
from harness.sidecar import APP, PYTHON, app_command, binary, metric_sum, whole_lines
from harness.waits import alive, children, wait_for


def run_to_end(mesh, command, **more):
    """A sidecar whose application ends by itself."""
    sidecar = mesh.sidecar("job", start=False, command=command, config={
        "service": {"app": {"address": "127.0.0.1:%d" % free_port(), "check": "none"}}}, **more)
    sidecar.start(wait=False)
    return sidecar.wait_exit(), sidecar


@pytest.mark.quick
@pytest.mark.parametrize("command,code", [
    (["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137), (["sh", "-c", "kill -SEGV $$"], 139)])
def test_exit_code_is_that_of_the_application(mesh, command, code):
    assert run_to_end(mesh, command)[0] == code


@pytest.mark.parametrize("command,code", [(["/nowhere/to/be/found"], 127), (["/etc/passwd"], 126)])
def test_command_that_cannot_be_started(mesh, command, code):
    ended, sidecar = run_to_end(mesh, command)
    assert ended == code
    assert command[0] in sidecar.stderr() and "PIL2020" in sidecar.stderr()


def test_output_of_the_application_is_untouched(mesh):
    code, sidecar = run_to_end(mesh, ["sh", "-c", "echo to-stdout; echo to-stderr >&2; cat; exit 3"])
    assert code == 3
    assert "to-stdout\n" in sidecar.stdout() and "to-stderr\n" in sidecar.stderr()


@pytest.mark.threads
def test_environment_of_the_application(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port), env={"MINE": "kept", "NOTIFY_SOCKET": "/tmp/no"})
    env = client.request(sidecar.inbound, "/environment", host="web").json()
    assert env["PILLION_OUTBOUND"] == "127.0.0.1:%d" % sidecar.outbound
    assert env["PILLION_SERVICE"] == "web"
    assert env["PILLION_INSTANCE"] == sidecar.status()["instance"]
    assert env["MINE"] == "kept" and "NOTIFY_SOCKET" not in env and "HTTP_PROXY" not in env


def test_env_proxy(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port), arguments=["--env-proxy"],
                           env={"http_proxy": "http://mine:1"})
    env = client.request(sidecar.inbound, "/environment", host="web").json()
    assert env["HTTP_PROXY"] == "http://127.0.0.1:%d" % sidecar.outbound
    assert env["http_proxy"] == "http://mine:1", "only if unset"
    assert env["MICRO_PROXY"] == "127.0.0.1:%d" % sidecar.outbound
    assert "127.0.0.1" in env["no_proxy"]


def test_application_has_its_own_group_and_a_fresh_signal_state(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port))
    app = sidecar.app_pid()
    assert os.getpgid(app) == app and os.getpgid(app) != os.getpgid(sidecar.pid)
    with open("/proc/%d/status" % app, encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
    assert int(status["SigBlk"], 16) == 0
    with open("/proc/self/status", encoding="ascii") as file:
        mine = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
    assert status["NoNewPrivs"] == mine["NoNewPrivs"], "PR-01: the application does not inherit this"
    with open("/proc/%d/status" % sidecar.proxy_pid(), encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["CapEff"], 16) == 0
    assert os.readlink("/proc/%d/fd/0" % app) == "/dev/null"
    inherited = []
    for fd in os.listdir("/proc/%d/fd" % app):
        try:
            inherited.append(os.readlink("/proc/%d/fd/%s" % (app, fd)))
        except FileNotFoundError:
            pass  # a connection of a health check that has ended meanwhile
    with open("/proc/net/tcp", encoding="ascii") as file:
        listening = {line.split()[9] for line in file.read().splitlines()[1:]
                     if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) in
                     (sidecar.inbound, sidecar.outbound, sidecar.admin)}
    for inode in listening:
        assert "socket:[%s]" % inode not in inherited, "no socket of ours leaks into the application"


@pytest.mark.quick
@pytest.mark.threads
def test_drain_finishes_a_slow_request(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port), config={"process": {"grace": "100s"}})
    answers = []
    slow = threading.Thread(target=lambda: answers.append(client.request(sidecar.inbound, "/slow/60", host="web", timeout=90)))
    slow.start()
    wait_for(lambda: sidecar.status()["traffic"]["in_flight"] == 1, "it is under way")
    assert client.request(sidecar.admin, "/readyz").status == 200
    app = sidecar.app_pid()
    sidecar.signal(signal.SIGTERM)
    wait_for(lambda: sidecar.probe("/readyz").status == 503, "not ready while it drains")
    assert sidecar.probe("/livez").status == 200, "D-01: never liveness"
    assert client.request(port, "/release").status == 200
    slow.join()
    assert answers[0].status == 200 and answers[0].body == b"slow done\n"
    assert sidecar.wait_exit() == 0
    assert not alive(app)


def test_app_may_call_out_while_it_stops(mesh):
    """ML-24: outbound goes on serving until the application has exited."""
    other = mesh.app(name="orders")
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port, "--call-on-term", "orders", "--exit-on-term", 5),
                           config={"process": {"grace": "100s"}, "services": {
                               "orders": {"instances": [{"address": "127.0.0.1:%d" % other.port}]}}})
    assert sidecar.stop() == 5
    assert "last words: 200" in sidecar.stdout()
    assert any(path == "/last-words" for _, path, _, _ in other.seen)


def test_app_that_ignores_sigterm_is_killed(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port, "--ignore-term"), config={"process": {"grace": "2s"}})
    app = sidecar.app_pid()
    assert sidecar.stop() == 137
    assert not alive(app)


def test_second_sigterm_hurries(mesh):
    """ML-24: straight to the application, whatever is still in flight."""
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port, "--exit-on-term", 4),
                           config={"process": {"grace": "3000s"}})
    threading.Thread(target=lambda: client.raw(
        sidecar.inbound, b"GET /slow/3000 HTTP/1.1\r\nHost: web\r\n\r\n", timeout=120), daemon=True).start()
    wait_for(lambda: sidecar.status()["traffic"]["in_flight"] == 1, "it is under way")
    sidecar.signal(signal.SIGTERM)
    wait_for(lambda: sidecar.status()["phase"] == "draining", "draining")
    assert sidecar.process.poll() is None
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 4


def test_third_sigterm_ends_everything(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port, "--ignore-term"),
                           config={"process": {"grace": "3000s"}})
    app = sidecar.app_pid()
    sidecar.signal(signal.SIGTERM)
    wait_for(lambda: sidecar.status()["phase"] in ("draining", "stopping"), "first signal seen")

    def another():
        """Signals that are sent at once may arrive as one."""
        sidecar.signal(signal.SIGTERM)
        return sidecar.process.poll() is not None
    wait_for(another, "the last signal ends it", every=0.2)
    assert sidecar.wait_exit() == 137
    wait_for(lambda: not alive(app), "the application is gone")


def test_ctrl_c_reaches_the_parent_alone(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port, "--exit-on-term", 0))
    for pid in [sidecar.pid, sidecar.proxy_pid()]:
        os.kill(pid, signal.SIGINT)  # what a terminal does to the foreground group
    assert sidecar.wait_exit() == 0
    assert "started again" not in sidecar.stderr()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_proxy_process_is_started_again(mesh, number):
    """docs/parent.md: on the same sockets, while the application lives."""
    port = free_port()
    other = mesh.app(name="orders")
    sidecar = mesh.sidecar("web", app=port, command=app_command(port), config={"services": {
        "orders": {"instances": [{"address": "127.0.0.1:%d" % other.port}]}}})
    app, proxy = sidecar.app_pid(), sidecar.proxy_pid()
    instance = sidecar.status()["instance"]
    os.kill(proxy, number)
    wait_for(lambda: sidecar.proxy_pid() not in (None, proxy), "another proxy process")
    answer = client.request(sidecar.outbound, "/waited", host="orders")
    assert answer.status == 200, "a connection that waited in the accept queue is served"
    wait_for(lambda: client.request(sidecar.inbound, "/", host="web").status == 200, "inbound serves again")
    assert sidecar.app_pid() == app and alive(app)
    assert sidecar.status()["instance"] == instance
    assert sidecar.stop() == 0


def test_no_connect_is_refused_while_the_proxy_restarts(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    refused, reset_ones, done, stop = [], [], [0], threading.Event()

    def load():
        while not stop.is_set():
            try:
                if client.request(sidecar.outbound, "/", host="orders").status == 200:
                    done[0] += 1
            except ConnectionRefusedError as error:
                refused.append(error)
            except OSError as error:
                reset_ones.append(error)
            except client.http.client.HTTPException as error:
                reset_ones.append(error)
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        proxy = wait_for(sidecar.proxy_pid, "a proxy process")
        before = done[0]
        wait_for(lambda: done[0] > before + 20, "calls go on")
        os.kill(proxy, signal.SIGKILL)
        wait_for(lambda: sidecar.proxy_pid() not in (None, proxy), "another proxy process")
    before = done[0]
    wait_for(lambda: done[0] > before + 20, "calls go on")
    stop.set()
    for thread in threads:
        thread.join()
    assert refused == []
    assert len(reset_ones) <= 9, "only what was in flight on the victim"


def test_death_of_the_parent_ends_both_others(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port))
    app, proxy = sidecar.app_pid(), sidecar.proxy_pid()
    os.kill(sidecar.pid, signal.SIGKILL)
    sidecar.wait_exit()
    wait_for(lambda: not alive(app) and not alive(proxy), "nobody is left")


def test_application_that_ends_takes_the_sidecar_along(mesh):
    """ML-25: what is in flight hears 502, the exit code is the application's."""
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port))
    got = []
    waiting = threading.Thread(target=lambda: got.append(client.raw(
        sidecar.inbound, b"GET /slow/60 HTTP/1.1\r\nHost: web\r\n\r\n")))
    waiting.start()
    wait_for(lambda: sidecar.status()["traffic"]["in_flight"] == 1, "it is under way")
    client.raw(sidecar.inbound, b"GET /exit/9 HTTP/1.1\r\nHost: web\r\n\r\n")  # its own answer may be cut, too
    waiting.join()
    assert got[0] == b"" or (got[0].startswith(b"HTTP/1.1 502 ") and
                             (b"app_exited" in got[0] or b"upstream_" in got[0]))
    assert sidecar.wait_exit() == 9


def test_restart_on_failure(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, command=app_command(port), config={
        "service": {"app": {"restart": "on-failure"}}})
    instance, app = sidecar.status()["instance"], sidecar.app_pid()
    os.kill(app, signal.SIGKILL)
    wait_for(lambda: sidecar.app_pid() not in (None, app), "it is started again")
    wait_for(lambda: client.request(sidecar.inbound, "/", host="web").status == 200, "and serves")
    assert sidecar.status()["instance"] == instance
    assert sidecar.stop() == 0


def test_not_ready_before_the_application_listens(mesh):
    port = free_port()
    gate = mesh.path("gate")
    sidecar = mesh.sidecar("web", app=port, ready=False, command=[
        "sh", "-c", "while [ ! -e %s ]; do sleep 0.05; done; exec %s %s --port %d" % (gate, PYTHON, APP, port)])
    assert sidecar.probe("/startupz").status == 200, "HE-02: it does not wait for the application"
    answer = sidecar.probe("/readyz")
    assert answer.status == 503 and b"app" in answer.body
    inbound = client.request(sidecar.inbound, "/", host="web")
    assert (inbound.status, inbound.reason, inbound.outcome) == (503, "app_not_ready", "not-processed")
    with open(gate, "w", encoding="ascii"):
        pass
    sidecar.wait_ready()
    assert client.request(sidecar.inbound, "/", host="web").status == 200


def test_health_check_by_path(mesh):
    app = mesh.app(fail_with=500)
    sidecar = mesh.sidecar("web", app=app.port, ready=False, config={"service": {"app": {
        "check": {"http": "/healthz"}, "check_interval": "200ms"}}})
    wait_for(lambda: any(path == "/healthz" for _, path, _, _ in app.seen), "it is asked")
    assert sidecar.probe("/readyz").status == 503
    app.fail_with = 0
    sidecar.wait_ready()


def test_no_check_waits_for_nothing(mesh):
    """mesh.md MH-01, MH-05: ready before anybody listens; later what speaks HTTP/2 is met in HTTP/2."""
    port = free_port()
    sidecar = mesh.sidecar("web", app=port, config={"service": {"app": {"check": "none"}}})
    inbound = client.request(sidecar.inbound, "/", host="web")
    assert (inbound.status, inbound.reason, inbound.outcome) == (503, "app_unreachable", "not-processed")
    mesh.origins.append(H2Origin(port))
    wait_for(lambda: client.request(sidecar.inbound, "/", host="web").status == 200, "it is found out")
    assert sidecar.probe("/readyz").status == 200


def test_signals_go_on_to_the_application(mesh):
    told, port = mesh.path("told"), free_port()
    code = ("import signal,socket,time\n"
            "def note(n,_): open(%r,'a').write('%%d\\n' %% n)\n"
            "for n in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGHUP): signal.signal(n, note)\n"
            "s=socket.create_server(('127.0.0.1', %d)); note(0, 0)\n"
            "while True: time.sleep(1)\n") % (told, port)
    sidecar = mesh.sidecar("web", app=port, command=[PYTHON, "-c", code])

    def heard():
        with open(told, encoding="ascii") as file:
            return [int(line) for line in file.read().split()]
    wait_for(heard, "it runs")
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT):
        sidecar.signal(number)
        wait_for(lambda: number in heard(), "signal %d arrived" % number)
    sidecar.signal(signal.SIGHUP)
    wait_for(lambda: sidecar.generation() == 2, "SIGHUP reloads")
    assert signal.SIGHUP not in heard()


def test_proxy_mode_dumps_and_reopens(mesh):
    sidecar = mesh.sidecar("gate")
    before = len(sidecar.stderr())
    sidecar.signal(signal.SIGUSR2)
    wait_for(lambda: len(sidecar.stderr()) > before, "its state is in the log")
    sidecar.signal(signal.SIGUSR1)
    assert sidecar.probe("/livez").status == 200
    for line in whole_lines(sidecar.stderr()):
        json.loads(line)


def test_quit_and_wait(mesh):
    app = mesh.app()
    sidecar = mesh.sidecar("web", app=app.port)
    assert sidecar.cli("wait", "--timeout", "20s").returncode == 0
    done = sidecar.cli("quit")
    assert done.returncode == 0, done.stderr
    assert sidecar.wait_exit() == 0


def test_wait_runs_out(mesh):
    sidecar = mesh.sidecar("web", app=free_port(), ready=False)
    assert sidecar.cli("wait", "--timeout", "1s").returncode == 75


def test_proxy_mode_drains_by_itself(mesh):
    app = mesh.app()
    sidecar = mesh.sidecar("web", app=app.port, config={"process": {"grace": "100s"}})
    sidecar.signal(signal.SIGTERM)
    wait_for(lambda: sidecar.status()["phase"] in ("draining", "stopping"), "draining")
    app.stop()
    mesh.origins.remove(app)
    assert sidecar.wait_exit() == 0


def test_draining_inbound_refuses_new_work(mesh):
    """ML-21: an open connection is still served and closed; the registry-less caller hears `draining`."""
    app = mesh.app()
    sidecar = mesh.sidecar("web", app=app.port, config={"process": {"grace": "200s"}})
    holder = threading.Thread(target=client.request, args=(sidecar.inbound, "/slow/80", "GET", "web"), kwargs={"timeout": 90})
    holder.start()
    assert app.slow_started.wait(30)
    kept = client.dial(sidecar.inbound)
    kept.sendall(b"GET /1 HTTP/1.1\r\nHost: web\r\n\r\n")
    assert client.read_answer(kept).status == 200
    sidecar.signal(signal.SIGTERM)

    def refused():
        try:
            answer = client.request(sidecar.inbound, "/", host="web", timeout=5)
            return answer.status == 503 and answer.reason == "draining"
        except OSError:
            return True
    wait_for(refused, "new connections are refused")
    app.slow_gate.set()
    holder.join()
    kept.close()
    app.stop()
    mesh.origins.remove(app)
    assert sidecar.wait_exit() == 0


def test_many_starts_and_stops_leave_nothing(mesh):
    for _ in range(5):
        port = free_port()
        sidecar = mesh.sidecar("web", app=port, command=app_command(port))
        pids = [sidecar.pid] + children(sidecar.pid)
        assert len(pids) == 3
        assert sidecar.stop() == 0
        assert not any(alive(pid) for pid in pids)
        assert not os.path.exists(sidecar.socket)


def test_version_and_help():
    assert binary("version").returncode == 0
    assert binary("--help").returncode == 0
    assert binary("run", "--help").returncode == 0
    assert binary("proxy", "--no-such-flag").returncode == 2
    assert binary("no-such-command").returncode == 2


def test_requests_are_counted(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    for _ in range(17):
        client.request(sidecar.outbound, "/", host="orders")
    wait_for(lambda: metric_sum(sidecar.metrics(), "pillion_requests_total", direction="out", service="orders") == 17,
             "all are counted")
