"""How an application names what it calls (mesh.md 1)."""
import pytest

from harness import client
from harness.ports import free_port
from harness.waits import wait_for


@pytest.fixture(scope="module")
def setting(shared):
    class Setting:
        orders = shared.app(name="orders")
        greeter = shared.app(name="greeter")
        listener = free_port()
        sidecar = shared.sidecar("web", app=shared.app(name="web").port, config={
            "listeners": {"to-orders": {"kind": "service", "service": "orders",
                                        "listen": "127.0.0.1:%d" % listener}},
            "services": {"orders": {"instances": [{"address": "127.0.0.1:%d" % orders.port}]},
                         "greeter": {"instances": [{"address": "127.0.0.1:%d" % greeter.port}]}}})
    return Setting


@pytest.mark.quick
@pytest.mark.parametrize("host", ["orders", "ORDERS", "orders:80", "orders.", "orders.:8080", "orders.pillion",
                                  "Orders.Pillion:7441", "orders.pillion."])
def test_form_a_the_host_names_it(setting, host):
    answer = client.request(setting.sidecar.outbound, "/a", host=host)
    assert answer.status == 200 and answer.json()["app"] == "orders"


def test_form_b_absolute_form_wins_over_host(setting):
    got = client.raw(setting.sidecar.outbound,
                     b"GET http://orders.pillion/b?x=1 HTTP/1.1\r\nHost: greeter\r\nConnection: close\r\n\r\n")
    assert b'"app": "orders"' in got and b'"path": "/b?x=1"' in got
    got = client.raw(setting.sidecar.outbound,
                     b"GET http://greeter:80/ HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n")
    assert b'"app": "greeter"' in got


def test_service_field_wins_over_host(setting):
    answer = client.request(setting.sidecar.outbound, "/", host="greeter",
                            fields=[("x-pillion-service", "orders")])
    assert answer.json()["app"] == "orders"
    assert "x-pillion-service" not in [name for name, _ in answer.json()["fields"]]


def test_form_e_a_listener_of_one_service(setting):
    for host in ("127.0.0.1:%d" % setting.listener, "whatever.example", "greeter"):
        answer = client.request(setting.listener, "/e", host=host)
        assert answer.status == 200 and answer.json()["app"] == "orders"
    fields = dict(client.request(setting.listener, "/e").json()["fields"])
    assert fields["host"].split(":")[0] == "orders", "MA-05: our own address is not told to the application"


def test_form_f_go_micro_names_it(setting):
    for name in ("Micro-Service", "X-Micro-Service"):
        answer = client.request(setting.sidecar.outbound, "/", "POST", body=b"{}", fields=[(name, "greeter")])
        assert answer.json()["app"] == "greeter"


@pytest.mark.quick
def test_own_address_alone_names_nothing(setting):
    for host in ("127.0.0.1:%d" % setting.sidecar.outbound, "localhost:%d" % setting.sidecar.outbound):
        answer = client.request(setting.sidecar.outbound, "/", host=host)
        assert (answer.status, answer.reason, answer.outcome) == (400, "bad_name", "not-processed")
        assert answer.json()["error"]["reason"] == "bad_name"


@pytest.mark.parametrize("name", ["-orders", "orders_", "a" * 254])
def test_names_that_are_none(setting, name):
    answer = client.request(setting.sidecar.outbound, "/", host="orders", fields=[("x-pillion-service", name)])
    assert answer.status in (400, 200)
    if answer.status == 400:
        assert answer.reason == "bad_name"


def test_unknown_service_says_which(setting):
    answer = client.request(setting.sidecar.outbound, "/", host="nobody")
    assert (answer.status, answer.reason, answer.outcome) == (503, "service_unknown", "not-processed")
    error = answer.json()["error"]
    assert error["service"] == "nobody" and error["code"] == "PIL5021"
    assert answer.field("retry-after") == "1"


def test_an_instance_address_is_its_service(setting):
    """MA-02: the selector still chooses."""
    answer = client.request(setting.sidecar.outbound, "/", host="127.0.0.1:%d" % setting.orders.port)
    assert answer.status in (200, 400, 403, 503)
    if answer.status == 200:
        assert answer.json()["app"] == "orders"
    else:
        assert answer.reason


def test_reserved_paths_are_for_the_mesh(setting):
    for port in (setting.sidecar.outbound, setting.sidecar.inbound):
        answer = client.request(port, "/pillion.v1.Unheard/Of", "POST", host="orders", body=b"x")
        assert answer.status in (403, 404, 501) and answer.reason
        assert not any(path.startswith("/pillion.v1.") for _, path, _, _ in setting.orders.seen)


def test_a_wrong_service_at_the_callee(mesh):
    """MI-06: a request that names another service is not given to this application."""
    app = mesh.app(name="stock")
    callee = mesh.sidecar("stock", app=app.port)
    caller = mesh.bare(callee.inbound, service="orders", protocol="sidecar")
    answer = client.request(caller.outbound, "/x", host="orders")
    assert answer.outcome == "not-processed" and answer.status in (421, 503)
    assert answer.reason in ("wrong_service", "no_instance", "all_unreachable")
    assert app.seen == [] or all(path != "/x" for _, path, _, _ in app.seen)


def test_two_sidecars_and_their_fields(mesh):
    app = mesh.app(name="orders")
    front, behind = mesh.pair(app.port)
    answer = client.request(front.outbound, "/7", host="orders", fields=[("x-pillion-deadline", "20000")])
    told = answer.json()
    fields = dict(told["fields"])
    assert told["app"] == "orders" and fields["host"].startswith("orders")
    own = {name for name in fields if name.startswith("x-pillion-")}
    assert own <= {"x-pillion-deadline", "x-pillion-attempt"}
    assert 0 < int(fields["x-pillion-deadline"]) <= 20000
    via = ", ".join(value for name, value in told["fields"] if name == "via")
    assert "pillion-o-" in via and "pillion-i-" in via
    wait_for(lambda: behind.status()["traffic"]["inbound_requests"] >= 1, "it is counted")


def test_a_loop_ends(mesh):
    """MA-12: a sidecar that leads back to itself answers 508 and does not spin."""
    sidecar = mesh.sidecar("web", start=False)
    sidecar.write_config({"services": {"web2": {"instances": [
        {"address": "127.0.0.1:%d" % sidecar.outbound, "protocol": "http1"}]}}})
    sidecar.start()
    answer = client.request(sidecar.outbound, "/round", host="web2")
    assert answer.status == 508 and answer.json()["error"]["reason"] == "loop"
