"""What a bad start says: exit 78, FILE:LINE:COL, everything at once, and who is in the way (operations.md 1, 2, 8)."""
import os
import pwd
import re
import stat
import subprocess

import pytest

from harness.ports import free_port
from harness.sidecar import BINARY, binary, environment
from harness.waits import wait_for

LINE = re.compile(r"^([^:\n]+):(\d+):(\d+): (error|warning) (PIL\d{4}): (?:(/\S*): )?(.*)$", re.MULTILINE)


def start(tmp_path, text, *arguments, verb="proxy", name="pillion.json", **more):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return binary(verb, "-c", path, *arguments, cwd=str(tmp_path), **more), path


def complaints(text):
    return [(int(line), int(column), code, pointer) for _, line, column, _, code, pointer, _ in LINE.findall(text)]


ONE = [
    ("unknown key", '{\n  "service": { "nmae": "x" },\n  "registry": {"kind": "static"}\n}', 2, 16, "PIL1101", "/service/nmae"),
    ("no form", '{ "service": {"name": "x"},\n"registry": {"kind": "static"}, "process": {"grace": "1.5s"} }', 2, 54,
     "PIL1104", "/process/grace"),
    ("out of range", '{"service": {"name": "x"}, "registry": {"kind": "static"},\n "process": {"workers": 0}}', 2, 25,
     "PIL1105", "/process/workers"),
    ("null", '{"service": {"name": "x", "zone": null}, "registry": {"kind": "static"}}', 1, 35, "PIL1103", "/service/zone"),
    ("later", '{"service": {"name": "x"}, "registry": {"kind": "consul"}}', 1, 49, "PIL1109", "/registry/kind"),
    ("twice", '{"service": {"name": "x"},\n "service": {"name": "y"}}', 2, 2, "PIL1014", "/service"),
    ("unexpected", '{"service": {"name": }}', 1, 22, "PIL1010", ""),
    ("single quotes", "{'service': 1}", 1, 2, "PIL1016", ""),
    ("unterminated", '{"service": "x', 1, 13, "PIL1011", ""),
    ("tcp listener", '{"service": {"name": "x"}, "registry": {"kind": "static"},\n"listeners": {"a": {"kind": "service", '
     '"service": "s", "listen": "127.0.0.1:99", "protocol": "tcp"}}}', 2, 94, "PIL1109", "/listeners/a/protocol"),
    ("open proxy", '{"service": {"name": "x"}, "registry": {"kind": "static"},\n'
     '"listeners": {"outbound": {"kind": "outbound", "listen": "0.0.0.0:99"}}}', 2, 27, "PIL1211", "/listeners/outbound"),
]


@pytest.mark.quick
@pytest.mark.parametrize("text,line,column,code,pointer", [row[1:] for row in ONE], ids=[row[0] for row in ONE])
def test_one_error(tmp_path, text, line, column, code, pointer):
    done, path = start(tmp_path, text)
    assert done.returncode == 78, done.stderr
    found = [row for row in complaints(done.stderr) if row[2] == code]
    assert found, done.stderr
    assert found[0][:2] == (line, column), done.stderr
    if pointer:
        assert found[0][3].startswith(pointer)
    assert "fix:" in done.stderr or "expected" in done.stderr or "no end" in done.stderr
    assert re.search(r"^ +%d \| " % line, done.stderr, re.MULTILINE), "the source line is shown"
    assert "^" in done.stderr


def test_all_errors_at_once(tmp_path):
    text = """{ // ten mistakes
  "service": { "name": "Big Name", "weight": 5000, "uses": "orders",
    "app": { "address": "127.0.0.1", "chek": {}, "fall": "3" } },
  "process": { "workers": 0.5, "grace": 25 },
  "registry": { "kind": "static", "seeds": ["no port"] },
  "services": { "pay": { "retrys": {}, "timeout": "1m30s" } },
}
"""
    done, _ = start(tmp_path, text)
    assert done.returncode == 78
    found = complaints(done.stderr)
    pointers = [row[3] for row in found]
    for pointer in ("/service/name", "/service/weight", "/service/uses", "/service/app/address", "/service/app/chek",
                    "/service/app/fall", "/process/workers", "/process/grace", "/services/pay/retrys",
                    "/services/pay/timeout"):
        assert pointer in pointers, pointer
    assert [row[:2] for row in found] == sorted(row[:2] for row in found), "sorted by place"
    assert 'did you mean "check"' in done.stderr and 'did you mean "retry"' in done.stderr
    assert '"90s"' in done.stderr
    assert re.search(r"\d+ errors", done.stderr)


@pytest.mark.quick
def test_check_says_the_same(tmp_path):
    done, path = start(tmp_path, '{"service": {"nam": "x"}}')
    checked = binary("check", path)
    assert checked.returncode in (1, 78)
    assert "PIL1101" in checked.stdout + checked.stderr
    lines = binary("check", path, "-o", "jsonl")
    assert lines.returncode in (1, 78)
    good = tmp_path / "good.json"
    good.write_text('{"service": {"name": "x"}, "registry": {"kind": "static"}, "process": {"data_dir": "%s"}}' % tmp_path)
    assert binary("check", good).returncode == 0


def test_missing_file():
    done = binary("proxy", "-c", "/nowhere/pillion.json")
    assert done.returncode == 78 and "PIL1001" in done.stderr and "/nowhere/pillion.json" in done.stderr


def test_unsafe_files(tmp_path):
    path = tmp_path / "w.json"
    path.write_text('{"service": {"name": "x"}, "registry": {"kind": "static"}}')
    os.chmod(path, 0o666)
    done = binary("proxy", "-c", path)
    assert done.returncode == 78 and "PIL1003" in done.stderr
    done = binary("proxy", "-c", tmp_path)
    assert done.returncode == 78 and "PIL1003" in done.stderr


def test_no_registry_names_three_ways(tmp_path):
    done, _ = start(tmp_path, '{"service": {"name": "x"}}')
    assert done.returncode == 78 and "PIL1230" in done.stderr
    for way in ("--join", "--bootstrap"):
        assert way in done.stderr


def test_environment_fills_in(tmp_path):
    text = '{"service": {"name": "${WHO}"}, "registry": {"kind": "static"}, "process": {"workers": "${APP_N:-1}"}}'
    path = tmp_path / "env.json"
    path.write_text(text)
    done = binary("config", "show", "-c", path, env={"WHO": "me"})
    assert done.returncode == 0 and '"me"' in done.stdout
    done = binary("proxy", "-c", path)
    assert done.returncode == 78 and "PIL1501" in done.stderr and "WHO" in done.stderr
    done = binary("config", "show", "-c", path, env={"WHO": "${APP_N}"})
    assert "${APP_N}" in done.stdout or done.returncode == 78, "the result is not expanded again"


def test_secrets_are_not_shown(tmp_path):
    text = '{"service": {"name": "x", "zone": "${MY_TOKEN}", "weight": "${MY_TOKEN}"}, "registry": {"kind": "static"}}'
    done, path = start(tmp_path, text, env={"MY_TOKEN": "canary-5150"})
    assert done.returncode == 78 and "canary-5150" not in done.stderr + done.stdout
    shown = binary("config", "show", "-c", path, "--effective", "--origin", env={"MY_TOKEN": "canary-5150"})
    assert "canary-5150" not in shown.stderr + shown.stdout


@pytest.mark.quick
def test_a_taken_port_is_named(mesh):
    app = mesh.app()
    for listener in ("outbound", "inbound"):
        sidecar = mesh.sidecar("web", start=False)
        sidecar.write_config({"listeners": {listener: {"listen": "127.0.0.1:%d" % app.port}}})
        sidecar.start(wait=False)
        assert sidecar.wait_exit() == 78
        text = sidecar.stderr()
        assert "PIL2001" in text and "127.0.0.1:%d" % app.port in text
        assert str(os.getpid()) in text, "RE: the holder is named when /proc allows"


def test_a_second_sidecar_does_not_share_a_port(mesh):
    """design: the first bind is made without SO_REUSEPORT."""
    first = mesh.sidecar("one")
    second = mesh.sidecar("two", start=False)
    second.write_config({"listeners": {"outbound": {"listen": "127.0.0.1:%d" % first.outbound}}})
    second.start(wait=False)
    assert second.wait_exit() == 78 and "PIL2001" in second.stderr()
    assert first.probe("/livez").status == 200


def test_a_held_lock_is_named(mesh):
    first = mesh.sidecar("one")
    second = mesh.sidecar("two", start=False)
    second.write_config({"process": {"data_dir": first.config["process"]["data_dir"]}})
    second.start(wait=False)
    assert second.wait_exit() == 78
    assert "PIL2010" in second.stderr() and first.config["process"]["data_dir"] in second.stderr()
    first.kill()
    second.start()
    assert second.probe("/livez").status == 200, "kill -9 leaves no lock behind"


def test_a_directory_that_cannot_be_written(mesh):
    """PR-02: a client goes on with a warning."""
    sidecar = mesh.sidecar("one", start=False)
    sidecar.write_config({"process": {"data_dir": "/proc/nowhere"}})
    sidecar.start(wait=False)

    def said():
        return "PIL2011" in sidecar.stderr()
    wait_for(said, "the directory is named")
    assert "/proc/nowhere" in sidecar.stderr()


def test_flags_override_and_are_checked(tmp_path):
    done = binary("run", "--name", "Bad Name", "--port", "1", "--dev", "--", "true", cwd=str(tmp_path))
    assert done.returncode == 78 and "--name" in done.stderr
    done = binary("run", "--name", "x", "--port", "99999", "--dev", "--", "true", cwd=str(tmp_path))
    assert done.returncode in (2, 78) and "port" in done.stderr and "99999" in done.stderr
    done = binary("run", "--nam", "x")
    assert done.returncode == 2 and "--name" in done.stderr
    done = binary("run", "--name", "x", "--set", "/process/wrokers=1", "--dev", "--", "true", cwd=str(tmp_path))
    assert done.returncode == 78 and "workers" in done.stderr


def test_comments_bom_and_trailing_commas(tmp_path):
    text = "\ufeff/* a */ { // b\n \"service\": { \"name\": \"x\", }, \"registry\": { \"kind\": \"static\", }, }\n"
    path = tmp_path / "c.json"
    path.write_text(text, encoding="utf-8")
    assert binary("config", "show", "-c", path).returncode == 0


def test_columns_count_characters(tmp_path):
    done, _ = start(tmp_path, '{"service": {"name": "x", /* äöü€ */ "nonsense": 1}, "registry": {"kind": "static"}}')
    assert complaints(done.stderr)[0][:2] == (1, 38)


def test_effective_configuration_reads_back(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"service": {"name": "x"}, "registry": {"kind": "static"}, "services": {"s": {"timeout": "3s"}}}')
    shown = binary("config", "show", "-c", path, "--effective")
    assert shown.returncode == 0, shown.stderr
    again = tmp_path / "b.json"
    again.write_text(shown.stdout)
    twice = binary("config", "show", "-c", again, "--effective")
    assert twice.returncode == 0 and twice.stdout == shown.stdout, twice.stderr


def test_files_of_a_stranger_are_private(mesh):
    """PR-02: data is 0700 and 0600; AD-01: the socket too."""
    sidecar = mesh.sidecar("web")
    data = sidecar.config["process"]["data_dir"]
    assert stat.S_IMODE(os.stat(data).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(sidecar.socket).st_mode) & 0o077 == 0
    for folder, _, files in os.walk(data):
        for name in files:
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) & 0o077 == 0, name


def test_another_user_may_not_use_the_socket(mesh, tmp_path):
    if os.getuid() != 0:
        pytest.skip("needs root to become somebody else")
    sidecar = mesh.sidecar("web")
    nobody = pwd.getpwnam("nobody")
    folder = os.path.dirname(sidecar.socket)
    os.chmod(sidecar.socket, 0o777)
    while len(folder) > 4:
        os.chmod(folder, 0o755)
        folder = os.path.dirname(folder)

    def become():
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    try:
        done = subprocess.run(["curl", "-sS", "-i", "--unix-socket", sidecar.socket, "http://127.0.0.1/v1/status"],
                              capture_output=True, text=True, preexec_fn=become, timeout=60)
    except subprocess.SubprocessError:
        pytest.skip("this root cannot become somebody else")
    assert "PIL5401" in done.stdout or done.returncode != 0
    assert '"instance"' not in done.stdout


def test_every_code_of_these_tests_is_explained():
    with open(__file__, encoding="utf-8") as file:
        codes = set(re.findall(r"PIL\d{4}", file.read()))
    for code in sorted(codes):
        done = binary("explain", code, env=environment())
        assert done.returncode == 0 and len(done.stdout) > 40, code


def test_usage():
    for arguments in (["status", "--nonsense"], ["frobnicate"], ["reload", "--dry-rum"]):
        assert subprocess.run([BINARY] + arguments, capture_output=True, env=environment(), timeout=60).returncode == 2


def test_free_ports_are_used_as_written(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", config={"listeners": {"more": {"kind": "outbound", "listen": "127.0.0.1:%d" % port}}})
    assert "127.0.0.1:%d" % port in [one["address"] for one in sidecar.status()["listeners"]]
