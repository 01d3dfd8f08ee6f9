"""The registry inside the sidecars: birth, leader loss, everybody lost, and nothing forgotten (registry.md, mesh.md 10)."""
import ctypes
import json
import os
import random
import re
import shutil
import signal
import subprocess

import pytest

from harness import client, cluster
from harness.ports import free_port
from harness.sidecar import APP, BINARY, PYTHON, app_command, environment
from harness.waits import alive, children, wait_for
from test_reload import Load


@pytest.mark.quick
@pytest.mark.threads
def test_a_cluster_of_one_and_who_joins(mesh):
    stock, orders = mesh.app(name="stock"), mesh.app(name="orders")
    first = cluster.voters(mesh, 1, workers=2)[0]
    one = cluster.member(mesh, "stock", [first], app=stock.port)
    two = cluster.member(mesh, "orders", [first], app=orders.port)
    assert client.request(two.outbound, "/", host="stock").json()["app"] == "stock"
    assert client.request(one.outbound, "/", host="orders").json()["app"] == "orders"
    assert client.request(first.outbound, "/", host="orders").json()["app"] == "orders"
    def row():
        answer = client.request(two.outbound, "/", host="stock", fields=[("x-pillion-debug", "1")])
        return re.fullmatch(r"idx=[1-9]\d*;age=\d+\.\ds;mode=live", answer.field("x-pillion-registry"))
    wait_for(row, "mesh.md 0: the debug row says what the choice was based on")
    assert {"stock": 1, "orders": 1}.items() <= cluster.services(first).items()
    for arguments in (["services"], ["instances", "stock"], ["members"], ["raft", "status"], ["status"]):
        done = first.cli(*arguments)
        assert done.returncode == 0 and len(done.stdout.splitlines()) >= 2, arguments
        json.loads(first.cli(*arguments, "-o", "json").stdout)
    assert "leader" in first.cli("raft", "status").stdout
    assert "orders" in two.cli("members").stdout


def test_a_service_that_comes_later_is_found(mesh):
    first = cluster.voters(mesh, 1)[0]
    caller = cluster.member(mesh, "caller", [first])
    answer = client.request(caller.outbound, "/", host="late")
    assert (answer.status, answer.reason) == (503, "service_unknown")
    app = mesh.app(name="late")
    cluster.member(mesh, "late", [first], app=app.port)
    wait_for(lambda: client.request(caller.outbound, "/", host="late").status == 200, "it is found")


def test_instances_go_when_they_leave_and_when_they_die(mesh):
    first = cluster.voters(mesh, 1)[0]
    apps = [mesh.app(name="a%d" % i) for i in range(3)]
    members = [cluster.member(mesh, "pay", [first], app=app.port, config={
        "registry": {"session_ttl": "5s", "renew": "500ms"}}) for app in apps]
    caller = cluster.member(mesh, "caller", [first])
    wait_for(lambda: cluster.services(first).get("pay") == 3, "three instances")
    names = set()
    wait_for(lambda: names.add(client.request(caller.outbound, "/", host="pay").json()["app"]) or len(names) == 3,
             "each of them is called")
    load = Load(caller.outbound, host="pay", threads=2)
    apps[0].stop()
    mesh.origins.remove(apps[0])
    members[0].stop()
    wait_for(lambda: cluster.services(first).get("pay") == 2, "one left")
    load.more(20)
    members[1].kill()
    load.more(20)
    wait_for(lambda: cluster.services(first).get("pay") == 1, "one died", timeout=60)
    load.more(20)
    load.stop()
    # An answer whose head had come when its sidecar was killed is cut: nobody can repeat that for the caller.
    cut = [failure for failure in load.failed if "IncompleteRead" in failure]
    assert load.failed == cut and len(cut) <= 2


def test_three_voters_and_a_lost_leader(mesh):
    """kill -9 of the leader: registrations are accepted right after, no call fails."""
    found = cluster.voters(mesh)
    app = mesh.app(name="orders")
    cluster.member(mesh, "orders", found, app=app.port)
    caller = cluster.member(mesh, "caller", found)
    wait_for(lambda: client.request(caller.outbound, "/", host="orders").status == 200, "calls work")
    load = Load(caller.outbound, threads=2)
    load.more(20)
    old = cluster.leader(found)
    old.kill()
    rest = [one for one in found if one is not old]
    other = mesh.app(name="new")
    fresh = cluster.member(mesh, "new", rest, app=other.port)
    assert cluster.leader(rest) is not old
    wait_for(lambda: client.request(caller.outbound, "/", host="new").status == 200, "the new one is found")
    old.start()
    wait_for(lambda: cluster.raft(old)["commit"] == cluster.raft(cluster.leader(found))["commit"], "it caught up")
    load.more(20)
    load.stop()
    assert load.failed == []
    assert fresh.process.poll() is None


def test_a_silent_leader(mesh):
    """SIGSTOP: its connections stay open and it says nothing. Another one leads; it follows when it wakes up."""
    found = cluster.voters(mesh)
    app = mesh.app(name="orders")
    old = cluster.leader(found)
    term = cluster.raft(old)["term"]
    rest = [one for one in found if one is not old]
    caller = cluster.member(mesh, "caller", rest)
    guest = cluster.member(mesh, "guest", [old])  # its stream is of the one that falls silent
    wait_for(lambda: guest.status()["registry"]["mode"] == "live", "it is served")
    stopped = [old.process.pid] + children(old.process.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        fresh = cluster.leader(rest)
        cluster.member(mesh, "orders", rest, app=app.port)
        wait_for(lambda: client.request(caller.outbound, "/", host="orders").status == 200, "callers hear of it")
        assert cluster.raft(fresh)["term"] > term
        wait_for(lambda: client.request(guest.outbound, "/", host="orders").status == 200, "RW-05: its guest goes elsewhere")
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: cluster.raft(old)["role"] == "follower", "it is no leader any more")
    wait_for(lambda: cluster.services(old).get("orders") == 1, "and has what it missed")


def test_a_learner_stays_one(mesh):
    """RR-01, RB-03: who was started as learner replicates, serves reads and watches, and never counts; who was
    started as voter beside it becomes one."""
    first = mesh.sidecar("voter-0", start=False, config={"registry": {"kind": None, "role": "voter", "bootstrap": "alone"}})
    learner = cluster.member(mesh, "learner", [first], start=False, config={"registry": {"role": "learner"}})
    others = [cluster.member(mesh, "voter-%d" % i, [first], start=False, config={"registry": {"role": "voter"}})
              for i in (1, 2)]
    voters = [first] + others
    for one in [first, learner] + others:
        one.start(wait=False)
    for one in [first, learner] + others:
        one.wait_started()
    wait_for(lambda: cluster.voting(cluster.leader(voters)) == 3, "three voters")
    app = mesh.app(name="orders")
    # Its only way to the registry is the learner.
    cluster.member(mesh, "orders", [learner], app=app.port)
    reader = cluster.member(mesh, "reader", [learner])
    wait_for(lambda: client.request(reader.outbound, "/", host="orders").status == 200, "served by the learner")
    roles = {peer["node"]: peer["role"] for peer in cluster.raft(cluster.leader(voters))["peers"]}
    assert roles == {"voter-0": "voter", "voter-1": "voter", "voter-2": "voter", "learner": "learner"}
    leader = cluster.leader(voters)
    gone = [one for one in voters if one is not leader]
    for one in gone:
        one.kill()
    # Two of four replicas are left, and one of three voters: that is no quorum.
    wait_for(lambda: cluster.raft(leader)["role"] != "leader", "the learner's answers do not count")
    assert client.request(reader.outbound, "/", host="orders").status == 200
    gone[0].start(wait=False)
    late = mesh.app(name="late")
    cluster.member(mesh, "late", [learner], app=late.port)
    wait_for(lambda: client.request(reader.outbound, "/", host="late").status == 200, "two voters are a quorum")


def promote(leader, identity):
    """(exit code, what it said)"""
    done = leader.cli("raft", "promote", identity)
    return done.returncode, done.stdout + done.stderr


def test_promotion_by_hand(mesh):
    """RB-03: NOT_CAUGHT_UP while a heartbeat of the last 10 E was not answered."""
    found = cluster.voters(mesh)
    leader = cluster.leader(found)
    learner = cluster.member(mesh, "learner", found, config={"registry": {"role": "learner"}})

    def record():
        return next((peer for peer in cluster.raft(leader)["peers"] if peer["node"] == "learner"), None)

    wait_for(lambda: record() and record()["role"] == "learner" and record()["contact"] != "-", "it is admitted, and answers")
    stopped = [learner.process.pid] + children(learner.process.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: float(record()["contact"].rstrip("s")) > 1, "it is silent")
        code, said = promote(leader, record()["id"])
        assert code != 0 and "not_caught_up" in said
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: promote(leader, record()["id"])[0] == 0, "it answered for long enough")
    wait_for(lambda: record()["role"] == "voter", "it votes")


def test_all_voters_down_and_back(mesh):
    """MG: calls go on; a caller that is restarted meanwhile uses its view; nothing is forgotten."""
    found = cluster.voters(mesh)
    app = mesh.app(name="orders")
    cluster.member(mesh, "orders", found, app=app.port)
    caller = cluster.member(mesh, "caller", found, config={"service": {"uses": ["orders"]}})
    wait_for(lambda: client.request(caller.outbound, "/", host="orders").status == 200, "calls work")
    view = os.path.join(caller.config["process"]["data_dir"], "view.bin")
    wait_for(lambda: os.path.getsize(view) > 0, "the view is on disk")
    load = Load(caller.outbound, threads=2)
    for one in found:
        one.kill()
    load.more(60)
    load.stop()
    assert load.failed == []
    wait_for(lambda: caller.status()["registry"]["mode"] != "live", "it knows that nobody answers")
    assert caller.probe("/readyz").status == 200, "HE-03: loss of every voter keeps it true"
    caller.kill()
    caller.start(ready=False)
    wait_for(lambda: client.request(caller.outbound, "/", host="orders").status == 200, "from the view")
    stranger = client.request(caller.outbound, "/", host="nobody")
    assert stranger.status == 503 and stranger.outcome == "not-processed"
    for one in found:
        one.start(wait=False)
    for one in found:
        one.wait_started()
    leader = cluster.leader(found)
    wait_for(lambda: cluster.services(leader).get("orders") == 1, "nothing was forgotten")
    another = mesh.app(name="another")
    cluster.member(mesh, "another", found, app=another.port)
    wait_for(lambda: client.request(caller.outbound, "/", host="another").status == 200, "and new ones register")


def test_three_are_born_together(mesh):
    """RB-02, with-seeds."""
    found = cluster.voters(mesh)
    assert len({cluster.raft(one)["uuid"] for one in found}) == 1
    app = mesh.app(name="orders")
    cluster.member(mesh, "orders", found, app=app.port)
    wait_for(lambda: client.request(found[0].outbound, "/", host="orders").status == 200, "clients are served")


@pytest.mark.parametrize("attempt", range(3))
def test_two_join_a_cluster_of_one(mesh, attempt):
    """RB-01, RB-03: 1 -> 3 in one joint change, also when both come at once and at birth."""
    first = mesh.sidecar("voter-0", start=False, config={"registry": {"kind": None, "role": "voter", "bootstrap": "alone"}})
    others = [cluster.member(mesh, "voter-%d" % i, [first], start=False, config={"registry": {"role": "voter"}})
              for i in (1, 2)]
    for one in [first] + others:
        one.start(wait=False)
    for one in [first] + others:
        one.wait_started()
    wait_for(lambda: cluster.voting(first) == 3, "three voters")


def test_leader_leaves_in_order(mesh):
    """RB-05: SIGTERM hands leadership over: the successor was asked, and nobody's election time-out passed."""
    found = cluster.voters(mesh, registry={"heartbeat": "100ms", "election": "1s", "session_ttl": "20s"})
    old = cluster.leader(found)
    rest = [one for one in found if one is not old]
    guest = cluster.member(mesh, "guest", [old])
    wait_for(lambda: guest.stderr().count("connected with the registry") == 1, "it is a guest of the leader's")
    before = {one: len(one.stderr()) for one in rest}
    assert old.stop() == 0
    fresh = cluster.leader(rest)
    said = {one: one.stderr()[before[one]:] for one in rest}
    assert "leadership is handed over" in old.stderr()
    assert "the leader asked this replica to take over" in said[fresh]
    assert not any("pre-candidate" in text for text in said.values()), said
    wait_for(lambda: guest.stderr().count("connected with the registry") == 2, "the guest went to another replica")
    app = mesh.app(name="late")
    cluster.member(mesh, "late", rest, app=app.port)


def test_a_follower_from_a_backup(mesh, tmp_path):
    """RT-03: a replica whose directory went back in time has lost what it acknowledged: it says so, counts as
    uncertain until it has everything again, and nobody crashes."""
    found = cluster.voters(mesh)
    leader = cluster.leader(found)
    victim = [one for one in found if one is not leader][0]
    raft_dir = os.path.join(victim.config["process"]["data_dir"], "raft")
    backup = str(tmp_path / "backup")
    victim.kill()
    shutil.copytree(raft_dir, backup)
    victim.start()
    app = mesh.app(name="orders")
    cluster.member(mesh, "orders", found, app=app.port)
    wait_for(lambda: cluster.raft(victim)["commit"] >= cluster.raft(leader)["commit"], "it has the registration")
    victim.kill()
    shutil.rmtree(raft_dir)
    shutil.copytree(backup, raft_dir)
    victim.start()
    wait_for(lambda: "lost entries that it had acknowledged" in victim.stderr(), "it knows of its loss")
    wait_for(lambda: cluster.raft(victim)["uncertain"] is False, "it is certain again")
    wait_for(lambda: cluster.services(victim).get("orders") == 1, "it caught up")
    assert any("a replica has less than it acknowledged" in one.stderr() for one in found)
    assert all(one.process.poll() is None for one in found)


@pytest.fixture
def small_disk(mesh):
    """tight(one, size): the data directory of a sidecar that is not running lies on a file system of that size, with
    what it held before; wide(one): there is room again."""
    mounted = []

    def tight(one, size):
        path = one.config["process"]["data_dir"]
        os.makedirs(path, exist_ok=True)
        saved = path + ".saved"
        shutil.copytree(path, saved, ignore=shutil.ignore_patterns("*.tmp"))
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700,size=%s" % size, "tmpfs", path], capture_output=True)
        if made.returncode != 0:
            pytest.skip("no file systems can be mounted here: %s" % made.stderr.decode().strip())
        mounted.append(path)
        shutil.copytree(saved, path, dirs_exist_ok=True)

    def wide(one):
        subprocess.run(["mount", "-o", "remount,size=200m", one.config["process"]["data_dir"]], check=True)

    yield tight, wide
    for one in mesh.sidecars:
        if one.process and one.process.poll() is None:
            one.kill()
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


def test_no_room_for_the_log(mesh, small_disk):
    """RS-14: a voter without room for the next segment refuses registrations and goes on living; with room it takes
    them again."""
    tight, wide = small_disk
    only = mesh.sidecar("voter-0", start=False, config={"registry": {"kind": None, "role": "voter", "bootstrap": "alone"}})
    tight(only, "24m")
    only.start()
    wait_for(lambda: cluster.raft(only)["disk_full"] is True, "it says so")
    app = mesh.app(name="orders")
    one = cluster.member(mesh, "orders", [only], app=app.port, start=False)
    one.start(ready=False)
    wait_for(lambda: one.status()["phase"] == "registering", "it tries")
    assert "orders" not in cluster.services(only)
    wide(only)
    wait_for(lambda: cluster.raft(only)["disk_full"] is False, "it looked again")
    one.wait_ready()
    assert cluster.services(only).get("orders") == 1


def test_a_follower_without_room(mesh, small_disk):
    """RS-14: it lags, and is no obstacle; with room it catches up."""
    tight, wide = small_disk
    found = cluster.voters(mesh)
    full = [one for one in found if one is not cluster.leader(found)][0]
    full.kill()
    tight(full, "24m")
    full.start()
    wait_for(lambda: cluster.raft(full)["disk_full"] is True, "it says so")
    app = mesh.app(name="orders")
    cluster.member(mesh, "orders", [one for one in found if one is not full], app=app.port)
    leader = cluster.leader(found)
    assert leader is not full and cluster.services(leader).get("orders") == 1
    assert cluster.raft(full)["commit"] < cluster.raft(leader)["commit"]
    wide(full)
    wait_for(lambda: cluster.raft(full)["commit"] >= cluster.raft(leader)["commit"], "it caught up once it had room")
    assert cluster.raft(full)["disk_full"] is False
    assert cluster.services(full).get("orders") == 1


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_files_of_another_version(mesh):
    """RS-11: exit 78 with file and numbers, and not a byte is written."""
    only = cluster.voters(mesh, 1)[0]
    folder = os.path.join(only.config["process"]["data_dir"], "raft")
    only.kill()
    name = next(entry for entry in sorted(os.listdir(folder)) if entry.endswith(".log"))
    with open(os.path.join(folder, name), "r+b") as segment:
        header = bytearray(segment.read(4096))
        header[8] = 2
        header[4092:] = crc32c(header[:4092]).to_bytes(4, "little")
        segment.seek(0)
        segment.write(header)

    def picture():
        found = {}
        for entry in os.listdir(folder):
            with open(os.path.join(folder, entry), "rb") as file:
                found[entry] = file.read()
        return found

    before = picture()
    only.start(wait=False)
    assert only.process.wait(30) == 78
    assert "PIL2104" in only.stderr() and "%s is of format 2, this program reads format 1" % name in only.stderr()
    assert picture() == before


def test_transfer_by_hand(mesh):
    found = cluster.voters(mesh)
    old = cluster.leader(found)
    wait_for(lambda: old.cli("raft", "transfer").returncode == 0 or cluster.leader(found) is not old, "it is taken")
    wait_for(lambda: cluster.leader(found) is not old, "another one leads")


def test_a_minority_takes_no_registrations(mesh):
    """No quorum: lookups go on, a new sidecar waits, and registers when the quorum is back."""
    found = cluster.voters(mesh)
    app = mesh.app(name="orders")
    cluster.member(mesh, "orders", found, app=app.port)
    leader = cluster.leader(found)
    for one in found:
        if one is not leader:
            one.kill()
    late = mesh.app(name="late")
    waiting = cluster.member(mesh, "late", found, app=late.port, start=False)
    waiting.start(ready=False)
    wait_for(lambda: waiting.status()["phase"] == "registering", "it tries")
    assert waiting.probe("/readyz").status == 503
    wait_for(lambda: client.request(leader.outbound, "/", host="orders").status == 200, "lookups go on")
    for one in found:
        if one is not leader:
            one.start(wait=False)
    waiting.wait_ready()


def test_a_foreign_cluster_is_named(mesh):
    """A sidecar that is pinned to another cluster does not join this one."""
    first = cluster.voters(mesh, 1)[0]
    app = mesh.app()
    pinned = cluster.member(mesh, "pinned", [first], app=app.port, start=False, config={
        "registry": {"cluster": "01234567-89ab-4def-8123-456789abcdef"}})
    pinned.start(wait=False)
    wait_for(lambda: "01234567-89ab" in pinned.stderr() or "PIL2012" in pinned.stderr() or
             "PIL3004" in pinned.stderr() or "cluster" in pinned.status()["registry"]["detail"], "it says so")
    assert "pinned" not in cluster.services(first)


def test_registration_changes_by_reload(mesh):
    first = cluster.voters(mesh, 1)[0]
    app = mesh.app()
    one = cluster.member(mesh, "orders", [first], app=app.port)
    one.write_config({"service": {"version": "2.0.0"}})
    assert one.cli("reload").returncode == 0
    wait_for(lambda: "2.0.0" in json.dumps(first.probe("/v1/instances?service=orders").json()) or
             "2.0.0" in json.dumps(first.probe("/v1/services").json()), "the new version is registered")
    # RA-01: what an answer is based on.
    wait_for(lambda: re.fullmatch(r"idx=\d+;age=\d+\.\ds;mode=live", first.probe("/v1/services").field("x-pillion-registry")),
             "answers say so")
    assert cluster.services(first)["orders"] == 1


def session_file(one):
    with open(os.path.join(one.config["process"]["data_dir"], "session"), "rb") as file:
        return file.read()


@pytest.mark.quick
@pytest.mark.parametrize("how", ["stopped", "running"])
def test_a_copied_data_directory(mesh, how):
    """RN-01: two sidecars with one session file end with an id each, and both are registered."""
    first = cluster.voters(mesh, 1)[0]
    app = mesh.app(name="orders")
    one = cluster.member(mesh, "orders", [first], app=app.port)
    if how == "stopped":
        assert one.stop() == 0
    clone = cluster.member(mesh, "orders", [first], app=app.port, start=False)
    shutil.copytree(one.config["process"]["data_dir"], clone.config["process"]["data_dir"])
    id_before = session_file(one)[:16]
    assert session_file(clone)[:16] == id_before
    if how == "stopped":
        one.start()
    clone.start()
    wait_for(lambda: cluster.services(first)["orders"] == 2, "both are registered")
    ids = [session_file(one)[:16], session_file(clone)[:16]]
    assert len(set(ids)) == 2 and id_before in ids, "one of them has a new id"
    lost = [sum("PIL3003" in line for line in (s.stderr().splitlines())) for s in (one, clone)]
    assert sum(lost) == 1, "lost once, and not taken back: %r" % lost
    for each in (one, clone):
        assert each.stop() == 0
        each.start()
    wait_for(lambda: cluster.services(first)["orders"] == 2, "both come back")
    assert [session_file(one)[:16], session_file(clone)[:16]] == ids, "the new id was kept"


def thread_of(pid, name):
    """The thread of that name in a process or its children."""
    for one in [pid] + children(pid):
        try:
            for task in os.listdir("/proc/%d/task" % one):
                with open("/proc/%d/task/%s/comm" % (one, task)) as comm:
                    if comm.read().strip() == name:
                        return one, int(task)
        except OSError:  # it ended meanwhile
            continue
    return None


def test_the_last_decisions_are_kept(mesh):
    """RO-03: shown by the admin interface, and on standard error when the replica aborts; then it starts again."""
    only = cluster.voters(mesh, 1)[0]
    lines = only.probe("/v1/raft?trace=1").json()["lines"]
    assert any("candidate to leader in term" in line for line in lines)
    process, thread = thread_of(only.process.pid, "registry")
    kill_thread = ctypes.CDLL(None, use_errno=True).tgkill
    assert kill_thread(process, thread, signal.SIGABRT) == 0
    wait_for(lambda: "the last decisions of the replica, oldest first:" in only.stderr(), "they are shown")
    wait_for(lambda: "candidate to leader in term" in only.stderr().partition("the last decisions")[2], "all of them")
    # As abort() does: the second one finds no handler.
    assert kill_thread(process, thread, signal.SIGABRT) == 0
    wait_for(lambda: thread_of(only.process.pid, "registry") not in (None, (process, thread)), "it is started again")
    assert cluster.leader([only]) is only


def no_cluster(one):
    return set(cluster.raft(one)["uuid"]) <= set("0-")


def test_a_seed_vetoes_a_second_cluster(mesh):
    """RB-01: who is told to create a cluster asks its seeds first."""
    first = cluster.voters(mesh, 1)[0]
    uuid = cluster.raft(first)["uuid"]
    config = {"registry": {"role": "voter", "bootstrap": "alone"}}
    second = cluster.member(mesh, "second", [first], start=False, config=config)
    second.start(wait=False)
    assert second.wait_exit() == 78
    assert "PIL1234" in second.stderr() and uuid in second.stderr() and "--new-cluster" in second.stderr()
    assert not os.path.exists(os.path.join(second.config["process"]["data_dir"], "view.bin"))
    second.write_config({"registry": {"new_cluster": "ffffffff"}})
    second.start(wait=False)
    assert second.wait_exit() == 78, "another one was named"
    second.write_config({"registry": {"new_cluster": uuid[:9].upper()}})
    second.start()
    assert cluster.raft(second)["uuid"] != uuid and cluster.leader([second]) is second
    assert cluster.raft(first)["uuid"] == uuid
    second.write_config({"registry": {"new_cluster": None}})
    assert second.stop() == 0
    second.start()
    assert cluster.leader([second]) is second, "with an identity nobody is asked"


def test_a_first_start_beside_silent_seeds(mesh):
    """RB-01: one configuration for all; the first of them is told to begin."""
    ones = [mesh.sidecar("voter-%d" % i, start=False) for i in range(2)]
    seeds = ["127.0.0.1:%d" % one.inbound for one in ones]
    for one in ones:
        one.config["registry"] = {"role": "voter", "seeds": seeds}
        one.write_config()
    ones[0].arguments = ["--bootstrap"]
    ones[0].start()
    ones[1].start()
    assert cluster.raft(ones[0])["uuid"] == cluster.raft(ones[1])["uuid"]
    assert not no_cluster(ones[0])


def test_a_lost_raft_directory(mesh):
    """RB-01, ZC-02: the view remembers the cluster; --bootstrap does not create another one."""
    found = cluster.voters(mesh, 1) + [mesh.sidecar("late", start=False)]
    first, late = found
    uuid = cluster.raft(first)["uuid"]
    late.config["registry"] = {"role": "voter", "seeds": ["127.0.0.1:%d" % first.inbound]}
    late.write_config()
    late.start()
    data = late.config["process"]["data_dir"]
    wait_for(lambda: os.path.exists(os.path.join(data, "view.bin")), "the view is on disk")
    assert late.stop() == 0
    shutil.rmtree(os.path.join(data, "raft"))
    late.config["registry"] = {"role": "voter", "bootstrap": "alone"}
    late.write_config()
    late.start()
    assert cluster.raft(late)["uuid"] == uuid, "it found its cluster by the addresses in the view"
    assert first.stop() == 0
    data = first.config["process"]["data_dir"]
    shutil.rmtree(os.path.join(data, "raft"))
    late.kill()
    with open(os.path.join(data, "view.bin"), "rb") as file:
        assert bytes.fromhex(uuid.replace("-", "")) in file.read()
    first.start(wait=False)
    assert first.wait_exit() == 78 and "PIL1234" in first.stderr() and uuid in first.stderr()
    first.arguments = ["--new-cluster", uuid[:8]]
    first.start()
    assert cluster.raft(first)["uuid"] != uuid, "a person decided"


def test_a_sidecar_vetoes_a_birth(mesh):
    """RB-02: all voters lost their disks; a sidecar remembers the cluster, so none is born by itself."""
    found = cluster.voters(mesh)
    app = mesh.app(name="orders")
    one = cluster.member(mesh, "orders", found, app=app.port)
    view = os.path.join(one.config["process"]["data_dir"], "view.bin")
    wait_for(lambda: os.path.exists(view), "it remembers")
    for voter in found:
        voter.kill()
        shutil.rmtree(voter.config["process"]["data_dir"])
    for voter in found[:2]:
        voter.start(ready=False)
    for voter in found[:2]:
        wait_for(lambda: "cluster_known" in voter.stderr(), "the sidecar came by", timeout=120)
    found[2].start(ready=False)
    wait_for(lambda: "PIL3007" in found[2].stderr(), "it waits, and says so", timeout=120)
    assert all(no_cluster(voter) for voter in found)
    found[2].kill()
    found[2].write_config({"registry": {"bootstrap": "alone"}})
    found[2].start(ready=False)
    wait_for(lambda: cluster.raft(found[2])["role"] == "leader", "a person decided")
    wait_for(lambda: cluster.voting(found[2]) == 3, "the others joined")


def netns(name, *words):
    return ["ip", "netns", "exec", name] + [str(word) for word in words]


@pytest.fixture
def namespace(mesh):
    """Default ports belong to whoever comes first: in a network of its own that is us."""
    name = "pillion-%d" % os.getpid()
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True)
    if made.returncode != 0:
        pytest.skip("no network namespaces here: %s" % made.stderr.decode().strip())
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    started = []
    yield name, started
    for process in started:
        process.send_signal(signal.SIGTERM)
    for process in started:
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            for pid in children(process.pid) + [process.pid]:
                os.kill(pid, signal.SIGKILL)
            process.wait(10)
    subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.mark.quick
def test_without_a_file(mesh, namespace, tmp_path):
    """The lines of the README: three sidecars on one host, ports moved by 20."""
    name, started = namespace
    env = environment({"HOME": str(tmp_path), "STATE_DIRECTORY": str(tmp_path / "state"),
                       "XDG_RUNTIME_DIR": str(tmp_path / "run")})
    os.makedirs(tmp_path / "state")
    os.makedirs(tmp_path / "run")

    def run(*words):
        with open(tmp_path / ("%d.log" % len(started)), "wb") as log:
            started.append(subprocess.Popen(netns(name, BINARY, "run", *words), stdout=log, stderr=log, env=env,
                                            cwd=str(tmp_path), stdin=subprocess.DEVNULL))

    def curl(*words):
        return subprocess.run(netns(name, "curl", "-sS", "-m", "60", *words), capture_output=True, text=True, env=env)

    def says(path, port, text="200"):
        return wait_for(lambda: curl("-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:%d%s" % (port, path)
                                     ).stdout == text, "port %d %s" % (port, path))
    run("--bootstrap", "--name", "stock", "--port", 9000, "--", PYTHON, APP, "--port", 9000, "--name", "stock")
    says("/readyz", 7442)
    run("--join", "127.0.0.1:7440", "--name", "orders", "--port", 8080, "--subscribe", "stock.low/orders=/events", "--",
        PYTHON, APP, "--port", 8080, "--name", "orders", "--ledger", str(tmp_path / "ledger"))
    says("/readyz", 7462)
    run("--join", "127.0.0.1:7440", "--name", "third", "--port", 8081, "--", PYTHON, APP, "--port", 8081, "--name", "third")
    says("/readyz", 7482)
    for service, port in (("orders", 7461), ("stock", 7481), ("third", 7441)):
        wait_for(lambda: '"app": "%s"' % service in curl("-H", "host: " + service, "http://127.0.0.1:%d/x" % port).stdout,
                 "%s answers" % service)

    def published():
        return json.loads(curl("--json", '{"sku":"a1"}', "http://127.0.0.1:7441/v1/pub/stock.low").stdout)
    assert published()["durability"] == "fsync"
    wait_for(lambda: published()["groups"] == 1, "the group is known")
    for words in (["services"], ["instances", "stock"], ["raft", "status"], ["status"], ["members"]):
        done = subprocess.run(netns(name, BINARY, *words), capture_output=True, text=True, env=env, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "stock" in done.stdout
    assert "third" in done.stdout and "orders" in done.stdout
    status = subprocess.run(netns(name, BINARY, "status"), capture_output=True, text=True, env=env, timeout=60).stdout
    assert "third" in status and "orders" in status, "a block for each sidecar of this user"
    for i in range(3):
        text = (tmp_path / ("%d.log" % i)).read_text()
        assert "Sanitizer" not in text and "runtime error" not in text, text


def test_dev_leaves_nothing(mesh, namespace, tmp_path):
    name, started = namespace
    env = environment({"HOME": str(tmp_path), "STATE_DIRECTORY": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    process = subprocess.Popen(netns(name, BINARY, "run", "--dev", "--name", "solo", "--port", 9000, "--", PYTHON, APP,
                                     "--port", "9000"), env=env, cwd=str(tmp_path), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started.append(process)
    wait_for(lambda: "200" in subprocess.run(netns(name, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                                   "http://127.0.0.1:7442/readyz"), capture_output=True, text=True).stdout,
             "ready")
    open_files = set()
    for pid in children(process.pid):
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                open_files.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
            except FileNotFoundError:
                pass
    made = {os.sep.join(path.split(os.sep)[:3]) for path in open_files if path.startswith("/tmp/pillion-dev-")}
    assert len(made) == 1 and os.path.isdir(list(made)[0])
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not os.path.exists(list(made)[0])


@pytest.mark.plain
def test_ledger_of_registrations(mesh):
    """50 kills of voters, 0 acknowledged registrations lost."""
    dice = random.Random(6)
    found = cluster.voters(mesh)
    app = mesh.app()
    acknowledged = []
    for round_number in range(50):
        victim = dice.choice(found + [None]) or cluster.leader(found)
        if victim.process.poll() is None:
            victim.kill()
        name = "svc-%d" % round_number
        one = cluster.member(mesh, name, found, app=app.port, start=False, config={"process": {"workers": 1}})
        one.start(wait=False)
        if round_number % 3 == 0:
            victim.start(wait=False)
            one.wait_started()
            one.wait_ready()
        else:
            one.wait_started()
            one.wait_ready()
            victim.start(wait=False)
        acknowledged.append(name)
        wait_for(lambda: victim._check("/startupz"), "the voter is back")
        leader = cluster.leader(found)
        known = cluster.services(leader)
        missing = [name for name in acknowledged if known.get(name) != 1]
        if missing:
            known = wait_for(lambda: (lambda now: now if all(now.get(n) == 1 for n in acknowledged) else None)(
                cluster.services(cluster.leader(found))), "lost after kill %d: %s" % (round_number, missing))
    caller = cluster.member(mesh, "caller", found)
    for name in acknowledged:
        assert wait_for(lambda: client.request(caller.outbound, "/", host=name).status == 200, "%s is called" % name)
    assert len(acknowledged) == 50
    assert all(alive(one.pid) for one in mesh.sidecars)
    assert free_port() and app_command(1)
