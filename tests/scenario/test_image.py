"""The image and the compose file (operations.md 14), with an engine of the test's own where one can be
started; else skipped with the reason. The base image is made by mmdebstrap: nothing is pulled."""
import json
import os
import shutil
import subprocess
import time

import pytest

from harness import client
from harness.ports import free_port
from harness.sidecar import ROOT
from harness.waits import wait_for

pytestmark = pytest.mark.plain

COMPOSE = os.path.join(ROOT, "docker", "compose.yaml")
HARD = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--tmpfs", "/run/pillion:uid=65532,gid=65532,mode=0700", "--network", "none"]
ADDED_MAX = 12 << 20
BINARY_MAX = 2 << 20


class Engine:
    def __init__(self, folder):
        self.folder = folder
        self.host = "unix://" + os.path.join(folder, "docker.sock")
        self.log = os.path.join(folder, "log")
        self.process = None

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none",
                 "--data-root=" + self.path("data"), "--exec-root=" + self.path("exec"),
                 "--pidfile=" + self.path("pid"), "-H", self.host],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            if self.docker("info", "--format", "{{.ServerVersion}}", check=False).returncode == 0:
                return
            time.sleep(0.2)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            reason = log.read()[-300:]
        self.stop()
        pytest.skip("no container engine starts here: " + reason)

    def path(self, name):
        return os.path.join(self.folder, name)

    def environment(self, more=None):
        # The classic builder: BuildKit wants a registry for its own frontend.
        return dict(os.environ, DOCKER_HOST=self.host, DOCKER_BUILDKIT="0", COMPOSE_DOCKER_CLI_BUILD="0",
                    DOCKER_CONFIG=self.folder, **(more or {}))

    def run(self, words, check=True, timeout=60, env=None):
        done = subprocess.run(words, env=self.environment(env), capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, cwd=ROOT)
        if check:
            assert done.returncode == 0, "%s\n%s%s" % (words, done.stdout[-3000:], done.stderr[-3000:])
        return done

    def docker(self, *words, **more):
        return self.run(["docker"] + list(words), **more)

    def inspect(self, name, form):
        return self.docker("inspect", "--format", form, name).stdout.strip()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)
        # The engine leaves its network namespace mounted.
        subprocess.run(["umount", self.path("exec/netns/default")], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("a container engine of the test's own needs root")
    for tool in ("dockerd", "docker", "mmdebstrap"):
        if not shutil.which(tool):
            pytest.skip("%s is not installed" % tool)
    one = Engine(str(tmp_path_factory.mktemp("engine")))
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def base(engine):
    """Debian's minimal system as an image."""
    archive = engine.path("base.tar")
    made = engine.run(["mmdebstrap", "--variant=minbase", "bookworm", archive], check=False, timeout=180)
    if made.returncode != 0:
        pytest.skip("mmdebstrap makes no base image: " + made.stderr[-300:])
    engine.docker("import", archive, "pillion-base:test", timeout=120)
    os.unlink(archive)
    return "pillion-base:test"


def build(engine, base, file, tag, context):
    done = engine.docker("build", "--network", "host", "--build-arg", "BASE=" + base, "-f", file, "-t", tag,
                         context, check=False, timeout=600)
    # What apt could not fetch is no fault of ours; a compiler error is.
    if done.returncode != 0 and ("Temporary failure" in done.stdout + done.stderr or
                                 "Unable to fetch" in done.stdout + done.stderr):
        pytest.skip("packages cannot be fetched inside a container: " + done.stdout[-300:])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return tag


@pytest.fixture(scope="module")
def image(engine, base):
    return build(engine, base, "docker/Dockerfile", "pillion:dev", ".")


@pytest.fixture(scope="module")
def demo_image(engine, base):
    return build(engine, base, "docker/demo/Dockerfile", "pillion-demo-app:dev", "docker/demo")


def test_version(engine, image):
    done = engine.docker("run", "--rm", *HARD, image, "version")
    assert done.stdout.startswith("pillion "), done.stdout


def test_what_is_in_it(engine, base, image):
    """DK-02: small, and nothing that builds."""
    size = int(engine.inspect(image, "{{.Size}}")) - int(engine.inspect(base, "{{.Size}}"))
    assert size <= ADDED_MAX, "%d bytes over the base" % size
    assert engine.inspect(image, "{{.Config.User}}") == "65532:65532"
    assert engine.inspect(image, "{{.Config.StopSignal}}") == "SIGTERM"
    assert json.loads(engine.inspect(image, "{{json .Config.Healthcheck.Test}}")) == [
        "CMD", "/usr/bin/pillion", "health"]
    listed = engine.docker("run", "--rm", *HARD, "--entrypoint", "/usr/bin/find", image, "/usr/bin/pillion",
                           "/usr/bin/gcc", "/usr/bin/meson", "/usr/bin/protoc-c", "-printf", "%p %s\n",
                           check=False).stdout.split()
    assert listed[0] == "/usr/bin/pillion" and len(listed) == 2, listed
    assert int(listed[1]) <= BINARY_MAX


def test_check_without_a_network(engine, image):
    """DK-01: the checks of a host that gives next to nothing: what is wrong is named, nothing crashes."""
    done = engine.docker("run", "--rm", *HARD, "-v", ROOT + "/docker/demo/pillion.json:/etc/pillion/pillion.json:ro",
                         "-e", "PILLION_NAME=shop", image, "check", "-o", "json", check=False)
    rows = json.loads(done.stdout)["items"]
    assert done.returncode == 0, (rows, done.stderr)
    bad = {(row["verdict"], row["id"]) for row in rows if row["verdict"] != "ok"}
    assert ("warn", "CK-31") in bad and all(verdict == "warn" for verdict, _ in bad), rows
    assert any(row["id"] == "CK-13" and row["text"].startswith("/var/lib/pillion") and row["verdict"] == "ok" for row in rows)
    assert any(row["id"] == "CK-01" and row["text"] == "/etc/pillion/pillion.json" for row in rows)


def test_healthy_without_rights(engine, image):
    """DK-01: read-only root, no capability, no new privileges, its own user; SIGTERM ends it with 0."""
    name = engine.docker("run", "-d", *HARD, image, "proxy", "--name", "solo", "--bootstrap").stdout.strip()
    try:
        wait_for(lambda: engine.inspect(name, "{{.State.Health.Status}}") == "healthy",
                 "the container is healthy", timeout=60, every=0.5)
        pid = engine.inspect(name, "{{.State.Pid}}")
        with open("/proc/%s/status" % pid, encoding="ascii") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        assert status["Uid"].split()[0] == "65532"
        assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1"
        asked = engine.docker("exec", name, "/usr/bin/pillion", "status")
        assert "solo" in asked.stdout
        engine.docker("stop", "-t", "40", name)
        assert engine.inspect(name, "{{.State.ExitCode}}") == "0"
    except AssertionError as error:
        logs = engine.docker("logs", name, check=False)
        raise AssertionError("%s\n%s%s" % (error, logs.stdout[-3000:], logs.stderr[-3000:])) from None
    finally:
        engine.docker("rm", "-f", name, check=False)


def test_compose_file_parses():
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed")
    done = subprocess.run(["docker-compose", "-f", COMPOSE, "config", "--services"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["orders", "orders-app", "shop", "shop-app", "stock", "stock-app"]


@pytest.fixture
def project(engine, image, demo_image):
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed")
    port = free_port()

    class Project:
        def compose(*words, **more):
            return engine.run(["docker-compose", "-p", "pilliontest", "-f", COMPOSE] + list(words),
                              env={"PILLION_DEMO_PORT": str(port)}, timeout=180, **more)
    Project.port = port
    up = Project.compose("up", "-d", "--no-build", check=False)
    if up.returncode != 0 and ("network" in up.stderr and "Error" in up.stderr):
        Project.compose("down", "-v", "-t", "5", check=False)
        pytest.skip("containers get no network of their own here: " + up.stderr[-300:])
    yield Project, up
    Project.compose("down", "-v", "-t", "5", check=False)


def test_three_applications_make_one_page(project):
    """DK-03: shop asks orders, which asks stock; then a message goes from one to another."""
    compose, up = project[0].compose, project[1]
    logs = ""
    try:
        assert up.returncode == 0, up.stderr[-2000:]

        def page():
            return client.request(project[0].port, "/", host="127.0.0.1:%d" % project[0].port, timeout=10)
        answer = wait_for(lambda: (lambda got: got if got.status == 200 else None)(page()),
                          "one page by three applications", timeout=90, every=0.5)
        assert b"Order 7 of Ada" in answer.body and b"40 left" in answer.body
        # The first order made orders publish what is running low; shop shows what it was told.
        wait_for(lambda: b"Running low: b2, 3 left" in page().body, "the message is with its subscriber",
                 timeout=30, every=0.5)
        groups = compose("exec", "-T", "orders", "/usr/bin/pillion", "groups").stdout
        assert "stock.low" in groups and "shop" in groups, groups
    except AssertionError as error:
        logs = compose("logs", "--tail", "40", check=False).stdout[-8000:]
        raise AssertionError("%s\n%s" % (error, logs)) from None
