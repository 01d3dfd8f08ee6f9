"""Ledger of calls: 50 kills of applications and sidecars under load. Every request has an id that the application
writes down when it executes it: nothing is executed twice, no repeatable call is lost."""
import os
import random
import threading
import time

import pytest

from harness import client, cluster
from harness.ports import free_port
from harness.sidecar import app_command
from harness.waits import wait_for

CUT = "cut after its head"
CALLERS = 6  # calls under way at any time


class Caller:
    """Threads that send numbered requests and note what they were told."""

    def __init__(self, port, method, prefix, threads=CALLERS // 2):
        self.method = method
        self.told = {}  # id: (status, outcome) or an exception
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(port, "%s-%d" % (prefix, i)), daemon=True)
                        for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, port, prefix):
        number = 0
        while not self.stopped.is_set():
            number += 1
            name = "%s-%d" % (prefix, number)
            try:
                answer = client.request(port, "/ledger", self.method, "orders", b"x" if self.method == "POST" else None,
                                        [("x-request-ledger", name)], timeout=60)
                told = (answer.status, answer.outcome, answer.reason)
            except client.http.client.IncompleteRead:
                # F5: its head had gone to the caller when the instance was killed. It was executed, and no
                # proxy can take a head back.
                told = (200, CUT, None)
            except (OSError, client.http.client.HTTPException) as error:
                told = (0, "cut", repr(error))
                time.sleep(0.01)  # a port that refuses answers at once
            with self.lock:
                self.told[name] = told

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.plain
def test_ledger_of_retries(mesh):
    dice = random.Random(5)
    first = cluster.voters(mesh, 1, workers=2)[0]
    ledger = mesh.path("ledger")
    members = []
    for i in range(3):
        port = free_port()
        one = cluster.member(mesh, "orders", [first], app=port, start=False, command=app_command(port, "--ledger", ledger),
                             config={"service": {"app": {"restart": "on-failure", "check_interval": "200ms"}}})
        members.append(one.start())
    caller = cluster.member(mesh, "caller", [first])
    wait_for(lambda: cluster.services(first).get("orders") == 3, "three instances")
    wait_for(lambda: client.request(caller.outbound, "/", host="orders").status == 200, "calls work")
    gets, posts = Caller(caller.outbound, "GET", "get"), Caller(caller.outbound, "POST", "post")

    def more():
        before = len(gets.told), len(posts.told)
        wait_for(lambda: len(gets.told) > before[0] + 15 and len(posts.told) > before[1] + 15, "calls go on", timeout=60)
    for kill in range(50):
        more()
        victim = members[kill % 3]
        kind = dice.randrange(3)
        if kind == 0:
            pid = victim.app_pid()
            if pid:
                os.kill(pid, 9)
            wait_for(lambda: victim.app_pid() not in (None, pid), "the application is started again", timeout=60)
        elif kind == 1:
            pid = victim.proxy_pid()
            if pid:
                os.kill(pid, 9)
            wait_for(lambda: victim.proxy_pid() not in (None, pid), "the proxy process is started again", timeout=60)
        else:
            victim.kill()
            victim.start(ready=False)
        wait_for(lambda: victim._check("/readyz"), "the victim is back", timeout=60)
    more()
    gets.stop()
    posts.stop()
    with open(ledger, encoding="ascii") as file:
        executed = [line.split()[0] for line in file]
    count = {}
    for name in executed:
        count[name] = count.get(name, 0) + 1
    lost = {name: told for name, told in gets.told.items() if told[0] != 200}
    twice = [name for name, times in count.items() if times > 1 and name.startswith("post")]
    phantom = [name for name in count if name not in gets.told and name not in posts.told]
    wrong = {name: told for name, told in posts.told.items()
             if told[0] == 503 and told[1] == "not-processed" and name in count}
    unexecuted = [name for name, told in posts.told.items() if told[0] == 200 and name not in count]
    others = {told for told in posts.told.values() if told[0] not in (200, 502, 503)}
    assert not twice, "executed twice: %s" % twice[:10]
    assert not wrong, "told that it was not processed, but it was: %s" % list(wrong.items())[:10]
    assert not unexecuted and not phantom
    assert not lost, "lost %d of %d repeatable calls: %s" % (len(lost), len(gets.told), list(lost.items())[:10])
    assert not others, others
    cut = [name for name, told in list(gets.told.items()) + list(posts.told.items()) if told[1] == CUT]
    assert len(cut) <= 50 * CALLERS, "more cut than were under way: %s" % cut[:10]
    assert len(gets.told) > 700 and len(posts.told) > 700
