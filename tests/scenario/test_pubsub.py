"""Publish and subscribe between sidecars: on disk before the 200, pushed to one member of each group (broker.md)."""
import json
import os
import random
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest

from harness import client, cluster
from harness.app import App, Handler
from harness.ports import free_port
from harness.sidecar import app_command, merge
from harness.waits import wait_for


class Receiver(App):
    """An application that takes pushed messages; `answers` decide by delivery number."""

    def __init__(self, port, **more):
        super().__init__(port, **more)
        self.got = []  # (id, delivery, path, {field: value}, body)
        self.answer_with = lambda event, delivery: 200
        self.server.RequestHandlerClass = Push


class Push(Handler):
    def do(self):
        if not self.path.startswith("/events"):
            return super().do()
        body = self.read_body()
        app = self.server.app
        app.now = self
        fields = {name.lower(): value for name, value in self.headers.items()}
        status = app.answer_with(fields.get("ce-id"), int(fields.get("x-pillion-delivery", "0")))
        app.got.append((fields.get("ce-id"), int(fields.get("x-pillion-delivery", "0")), self.path, fields, body))
        return self.answer(status, b'{"why":"because"}\n' if status >= 400 else b"")

    do_POST = do
    assert issubclass(Handler, BaseHTTPRequestHandler)


def receiver(mesh, **more):
    one = Receiver(free_port(), **more).start()
    mesh.origins.append(one)
    return one


def subscriber(mesh, name, seeds, app, topic, group, **subscription):
    return cluster.member(mesh, name, seeds, app=app.port, config={"broker": {"subscriptions": [
        merge({"topic": topic, "group": group, "push": "/events"}, subscription)]}})


def publish(one, topic, body=b'{"n":1}', fields=(), path=""):
    return client.request(one.outbound, "/v1/pub/" + topic + path, "POST", body=body,
                          fields=[("Content-Type", "application/json")] + list(fields))


def ids(app):
    return [row[0] for row in app.got]


@pytest.fixture
def first(mesh):
    return cluster.voters(mesh, 1, workers=2)[0]


@pytest.mark.quick
@pytest.mark.threads
def test_publish_and_push(mesh, first):
    app = receiver(mesh)
    subscriber(mesh, "orders", [first], app, "stock.low", "orders")
    answer = publish(first, "stock.low", b'{"sku":"a1"}', [("ce-type", "low"), ("ce-mine", "yes")])
    assert answer.status == 200, answer
    told = answer.json()
    assert told["durability"] == "fsync" and told["seq"] >= 1 and told["id"]
    assert answer.field("x-pillion-durability") == "fsync"
    wait_for(lambda: app.got, "it is pushed")
    event, delivery, path, fields, body = app.got[0]
    assert (event, delivery, path, body) == (told["id"], 1, "/events", b'{"sku":"a1"}')
    assert fields["ce-type"] == "low" and fields["ce-mine"] == "yes" and fields["ce-specversion"] == "1.0"
    assert fields["x-pillion-topic"] == "stock.low" and fields["x-pillion-group"] == "orders"
    assert fields["content-type"] == "application/json" and "transfer-encoding" not in fields


def test_one_member_of_each_group(mesh, first):
    apps = {(group, i): receiver(mesh) for group in ("red", "blue") for i in range(2)}
    for (group, i), app in apps.items():
        subscriber(mesh, "%s-%d" % (group, i), [first], app, "paint.>", group)
    wait_for(lambda: publish(first, "paint.probe").json()["groups"] == 2, "both groups are known")
    sent = [publish(first, "paint.%d" % (i % 3), b'{"i":%d}' % i).json()["id"] for i in range(60)]
    for group in ("red", "blue"):
        got = wait_for(lambda: (lambda all_of: all_of if set(sent) <= set(all_of) else None)(
            ids(apps[group, 0]) + ids(apps[group, 1])), "group %s has all" % group)
        counted = [event for event in got if event in set(sent)]
        assert len(counted) == len(set(counted)) == 60, "each once in the group"
    wait_for(lambda: all(app.got for app in apps.values()) or not publish(first, "paint.more"), "the work is shared")


def test_own_zone_first(mesh, first):
    """B10-03: a member of the publisher's zone gets the message as long as it takes any."""
    near, far = receiver(mesh), receiver(mesh)
    for name, app, zone in (("near", near, "a"), ("far", far, "b")):
        cluster.member(mesh, name, [first], app=app.port, config={"service": {"zone": zone}, "broker": {"subscriptions": [
            {"topic": "jobs", "group": "w", "push": "/events"}]}})
    publisher = cluster.member(mesh, "publisher", [first], config={"service": {"zone": "a"}})
    wait_for(lambda: json.loads(publisher.cli("groups", "-o", "json").stdout)["items"][0]["members"] == 2
             if publish(publisher, "jobs").status == 200 else False, "both members are known")
    wait_for(lambda: publish(publisher, "jobs").status == 200 and near.got, "the near one has credit")
    sent = [publish(publisher, "jobs").json()["id"] for _ in range(60)]
    wait_for(lambda: set(sent) <= set(ids(near) + ids(far)), "all arrive")
    assert len(set(sent) & set(ids(near))) > 2 * len(set(sent) & set(ids(far)))


def test_a_failing_answer_is_repeated(mesh, first):
    app = receiver(mesh)
    app.answer_with = lambda event, delivery: 500 if delivery < 3 else 200
    subscriber(mesh, "orders", [first], app, "jobs", "w", backoff=["50ms"])
    event = publish(first, "jobs").json()["id"]
    wait_for(lambda: len(app.got) == 3, "three deliveries")
    assert [row[:2] for row in app.got] == [(event, 1), (event, 2), (event, 3)]


def test_processing_is_no_silence(mesh, first):
    """A3: an application that says 102 now and then may take longer than ack_wait."""
    app = receiver(mesh)

    def slowly(event, delivery):
        for _ in range(6):
            time.sleep(0.8)
            app.now.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            app.now.wfile.flush()
        return 200
    subscriber(mesh, "orders", [first], app, "jobs", "w", ack_wait="3s", max_in_flight=1)
    wait_for(lambda: publish(first, "jobs").json()["groups"] == 1 and app.got, "the group is known")
    app.answer_with = slowly
    event = publish(first, "jobs").json()["id"]
    wait_for(lambda: event in ids(app), "it was answered")
    app.answer_with = lambda event, delivery: 200
    after = publish(first, "jobs").json()["id"]
    wait_for(lambda: after in ids(app), "the next one comes")
    assert [row[1] for row in app.got if row[0] == event] == [1], "one delivery, though it took 5 s"


def test_dead_letter_and_replay(mesh, first):
    app = receiver(mesh)
    app.answer_with = lambda event, delivery: 500
    subscriber(mesh, "orders", [first], app, "jobs", "w", backoff=["20ms"], max_deliver=2)
    event = publish(first, "jobs", b'{"poor":"thing"}').json()["id"]

    def listed():
        done = first.cli("dlq", "ls", "jobs/w", "-o", "json")
        return done.stdout if done.returncode == 0 and event in done.stdout else None
    assert "max_deliver" in wait_for(listed, "it is among the dead letters")
    shown = first.cli("dlq", "show", "jobs/w", event)
    assert shown.returncode == 0 and "because" in shown.stdout and "500" in shown.stdout, "with the application's answer"
    assert "poor" in shown.stdout
    count = len(app.got)
    app.answer_with = lambda event, delivery: 200
    done = first.cli("dlq", "replay", "jobs/w")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(app.got) > count, "it is delivered again")
    assert app.got[-1][4] == b'{"poor":"thing"}'
    wait_for(lambda: event not in first.cli("dlq", "ls", "jobs/w", "-o", "json").stdout, "and is settled")


def test_refused_for_good_is_a_dead_letter_at_once(mesh, first):
    app = receiver(mesh)
    app.answer_with = lambda event, delivery: 422
    subscriber(mesh, "orders", [first], app, "jobs", "w")
    event = publish(first, "jobs").json()["id"]
    wait_for(lambda: event in first.cli("dlq", "ls", "jobs/w", "-o", "json").stdout, "it is among the dead letters")
    assert len(app.got) == 1


def test_fetch_and_acknowledge(mesh, first):
    reader = cluster.member(mesh, "reader", [first])

    def fetch(**more):
        return client.request(reader.outbound, "/v1/sub/news/readers/fetch", "POST", body=json.dumps(
            dict({"max": 10, "wait": "200ms"}, **more)).encode(), fields=[("Content-Type", "application/json")])
    assert fetch().json() == {"messages": []}
    wait_for(lambda: publish(first, "news", b'{"i":0}').json()["groups"] == 1, "the group is known")
    sent = [publish(first, "news", b'{"i":%d}' % i).json()["id"] for i in range(5)]
    got = {}

    def collect():
        for message in fetch(wait="1s").json()["messages"]:
            got[message["event"]["id"]] = message
        return set(sent) <= set(got)
    wait_for(collect, "all are fetched")
    message = got[sent[3]]
    assert message["event"]["data"] == {"i": 3} and message["topic"] == "news" and message["attempt"] == 1
    body = {"ack": [one["lease"] for one in got.values()] + ["0" * 32]}
    answer = client.request(reader.outbound, "/v1/sub/news/readers/ack", "POST", body=json.dumps(body).encode(),
                            fields=[("Content-Type", "application/json")])
    statuses = {one["lease"]: one["status"] for one in answer.json()["results"]}
    assert statuses.pop("0" * 32) == "unknown" and set(statuses.values()) == {"ok"}
    assert fetch().json() == {"messages": []}


def test_verbs(mesh, first):
    app = receiver(mesh)
    one = subscriber(mesh, "orders", [first], app, "stock.low", "orders")
    done = first.cli("pub", "stock.low", '{"sku":"cli"}')
    assert done.returncode == 0, done.stderr
    wait_for(lambda: app.got, "pushed")
    for verb in ("topics", "groups"):
        done = first.cli(verb, "-o", "json")
        assert done.returncode == 0
        json.loads(done.stdout)
    assert one.cli("groups").returncode == 0
    process = subprocess.Popen([one.words()[0], "sub", "stock.low", "--group", "terminal", "--count", "1"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=dict(os.environ, PILLION_ADMIN="unix:" + one.socket))
    try:
        def arrived():
            publish(first, "stock.low", b'{"sku":"sub"}')
            return process.poll() is not None
        wait_for(arrived, "sub printed one and ended", every=0.2)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[0])


@pytest.mark.parametrize("topic,status,word", [("a..b", 400, "bad_topic"), ("a b", 400, None), ("x" * 201, 400, "bad_topic"),
                                               ("jobs.dlq", 403, "reserved"), ("$sys.x", 403, "reserved")])
def test_bad_topics(mesh, first, topic, status, word):
    if " " in topic:
        topic = topic.replace(" ", "%20")
    answer = publish(first, topic)
    assert answer.status == status and (word is None or answer.reason == word), answer


def test_what_is_refused(mesh, first):
    assert publish(first, "t", fields=[("Origin", "http://evil.example")]).reason == "cross_site"
    assert publish(first, "t", fields=[("ce-specversion", "2.0")]).reason == "bad_event"
    assert publish(first, "t", path="?delay=5s").reason == "bad_parameter"
    assert publish(first, "t", path="?durability=loud").status == 400
    answer = publish(first, "t", b"x" * 8000000)  # more than the buffers of both sockets hold
    assert (answer.status, answer.reason, answer.outcome) == (413, "body_too_large", "not-processed")
    assert client.request(first.outbound, "/v1/pub/t").status == 405
    elsewhere = client.request(first.outbound, "/v1/pub/t", "POST", "orders", b"x")
    assert elsewhere.status == 503, "another authority is a routed call"
    assert publish(first, "t", path="?durability=os").json()["durability"] in ("os", "fsync")


def test_publisher_killed_after_the_200(mesh, first):
    """What was acknowledged before kill -9 is delivered after the restart."""
    app = receiver(mesh)
    gate = {"open": False}
    app.answer_with = lambda event, delivery: 200 if gate["open"] else 503
    subscriber(mesh, "orders", [first], app, "jobs", "w", backoff=["50ms"])
    publisher = cluster.member(mesh, "publisher", [first])
    sent = [publish(publisher, "jobs", b'{"i":%d}' % i).json()["id"] for i in range(40)]
    publisher.kill()
    gate["open"] = True
    publisher.start()
    wait_for(lambda: set(sent) <= set(ids(app)), "all of them arrive", timeout=90)


def test_restart_without_any_registry(mesh, first):
    """B3-06: all voters are gone; a publisher that starts anew still knows the groups and where their members are."""
    app = receiver(mesh)
    subscriber(mesh, "orders", [first], app, "jobs", "w")
    publisher = cluster.member(mesh, "publisher", [first])
    wait_for(lambda: publish(publisher, "jobs").json()["groups"] == 1 and app.got, "the group and its member are known")

    def stored():
        with open(os.path.join(publisher.folder, "data", "view.bin"), "rb") as file:
            view = file.read()
        return b"/ps/group/jobs/w" in view and b"/ps/member/jobs/w" in view
    wait_for(stored, "the view is on disk")
    first.kill()
    publisher.kill()
    publisher.start(ready=False)
    told = wait_for(lambda: (lambda answer: answer.status == 200 and answer.json())(publish(publisher, "jobs", b'{"late":1}')),
                    "it publishes")
    assert told["groups"] == 1, told
    wait_for(lambda: told["id"] in ids(app), "the member gets it")
    other = publish(publisher, "jobs.never", b"x").json()
    assert other["groups"] == 0, "a topic without a group: unclaimed"


def test_subscriber_falls_silent(mesh, first):
    """B11-04: a sidecar that stands still keeps its connections; what it has in hand goes to another member long before ack_wait."""
    still, well = receiver(mesh), receiver(mesh)
    entered, gate = [], threading.Event()

    def hang(event, delivery):
        entered.append(event)
        gate.wait(120)
        return 200
    still.answer_with = hang
    one = subscriber(mesh, "still", [first], still, "jobs", "w", ack_wait="5m")
    subscriber(mesh, "well", [first], well, "jobs", "w", ack_wait="5m")
    sent = []
    wait_for(lambda: sent.append(publish(first, "jobs").json()["id"]) or (entered and well.got), "both members get messages")
    stopped = one.proxy_pid()
    os.kill(stopped, signal.SIGSTOP)
    try:
        sent += [publish(first, "jobs").json()["id"] for _ in range(10)]
        wait_for(lambda: set(sent) <= set(ids(well)), "all are with the other member", timeout=120)
    finally:
        os.kill(stopped, signal.SIGCONT)
        gate.set()


def test_subscriber_killed(mesh, first):
    app = receiver(mesh)
    one = subscriber(mesh, "orders", [first], app, "jobs", "w")
    wait_for(lambda: publish(first, "jobs").json()["groups"] == 1, "the group is known")
    one.kill()
    sent = [publish(first, "jobs", b'{"i":%d}' % i).json()["id"] for i in range(20)]
    one.start()
    wait_for(lambda: set(sent) <= set(ids(app)), "it receives what came meanwhile", timeout=90)


def test_disk_full_stops_publishing_only(mesh):
    """The spool stops, traffic goes on, nothing acknowledged is lost."""
    folder = mesh.path("small")
    os.makedirs(folder)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        first = cluster.voters(mesh, 1)[0]
        app, web = receiver(mesh), mesh.app(name="web")
        app.answer_with = lambda event, delivery: 503
        subscriber(mesh, "orders", [first], app, "jobs", "w", backoff=["50ms"])
        small = cluster.member(mesh, "small", [first], app=web.port, config={
            "broker": {"spool": {"path": os.path.join(folder, "spool"), "segment": "1MiB"}}})
        sent, refused = [], None
        for i in range(200):
            answer = publish(small, "jobs", b"%d " % i + b"x" * 200000)
            if answer.status == 200:
                sent.append(answer.json()["id"])
            else:
                refused = answer
                break
        assert refused is not None and refused.status in (502, 503, 507), refused
        assert refused.reason in ("spool_full", "spool_failed", "spool_error", "topic_full")
        assert client.request(small.inbound, "/", host="small").json()["app"] == "web"
        assert small.probe("/livez").status == 200
        again = publish(small, "jobs")
        assert again.status in (200, 503, 507)
        app.answer_with = lambda event, delivery: 200
        wait_for(lambda: set(sent) <= set(ids(app)), "what was acknowledged arrives", timeout=90)
        small.stop()
    finally:
        for one in mesh.sidecars:
            if one.process and one.process.poll() is None and one.name == "small":
                one.kill()
        subprocess.run(["umount", folder], check=False)


@pytest.mark.plain
def test_ledger_of_messages(mesh):
    """50 kills of publishers, subscribers and their sidecars: 0 acknowledged messages lost."""
    dice = random.Random(50)
    first = cluster.voters(mesh, 1, workers=2)[0]
    ledger = mesh.path("ledger")
    subscribers = []
    for i in range(2):
        port = free_port()
        one = cluster.member(mesh, "sub-%d" % i, [first], app=port, start=False, command=app_command(port, "--ledger", ledger),
                             config={"service": {"app": {"restart": "on-failure"}}, "broker": {"subscriptions": [
                                 {"topic": "jobs", "group": "w", "push": "/events", "backoff": ["50ms", "200ms"],
                                  "max_deliver": 1000, "ack_wait": "2s"}]}})
        subscribers.append(one.start())
    publishers = [cluster.member(mesh, "pub-%d" % i, [first], config={"process": {"workers": 1}}) for i in range(2)]
    acknowledged, stop, lock = [], threading.Event(), threading.Lock()

    def load(which, publisher):
        number = 0
        while not stop.is_set():
            number += 1
            event = "%s-%d" % (which, number)
            try:
                answer = publish(publisher, "jobs", b"{}", [("ce-id", event)])
                if answer.status == 200:
                    with lock:
                        acknowledged.append(event)
            except (OSError, client.http.client.HTTPException):
                stop.wait(0.05)
    threads = [threading.Thread(target=load, args=(i, publisher)) for i, publisher in enumerate(publishers)]
    for thread in threads:
        thread.start()
    for kill in range(50):
        before = len(acknowledged)
        wait_for(lambda: len(acknowledged) > before + 10, "publishing goes on", timeout=60)
        kind = kill % 3
        if kind == 0:
            victim = dice.choice(publishers)
            victim.kill()
            victim.start(ready=False)
        elif kind == 1:
            victim = dice.choice(subscribers)
            victim.kill()
            victim.start(ready=False)
        else:
            pid = dice.choice(subscribers).app_pid()
            if pid:
                os.kill(pid, 9)
    stop.set()
    for thread in threads:
        thread.join()

    def executed():
        with open(ledger, encoding="ascii") as file:
            return {line.split()[0] for line in file}

    def all_there():
        missing = set(acknowledged) - executed()
        return not missing
    try:
        wait_for(all_there, "every acknowledged message is executed", timeout=120, every=0.5)
    except AssertionError:
        missing = set(acknowledged) - executed()
        raise AssertionError("lost %d of %d: %s" % (len(missing), len(acknowledged), sorted(missing)[:10])) from None
    assert len(acknowledged) > 500


def test_requests_of_the_broker_are_in_the_access_log(first):
    """http.md C-13: one line each, whatever the answer was."""
    def lines():
        return [line for line in first.access_lines() if line["url.path"].startswith("/v1/pub/")]
    assert publish(first, "stock.low").status == 200
    assert publish(first, "a%20b").status == 400
    wait_for(lambda: len(lines()) >= 2, "both are logged")
    # Two connections may be two workers': their lines come in any order.
    assert sorted((line["http.response.status_code"], line["pillion.reason"], line["pillion.outcome"]) for line in lines()) == [
        (200, "ok", "processed"), (400, "bad_topic", "not-processed")]
    assert lines()[0]["http.request.method"] == "POST" and lines()[0]["http.request.body.bytes"] == 7
    assert lines()[0]["pillion.direction"] == "out" and lines()[0]["source.address"].startswith("127.0.0.1:")
