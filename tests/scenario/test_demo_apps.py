"""The applications of the demo and of docker/compose.yaml as plain processes (DK-03): orders publishes what is running low,
shop subscribes and shows it."""
import os
import subprocess

import pytest

from harness import client, cluster
from harness.app import App, Handler
from harness.ports import free_port
from harness.sidecar import PYTHON, ROOT
from harness.waits import wait_for

APP = os.path.join(ROOT, "docker", "demo", "app.py")


class Stock(Handler):
    """What the sidecar of the gRPC program would make of its answers."""

    def do_POST(self):
        body = self.read_body()
        return self.answer(200, b'{"left": "%d", "instance": "s"}' % (3 if b"b2" in body else 40))


@pytest.fixture
def applications():
    started = []

    def start(name, port, outbound, **env):
        started.append(subprocess.Popen([PYTHON, APP, name, str(port)], stdin=subprocess.DEVNULL,
                                        env=dict(os.environ, PILLION_OUTBOUND="127.0.0.1:%d" % outbound, **env)))
        return port
    yield start
    for one in started:
        one.terminate()
    for one in started:
        one.wait(30)


def test_what_is_running_low_reaches_the_page(mesh, applications):
    first = cluster.voters(mesh, 1)[0]
    stock = App(free_port()).start()
    stock.server.RequestHandlerClass = Stock
    mesh.origins.append(stock)
    cluster.member(mesh, "stock", [first], app=stock.port)
    ports = free_port(), free_port()
    orders = cluster.member(mesh, "orders", [first], app=ports[0], start=False)
    shop = cluster.member(mesh, "shop", [first], app=ports[1], start=False,
                          arguments=["--subscribe", "stock.low/shop=/events"])
    applications("orders", ports[0], orders.outbound, DEMO_PUBLISHES="stock.low")
    applications("shop", ports[1], shop.outbound)
    orders.start()
    shop.start()

    def page():
        answer = client.request(shop.inbound, "/", host="shop")
        return answer.body if answer.status == 200 else None
    body = wait_for(page, "one page by three applications")
    assert b"Order 7 of Ada" in body and b"40 left" in body
    body = wait_for(lambda: (lambda got: got if got and b"Running low" in got else None)(page()), "the page knows")
    assert b"Running low: b2, 3 left" in body and b"Running low: a1" not in body
    groups = orders.cli("groups", "-o", "json").stdout
    assert "stock.low" in groups and '"shop"' in groups
