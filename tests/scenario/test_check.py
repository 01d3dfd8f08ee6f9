"""`pillion check` (operations.md CL-10): each planted fault is named by its id and code, and by no other failure."""
import json
import os
import resource
import subprocess

import pytest

from harness import cluster
from harness.ports import free_port
from harness.sidecar import BINARY, binary, environment, merge
from harness.waits import wait_for

ROOT = os.geteuid() == 0
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def write(folder, config):
    """A small static sidecar with `config` over it."""
    base = {"service": {"name": "orders"}, "registry": {"kind": "static"},
            "process": {"data_dir": str(folder / "data")},
            "listeners": {"inbound": {"kind": "inbound", "listen": "127.0.0.1:%d" % free_port()},
                          "outbound": {"kind": "outbound", "listen": "127.0.0.1:%d" % free_port()}},
            "admin": {"address": "127.0.0.1:%d" % free_port()}, "limits": {"connections_max": 100}}
    path = folder / "pillion.json"
    path.write_text(json.dumps(merge(base, config)))
    return str(path)


def check(path, *words, env=None, before=(), limit=None):
    """The exit code, and the rows by id."""
    env = environment(dict({"PILLION_ADMIN": "unix:/nowhere.sock"}, **(env or {})))
    done = subprocess.run(list(before) + [BINARY, "check", path, "-o", "json"] + list(words), env=env, text=True,
                          capture_output=True, timeout=60, preexec_fn=limit, check=False)
    assert done.stdout, done.stderr
    rows = json.loads(done.stdout)["items"]
    return done.returncode, rows


def bad(rows, disk=False):
    """Not of the file system of the tests themselves, unless asked: that may be small, or in memory."""
    return [(row["verdict"], row["id"], row.get("code")) for row in rows
            if row["verdict"] != "ok" and (disk or row["id"] not in ("CK-14", "CK-15"))]


def test_nothing_to_complain_about(tmp_path):
    code, rows = check(write(tmp_path, {}))
    assert code == 0 and bad(rows) == [], rows
    assert {row["id"] for row in rows} == {"CK-01", "CK-11", "CK-12", "CK-13", "CK-14", "CK-15", "CK-21"}
    table = binary("check", tmp_path / "pillion.json", env={"PILLION_ADMIN": "unix:/nowhere.sock"})
    assert table.returncode == 0 and len(table.stdout.splitlines()) == len(rows)
    assert all(line.startswith(("ok    CK-", "warn  CK-1")) for line in table.stdout.splitlines())
    code, rows = check(tmp_path / "pillion.json", "--live")
    assert code == 1 and bad(rows) == [("FAIL", "CK-71", "PIL4001")], rows


VOTER = {"registry": {"kind": None, "role": "voter", "bootstrap": "alone"}}


@pytest.mark.parametrize("config, expected, code", [
    ({"limits": {"memory": "1000GiB"}}, ("FAIL", "CK-12", "PIL1240"), 1),
    ({"limits": {"connections_max": 1000000}}, ("warn", "CK-11", "PIL1240"), 0),
    ({"process": {"data_dir": "/proc/version/x"}}, ("warn", "CK-13", "PIL2011"), 0),
    (dict(VOTER, process={"data_dir": "/proc/version/x"}), ("FAIL", "CK-13", "PIL2011"), 1),
    ({"broker": {"required": True}, "process": {"data_dir": "/proc/version/x"}}, ("FAIL", "CK-13", "PIL2011"), 1),
    ({"broker": {"spool": {"path": "/proc/version/spool"}}}, ("warn", "CK-13", "PIL2011"), 0),
    ({"registry": {"kind": None, "seeds": ["nobody.invalid:7440"], "insecure": True}}, ("warn", "CK-31", "PIL3001"), 0),
    ({"service": {"app": {"address": "127.0.0.1:1"}}}, ("warn", "CK-61", "PIL5042"), 0),
    ({"service": {"app": {"address": "unix:/nowhere/app.sock"}}}, ("warn", "CK-61", "PIL5042"), 0),
    ({"admin": {"address": "127.0.0.99:1"}, "listeners": {"inbound": {"listen": "192.0.2.1:7440"}},
      "registry": {"insecure": True}}, ("FAIL", "CK-21", "PIL2001"), 1)])
def test_planted_faults(tmp_path, config, expected, code):
    got, rows = check(write(tmp_path, config))
    assert bad(rows) == [expected], rows
    assert got == code, rows
    row = next(row for row in rows if row["verdict"] != "ok" and row["id"] == expected[1])
    assert row["cause"] and row["fix"]


def test_a_failure_says_what_to_do(tmp_path):
    done = binary("check", write(tmp_path, {"limits": {"memory": "1000GiB"}}), env={"PILLION_ADMIN": "unix:/nowhere.sock"})
    lines = done.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("FAIL  CK-12  host"))
    assert done.returncode == 1 and lines[at].endswith("(PIL1240)")
    assert lines[at + 1].startswith("      cause: ") and lines[at + 2].startswith("      fix:   ")


def test_few_descriptors(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    code, rows = check(write(tmp_path, {}), limit=limit)
    assert code == 0 and bad(rows) == [("warn", "CK-11", "PIL1240")]


@pytest.mark.skipif(not ROOT, reason="needs root to become another user")
def test_what_another_user_may_not(tmp_path):
    os.chmod(tmp_path, 0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o001 == 0:
            os.chmod(folder, folder.stat().st_mode | 0o011)
    path = write(tmp_path, VOTER)
    code, rows = check(path, before=NOBODY)
    assert code == 1 and bad(rows) == [("FAIL", "CK-13", "PIL2011")], rows
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        first = int(file.read())
    if first > 81:
        code, rows = check(write(tmp_path, {"admin": {"address": "127.0.0.1:81"}}), before=NOBODY)
        assert ("FAIL", "CK-21", "PIL2002") in bad(rows) and code == 1, rows


@pytest.mark.skipif(not ROOT, reason="needs root to mount")
@pytest.mark.parametrize("config, expected", [
    ({}, {("warn", "CK-14", "PIL2101"), ("warn", "CK-15", "PIL1241")}),
    (VOTER, {("FAIL", "CK-14", "PIL2101"), ("warn", "CK-15", "PIL1241")}),
    ({"broker": {"enabled": False}}, {("warn", "CK-14", "PIL2101")})])
def test_a_small_place_in_memory(tmp_path, config, expected):
    """Mounted in a name space of its own, so that nothing is left behind."""
    path = write(tmp_path, config)
    os.mkdir(tmp_path / "data")
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=8M none "$0" && exec "$@"', str(tmp_path / "data")]
    if subprocess.run(mount + ["true"], check=False).returncode:
        pytest.skip("no mounts here")
    code, rows = check(path, before=mount)
    assert set(bad(rows, disk=True)) == expected, rows
    assert code == int(any(row[0] == "FAIL" for row in expected))


@pytest.mark.quick
@pytest.mark.threads
def test_with_a_sidecar(mesh):
    """Its own ports are no complaint, its registry and application are looked at, and what does not answer is a failure."""
    app = mesh.app()
    first = cluster.voters(mesh, 1)[0]
    one = cluster.member(mesh, "orders", [first], app=app.port, config={"limits": {"connections_max": 100}})
    env = {"PILLION_ADMIN": "unix:" + one.socket}
    wait_for(lambda: one.status()["registry"]["registered"], "registered")
    code, rows = check(one.file, env=env)
    assert code == 0 and bad(rows) == [], rows
    ids = [row["id"] for row in rows]
    assert {"CK-31", "CK-51", "CK-52", "CK-53", "CK-61"} <= set(ids)
    assert sum(row["text"].endswith("is ours") for row in rows) >= 2, rows
    code, rows = check(one.file, "--live", env=env)
    told = {(row["verdict"], row["id"]): row["text"] for row in rows if row["phase"] == "live"}
    assert code == 0 and {("ok", "CK-71"), ("warn", "CK-72"), ("ok", "CK-73")} == set(told), rows
    assert "2 workers answer" in told[("ok", "CK-71")] and "mesh_plaintext" in told[("warn", "CK-72")]
    app.stop()
    mesh.origins.remove(app)
    code, rows = check(one.file, env=env)
    assert code == 1 and ("FAIL", "CK-61", "PIL5042") in bad(rows), rows
    first.kill()
    wait_for(lambda: one.status()["registry"]["mode"] != "live", "the registry is gone")
    code, rows = check(one.file, env=env)
    assert code == 1 and {("FAIL", "CK-31"), ("FAIL", "CK-51")} <= {row[:2] for row in bad(rows)}, rows


def test_without_a_name_any_sidecar_counts(mesh, tmp_path):
    """As where flags alone started it: there is no file that could name its service."""
    sidecar = mesh.sidecar("web")
    (tmp_path / "admin.sock").symlink_to(sidecar.socket)
    env = {"RUNTIME_DIRECTORY": str(tmp_path)}
    done = binary("check", "--live", "-o", "json", env=env, cwd=tmp_path)
    told = {row["id"]: (row["verdict"], row["text"]) for row in json.loads(done.stdout)["items"]}
    assert told["CK-01"] == ("ok", "none: defaults") and told["CK-71"][0] == "ok", told
    assert told["CK-71"][1].startswith("web: "), told
    # A name that is another's is still a question about that one.
    done = binary("check", "--live", "-o", "json", env=dict(env, PILLION_NAME="no-such-service"), cwd=tmp_path)
    told = {row["id"]: (row["verdict"], row["text"]) for row in json.loads(done.stdout)["items"]}
    assert told["CK-71"][0] == "FAIL", told


@pytest.mark.parametrize("protocol, right", [("http1", True), ("h2c", False), ("auto", True)])
def test_the_protocol_of_the_application(mesh, tmp_path, protocol, right):
    app = mesh.app()
    path = write(tmp_path, {"service": {"app": {"address": "127.0.0.1:%d" % app.port, "protocol": protocol, "check": "none"}}})
    code, rows = check(path)
    assert bad(rows) == ([] if right else [("warn", "CK-61", "PIL5042")]) and code == 0, rows


def test_an_application_that_speaks_http2(mesh, tmp_path):
    sidecar = mesh.sidecar("web")
    path = write(tmp_path, {"service": {"app": {"address": "127.0.0.1:%d" % sidecar.inbound, "protocol": "h2c"}}})
    code, rows = check(path)
    assert code == 0 and bad(rows) == [], rows


def test_the_check_of_the_application(mesh, tmp_path):
    app = mesh.app()
    for path, wanted in (("/status/200", []), ("/status/500", [("warn", "CK-61", "PIL5042")])):
        file = write(tmp_path, {"service": {"app": {"address": "127.0.0.1:%d" % app.port, "check": {"http": path}}}})
        assert bad(check(file)[1]) == wanted
