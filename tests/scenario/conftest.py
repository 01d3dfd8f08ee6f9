"""Fixtures: every process that a test starts ends with it, its logs are attached to a failure, and a
sanitizer report of any of them is a failure."""
import os
import resource
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import sidecar as sidecars  # noqa: E402
from harness.app import App  # noqa: E402
from harness.origins import RawOrigin  # noqa: E402
from harness.ports import free_port  # noqa: E402


def pytest_configure():
    """Some scenarios hold a thousand connections, both ends of them here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    if sidecars.KIND == "tsan":
        for item in items:
            if item.get_closest_marker("threads"):
                item.add_marker("tsan")
    if os.access(sidecars.BINARY, os.X_OK):
        return
    missing = pytest.mark.skip(reason="no binary at %s: build it, or set PILLION_BUILD" % sidecars.BINARY)
    for item in items:
        item.add_marker(missing)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for mesh in getattr(item, "meshes", []):
        for one in mesh.sidecars:
            report.sections.append(("stderr of %s" % one.name, one.stderr()[-8000:]))
            report.sections.append(("access log of %s" % one.name, one.stdout()[-4000:]))


class Mesh:
    """Sidecars and origins of one test."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.sidecars = []
        self.origins = []

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def sidecar(self, name="web", start=True, ready=True, **more):
        folder = self.path("%02d-%s" % (len(self.sidecars), name))
        one = sidecars.Sidecar(folder, name, **more)
        self.sidecars.append(one)
        if start:
            one.start(ready=ready)
        return one

    def app(self, port=None, **more):
        one = App(port or free_port(), **more).start()
        self.origins.append(one)
        return one

    def raw_origin(self, script, port=None):
        one = RawOrigin(port or free_port(), script)
        self.origins.append(one)
        return one

    def pair(self, app_port, service="orders", caller=None, callee=None, **app):
        """caller sidecar -> callee sidecar -> application, by the static registry."""
        behind = self.sidecar(service, app=app_port, config=merged(
            {"service": {"app": app}} if app else {}, callee))
        front = self.sidecar("caller", config=merged(
            {"services": {service: {"instances": [
                {"address": "127.0.0.1:%d" % behind.inbound, "protocol": "sidecar"}]}}}, caller))
        return front, behind

    def bare(self, *ports, service="orders", protocol="http1", start=True, **config):
        """One sidecar in front of instances that have none."""
        instances = [{"address": "127.0.0.1:%d" % port, "protocol": protocol} for port in ports]
        return self.sidecar("caller", start=start, config=merged(
            {"services": {service: {"instances": instances}}}, config))

    def end(self):
        complaints = []
        for one in self.sidecars:
            if one.process and one.process.poll() is None:
                one.signal(signal.SIGTERM)
        for one in self.sidecars:
            try:
                one.end()
            except AssertionError as error:
                complaints.append(str(error))
            report = one.sanitizer_report()
            if report:
                complaints.append("%s: %s" % (one.name, report))
        for origin in self.origins:
            origin.stop()
        return complaints


def merged(base, more):
    return sidecars.merge(base, more or {})


@pytest.fixture
def mesh(request, tmp_path):
    one = Mesh(tmp_path)
    request.node.meshes = getattr(request.node, "meshes", []) + [one]
    yield one
    complaints = one.end()
    if complaints:
        pytest.fail("\n".join(complaints))


@pytest.fixture(scope="module")
def shared(request, tmp_path_factory):
    """A mesh for all tests of a module; what its sidecars complained about fails the last test."""
    one = Mesh(tmp_path_factory.mktemp(request.module.__name__))
    yield one
    complaints = one.end()
    if complaints:
        pytest.fail("\n".join(complaints))


@pytest.fixture(autouse=True)
def attach_shared(request):
    """Logs of a shared mesh are attached to failures too."""
    if "shared" in request.fixturenames:
        request.node.meshes = getattr(request.node, "meshes", []) + [request.getfixturevalue("shared")]
    yield
