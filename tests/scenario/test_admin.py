"""The admin interface: who may do what, metrics, health, and every verb of the command line (operations.md 7, 9, 10, 12; OT-13)."""
import json
import os
import pathlib
import signal
import socket
import subprocess

import pytest

from harness import client, cluster
from harness.ports import free_port
from harness.sidecar import BINARY, binary, environment, metric_sum, parse_metrics, whole_lines
from harness.waits import wait_for

TOKEN = "0123456789abcdef0123456789abcdef-token"


@pytest.fixture(scope="module")
def setting(shared):
    class Setting:
        app = shared.app(name="orders")
        web = shared.app(name="web")
        sidecar = shared.sidecar("web", app=web.port, config={"services": {
            "orders": {"instances": [{"address": "127.0.0.1:%d" % app.port}]}}})
        token_file = shared.path("token")
        with open(token_file, "w", encoding="ascii") as file:
            file.write(TOKEN + "\n")
        os.chmod(token_file, 0o600)
        guarded = shared.sidecar("guarded", config={"admin": {"token_file": token_file}})
    return Setting


def unix(sidecar, path, method="GET", body=None, fields=()):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    sock.connect(sidecar.socket)
    text = "%s %s HTTP/1.1\r\nHost: localhost\r\n" % (method, path)
    if body is not None:
        text += "Content-Length: %d\r\n" % len(body)
    for name, value in fields:
        text += "%s: %s\r\n" % (name, value)
    sock.sendall(text.encode() + b"\r\n" + (body or b""))
    answer = client.read_answer(sock, method)
    sock.close()
    return answer


M_FIELDS = [("Content-Type", "application/json"), ("x-pillion-admin", "1")]
P_PATHS = ["/livez", "/readyz", "/startupz", "/metrics", "/v1/status", "/v1/services", "/v1/instances", "/v1/topics",
           "/v1/groups", "/v1/config/schema", "/"]


@pytest.mark.quick
@pytest.mark.parametrize("path", P_PATHS)
def test_class_p_on_both_doors(setting, path):
    for answer in (setting.sidecar.probe(path), unix(setting.sidecar, path)):
        assert answer.status in (200, 503), (path, answer)
        assert answer.field("cache-control") == "no-store"
        assert answer.field("x-content-type-options") == "nosniff"
        assert answer.field("cross-origin-resource-policy") == "same-origin"
        assert not any(name.lower().startswith("access-control-") for name, _ in answer.fields)
        if (answer.field("content-type") or "").startswith("application/json"):
            json.loads(answer.body)


def test_class_s_is_for_the_socket_and_the_token(setting):
    assert unix(setting.sidecar, "/v1/config").status == 200
    assert setting.sidecar.probe("/v1/config").status in (401, 403)
    assert client.request(setting.guarded.admin, "/v1/config").status in (401, 403)
    right = [("Authorization", "Bearer " + TOKEN)]
    assert client.request(setting.guarded.admin, "/v1/config", fields=right).status == 200
    for wrong in ("Bearer " + TOKEN[:-1], "Bearer " + TOKEN + "x", "Basic " + TOKEN, "Bearer"):
        assert client.request(setting.guarded.admin, "/v1/config", fields=[("Authorization", wrong)]).status in (401, 403)


@pytest.mark.quick
def test_class_m_changes_nothing_without_the_right(setting):
    before = setting.sidecar.generation()
    for path in ("/v1/reload", "/v1/quit", "/v1/log/level"):
        answer = client.request(setting.sidecar.admin, path, "POST", body=b"{}", fields=M_FIELDS)
        assert answer.status in (401, 403), path
    token = ("Authorization", "Bearer " + TOKEN)
    was = setting.guarded.generation()
    for fields in ([], M_FIELDS[:1], M_FIELDS[1:], [("Content-Type", "text/plain"), M_FIELDS[1]]):
        answer = client.request(setting.guarded.admin, "/v1/reload", "POST", body=b"{}", fields=fields + [token])
        assert answer.status in (400, 403, 415), fields
    assert setting.guarded.generation() == was
    assert setting.sidecar.generation() == before and setting.sidecar.process.poll() is None
    assert unix(setting.sidecar, "/v1/reload", "POST", b'{"dry_run": true}', M_FIELDS).status == 200


def test_a_generation_in_a_header(setting):
    """RL-08: If-Match is the generation that the caller saw."""
    before = setting.sidecar.generation()
    for value, status in (("x", 400), ('"0"', 400), ('"%d"' % (before + 7), 412), ('"%d"' % before, 200), (str(before), 200)):
        answer = unix(setting.sidecar, "/v1/reload", "POST", b'{"dry_run": true}', M_FIELDS + [("If-Match", value)])
        assert answer.status == status, (value, answer.body)
    both = unix(setting.sidecar, "/v1/reload", "POST", b'{"if_generation": %d}' % before, M_FIELDS + [("If-Match", str(before))])
    assert both.status == 400
    assert setting.sidecar.generation() == before


def test_m_with_the_token(setting):
    before = setting.guarded.generation()
    fields = M_FIELDS + [("Authorization", "Bearer " + TOKEN)]
    assert client.request(setting.guarded.admin, "/v1/reload", "POST", body=b"{}", fields=fields).status == 200
    assert setting.guarded.generation() == before + 1
    wait_for(lambda: [line for line in setting.guarded.log_lines() if "/v1/reload" in json.dumps(line)],
             "AD-07: every change is one line of the log")


def test_wrong_tokens_close_the_door_for_a_while(mesh, tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    os.chmod(token_file, 0o600)
    sidecar = mesh.sidecar("web", config={"admin": {"token_file": str(token_file)}})
    statuses = [client.request(sidecar.admin, "/v1/config", fields=[("Authorization", "Bearer " + "x" * 40)]).status
                for _ in range(14)]
    assert 429 in statuses
    assert client.request(sidecar.admin, "/v1/config", fields=[("Authorization", "Bearer " + TOKEN)]).status == 429
    assert unix(sidecar, "/v1/config").status == 200, "the socket stays open"


def test_a_token_file_that_others_may_read_is_refused(mesh, tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    os.chmod(token_file, 0o644)
    sidecar = mesh.sidecar("web", start=False, config={"admin": {"token_file": str(token_file)}})
    sidecar.start(wait=False)
    assert sidecar.wait_exit() == 78 and "PIL1410" in sidecar.stderr()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:%(port)d", "[::2]:%(port)d"])
def test_rebinding_hosts_are_refused(setting, host):
    answer = client.request(setting.sidecar.admin, "/v1/status", host=host % {"port": setting.sidecar.admin})
    assert answer.status == 403 and b"PIL5402" in answer.body


def test_right_hosts(setting):
    for host in ("127.0.0.1:%d", "localhost:%d", "[::1]:%d"):
        assert client.request(setting.sidecar.admin, "/v1/status", host=host % setting.sidecar.admin).status == 200


@pytest.mark.parametrize("fields", [[("Origin", "http://evil.example")], [("Origin", "null")],
                                    [("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")]])
def test_browsers_from_elsewhere_are_refused(setting, fields):
    assert client.request(setting.sidecar.admin, "/v1/status", fields=fields).status == 403


def test_browsers_of_our_own_page(setting):
    assert client.request(setting.sidecar.admin, "/v1/status", fields=[
        ("Origin", "http://127.0.0.1:%d" % setting.sidecar.admin), ("Sec-Fetch-Site", "same-origin")]).status == 200
    assert client.request(setting.sidecar.admin, "/v1/status", fields=[("Sec-Fetch-Site", "none")]).status == 200
    assert client.request(setting.sidecar.admin, "/v1/status", "OPTIONS").status == 405


def test_shape_of_errors(setting):
    answer = setting.sidecar.probe("/v1/statuss")
    assert answer.status == 404 and "/v1/status" in answer.json()["error"]["message"]
    answer = setting.sidecar.probe("/v1/instances?servise=x")
    assert answer.status == 400
    answer = client.request(setting.sidecar.admin, "/v1/status", "DELETE")
    assert answer.status == 405 and "GET" in answer.field("allow")


def test_lists_have_their_shape(setting):
    client.request(setting.sidecar.outbound, "/", host="orders")
    answer = wait_for(lambda: setting.sidecar.probe("/v1/instances?service=orders").json(), "instances")
    assert isinstance(answer["items"], list)
    assert any("127.0.0.1:%d" % setting.app.port in json.dumps(item) for item in answer["items"])


def test_bounds_of_the_server(setting):
    answer = client.raw(setting.sidecar.admin, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX: %s\r\n\r\n" % (
        setting.sidecar.admin, b"y" * 20000))
    assert answer.startswith(b"HTTP/1.1 431 ")
    answer = client.raw(setting.sidecar.admin, b"POST /livez HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 5000000\r\n\r\n" %
                        setting.sidecar.admin)
    assert b" 413 " in answer or b" 405 " in answer


def test_tcp_never_starves_the_socket(setting):
    """AD-05: 64 idle TCP connections."""
    socks = []
    for _ in range(80):
        try:
            socks.append(client.dial(setting.sidecar.admin))
        except OSError:
            break
    assert unix(setting.sidecar, "/v1/status").status == 200
    for sock in socks:
        sock.close()
    wait_for(lambda: setting.sidecar.probe("/livez").status == 200, "TCP is free again")


@pytest.mark.quick
@pytest.mark.threads
def test_metrics_parse_and_add_up(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    for i in range(25):
        assert client.request(sidecar.outbound, "/random/%d" % i, host="orders").status == 200
    for i in range(5):
        assert client.request(sidecar.outbound, "/status/404", host="orders").status == 404
    for i in range(3):
        assert client.request(sidecar.outbound, "/", host="nobody").status == 503

    def counted(metrics):
        """An exchange is counted when it has ended: a moment after its last byte."""
        return metric_sum(metrics, "pillion_requests_total") >= 33 and metrics
    metrics = wait_for(lambda: counted(sidecar.metrics()), "all are counted")
    assert metric_sum(metrics, "pillion_requests_total", service="orders", **{"class": "2xx"}) == 25
    assert metric_sum(metrics, "pillion_requests_total", service="orders", **{"class": "4xx"}) == 5
    assert metric_sum(metrics, "pillion_exchanges_total", reason="service_unknown") + \
        metric_sum(metrics, "pillion_exchanges_total", reason="no_instance") == 3
    assert metric_sum(metrics, "pillion_request_duration_seconds_count", service="orders") == 30
    assert metric_sum(metrics, "pillion_config_generation") == 1
    assert metric_sum(metrics, "process_resident_memory_bytes") > 1000000
    buckets = sorted(((dict(labels)["le"], value) for (name, labels), value in metrics.items()
                      if name == "pillion_request_duration_seconds_bucket" and dict(labels).get("service") == "orders"
                      and dict(labels).get("direction") == "out"),
                     key=lambda row: float(row[0].replace("+Inf", "inf")))
    values = [value for _, value in buckets]
    assert values == sorted(values) and values[-1] == 30


@pytest.mark.parametrize("bad", [
    "a_total 1\n", "# TYPE a_total counter\na_total 1\n", "# HELP a_total x\na_total 1\n", "# HELP a x\n# TYPE a counter\na 1\n",
    "# HELP a x\n# TYPE a gauge\na 1\na 1\n", "# HELP a x\n# TYPE a gauge\na 1", "# HELP a x\n# TYPE a gauge\na_sum 1\n",
    "# HELP a x\n# TYPE a gauge\n# HELP b x\n# TYPE b gauge\na 1\n", "# HELP a x\n# TYPE a histogram\na_bucket 1\n",
    "# HELP a x\n# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n", "# HELP a x\n# TYPE a gauge\na{b=1} 1\n", "# HELP a x\n# TYPE a gauge\n\n"])
def test_the_reader_of_metrics_is_strict(bad):
    with pytest.raises(ValueError):
        parse_metrics(bad)


def test_every_part_of_the_metrics_page_is_well_formed(mesh):
    """A voter with a spool: what workers, control, the replica and the broker print, each family once with HELP and TYPE."""
    sidecar = cluster.voters(mesh, 1)[0]
    assert client.request(sidecar.outbound, "/v1/pub/stock.low", "POST", body=b"x").status == 200
    assert client.request(sidecar.outbound, "/", host="nobody").status == 503
    families = {name for name, _ in sidecar.metrics()}
    for prefix in ("pillion_requests_", "pillion_config_", "pillion_raft_", "pillion_pubsub_", "process_"):
        assert any(name.startswith(prefix) for name in families), (prefix, families)


def test_requests_add_no_series(mesh):
    app = mesh.app()
    sidecar = mesh.bare(app.port)
    client.request(sidecar.outbound, "/", host="orders")
    client.request(sidecar.outbound, "/", host="unheard-of")
    before = len(sidecar.metrics())
    for i in range(200):
        client.request(sidecar.outbound, "/path/%d?q=%d" % (i, i), "M%d" % i, "orders", fields=[("X-%d" % i, "1")])
    assert len(sidecar.metrics()) <= before + 20


def test_metrics_door_serves_nothing_else(mesh):
    port = free_port()
    sidecar = mesh.sidecar("web", config={"metrics": {"address": "127.0.0.1:%d" % port}})
    for path in ("/metrics", "/livez", "/readyz", "/startupz"):
        assert client.request(port, path).status == 200
    parse_metrics(client.request(port, "/metrics").body.decode())
    for path in ("/v1/status", "/v1/config", "/"):
        assert client.request(port, path).status in (403, 404)
    assert sidecar.process.poll() is None


@pytest.mark.parametrize("arguments", [
    ["status"], ["services"], ["instances"], ["instances", "orders"], ["topics"], ["groups"], ["health"],
    ["health", "--live"], ["health", "--ready"], ["health", "--startup"], ["config", "show", "--live"], ["version"]])
def test_verbs_print_and_their_json_parses(setting, arguments):
    client.request(setting.sidecar.outbound, "/", host="orders")
    table = setting.sidecar.cli(*arguments)
    assert table.returncode == 0, table.stderr
    assert table.stdout.strip() and "\x1b" not in table.stdout
    if arguments[0] not in ("health", "version"):
        done = setting.sidecar.cli(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)
        if arguments[0] in ("services", "instances", "topics", "groups"):
            lines = setting.sidecar.cli(*arguments, "-o", "jsonl")
            assert lines.returncode == 0
            for line in lines.stdout.splitlines():
                json.loads(line)


def test_call_verb(setting):
    done = setting.sidecar.cli("call", "orders", "GET /by/cli")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"] == "/by/cli" and "200" in done.stderr
    done = setting.sidecar.cli("call", "orders", "POST /by/cli", '{"a":1}', "-H", "x-mine: yes")
    told = json.loads(done.stdout)
    assert told["body"] == '{"a":1}' and ["x-mine", "yes"] in told["fields"]
    done = setting.sidecar.cli("call", "orders", "GET /status/404")
    assert done.returncode == 1
    done = setting.sidecar.cli("call", "nobody", "GET /")
    assert done.returncode == 1 and "service_unknown" in done.stdout + done.stderr


def run_into(output, *arguments):
    return subprocess.run([BINARY, *arguments], env=environment({}), stdin=subprocess.DEVNULL, stdout=output,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)


def test_a_reader_that_has_seen_enough():
    reads, writes = os.pipe()
    os.close(reads)
    done = run_into(writes, "config", "schema")
    os.close(writes)
    assert done.returncode == 0 and done.stderr == ""


def test_output_that_cannot_be_written(mesh):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = run_into(full, "version")
        assert done.returncode == 1 and "standard output cannot be written" in done.stderr
        sidecar = mesh.sidecar("web", config={"broker": {"enabled": True}})
        assert sidecar.cli("pub", "stock.low", '"kept"').returncode == 0
        words = ["--addr", "unix:" + sidecar.socket, "sub", "stock.low", "--group", "g", "--count", "1"]
        done = run_into(full, *words)
        assert done.returncode == 1 and "standard output cannot be written" in done.stderr
    # Nobody has seen the message, so it comes again.
    done = binary(*words)
    assert done.returncode == 0 and json.loads(done.stdout)["data"] == "kept", (done.stdout, done.stderr)


def test_verbs_without_a_sidecar(tmp_path):
    env = {"PILLION_ADMIN": "unix:%s/none.sock" % tmp_path}
    for arguments in (["status"], ["services"], ["reload"], ["quit"], ["members"]):
        done = binary(*arguments, env=env)
        assert done.returncode == 69, arguments
        assert "PIL4001" in done.stderr and "fix:" in done.stderr and "cause:" in done.stderr
        assert done.stdout == ""
    assert binary("health", env=env).returncode == 1
    done = binary("status", "-o", "json", env=env)
    assert done.returncode == 69


def test_explain_and_schema(tmp_path):
    for word in ("no_instance", "PIL5022", "/service/name", "connect_refused"):
        done = binary("explain", word)
        assert done.returncode == 0 and len(done.stdout) > 30, word
    assert binary("explain", "no_instanse").returncode != 0
    schema = json.loads(binary("config", "schema").stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False and "service" in schema["properties"]


def test_health_words(mesh):
    app = mesh.app()
    sidecar = mesh.sidecar("web", app=app.port, config={"service": {"app": {
        "check_interval": "100ms", "fall": 2}}})
    verbose = sidecar.probe("/readyz?verbose")
    assert verbose.status == 200
    for line in verbose.body.decode().splitlines():
        assert line[:3] in ("[+]", "[!]", "[-]"), line
    app.stop()
    mesh.origins.remove(app)
    wait_for(lambda: sidecar.probe("/v1/status").json()["app"]["healthy"] is False, "the application is down")
    assert sidecar.probe("/livez").status == 200 and sidecar.probe("/startupz").status == 200
    answer = client.request(sidecar.inbound, "/", host="web")
    assert answer.status == 503 and answer.reason in ("app_unreachable", "app_not_ready")


def test_log_level_at_run_time(setting):
    answer = unix(setting.sidecar, "/v1/log/level", "POST", b'{"level": "debug"}', M_FIELDS)
    assert answer.status == 200
    assert unix(setting.sidecar, "/v1/log/level", "POST", b'{"level": "loud"}', M_FIELDS).status in (400, 422)
    assert unix(setting.sidecar, "/v1/log/level", "POST", b'{"level": "info"}', M_FIELDS).status == 200


def test_wait_over_http(mesh):
    sidecar = mesh.sidecar("web", app=free_port(), ready=False)
    assert sidecar.probe("/wait?timeout=1s").status == 503


def test_every_log_line_is_json(setting):
    for line in whole_lines(setting.sidecar.stderr()) + whole_lines(setting.sidecar.stdout()):
        parsed = json.loads(line)
        assert parsed["@timestamp"].endswith("Z")


@pytest.mark.parametrize("stranger", [False, True])
def test_stopped_reader_of_the_log_stops_nothing(mesh, stranger):
    """LG-04: pipes that nobody reads, of this user and of another one, as in a container."""
    if stranger and os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    app = mesh.app()
    sidecar = mesh.bare(app.port, start=False)
    pipes = [os.pipe(), os.pipe()]
    words = sidecar.words()
    if stranger:
        os.makedirs(sidecar.config["process"]["data_dir"])
        for path in (sidecar.folder, sidecar.config["process"]["data_dir"]):
            os.chown(path, 65534, 65534)
        for folder in pathlib.Path(sidecar.folder).parents:
            if folder.stat().st_mode & 0o001 == 0:
                os.chmod(folder, folder.stat().st_mode | 0o011)
        become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        if subprocess.run(become + [BINARY, "version"], capture_output=True).returncode != 0:
            pytest.skip("another user may not run the binary where it lies")
        words = become + words
    sidecar.process = subprocess.Popen(words, stdout=pipes[0][1], stderr=pipes[1][1], stdin=subprocess.DEVNULL,
                                       env=environment(), start_new_session=True)
    sidecar.wait_started()
    for i in range(1200):
        assert client.request(sidecar.outbound, "/" + "x" * 100, host="orders").status == 200
    wait_for(lambda: metric_sum(sidecar.metrics(), "pillion_log_lines_dropped_total", log="access") > 0, "lines are dropped")
    # The thread that writes the log also compiles and saves: a reload needs it.
    before = sidecar.generation()
    sidecar.write_config({"log": {"access": {"query": True}}})
    sidecar.signal(signal.SIGHUP)
    wait_for(lambda: sidecar.generation() == before + 1, "reloaded")
    taken = b""
    for reader, writer in pipes:
        assert os.get_blocking(writer) is True
        os.close(writer)
        os.set_blocking(reader, False)
    # Whoever reads again gets whole lines, old ones first.
    def read():
        nonlocal taken
        try:
            taken += os.read(pipes[0][0], 1 << 20)
        except BlockingIOError:
            pass
        return b"the-last-one" in taken
    def ask():
        read()
        assert client.request(sidecar.outbound, "/the-last-one", host="orders").status == 200
        return read()
    wait_for(ask, "new lines come through")
    for line in taken.decode().splitlines()[:-1]:
        assert json.loads(line)["url.path"] in ("/" + "x" * 100, "/the-last-one")
    assert sidecar.stop() == 0
    for reader, _ in pipes:
        os.close(reader)
