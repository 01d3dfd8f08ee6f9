"""Sidecars with the real registry inside: voters, and clients that join them."""
from harness.sidecar import merge
from harness.waits import wait_for


def voters(mesh, count=3, workers=1, registry=None):
    """A cluster of one, or of as many as are born together; returned when all of them vote."""
    found = [mesh.sidecar("voter-%d" % i, start=False, config={"process": {"workers": workers}}) for i in range(count)]
    seeds = ["127.0.0.1:%d" % one.inbound for one in found]
    for one in found:
        one.config["registry"] = {"role": "voter", "session_ttl": "5s", "renew": "500ms",
                                  "bootstrap": "alone" if count == 1 else "with-seeds"}
        if count > 1:
            one.config["registry"]["seeds"] = seeds
        one.config["registry"].update(registry or {})
        one.write_config()
        one.start(wait=False)
    for one in found:
        one.wait_started()
    wait_for(lambda: voting(leader(found)) == count, "%d voters" % count)
    return found


def voting(one):
    return sum(1 for peer in raft(one)["peers"] if peer.get("role") == "voter")


def member(mesh, name, seeds, app=None, start=True, config=None, **more):
    """A client sidecar that knows the seeds."""
    one = mesh.sidecar(name, start=False, app=app, config=merge(
        {"registry": {"kind": None, "seeds": ["127.0.0.1:%d" % seed.inbound for seed in seeds]}}, config or {}), **more)
    if start:
        one.start()
    return one


def raft(one):
    return one.probe("/v1/raft").json()


def leader(found):
    """The one that leads, as itself says; waits for it."""
    def look():
        for one in found:
            if one.process.poll() is None:
                try:
                    if raft(one).get("role") == "leader":
                        return one
                except OSError:
                    pass
        return None
    return wait_for(look, "a leader")


def services(one):
    """{name: instances} as the registry answers this sidecar."""
    answer = one.probe("/v1/services").json()
    return {item.get("name") or item["service"]: item["instances"] for item in answer["items"]}
