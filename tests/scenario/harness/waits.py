"""Waits for events. The bounds are generous: they catch what never comes, they measure nothing."""
import http.client
import os
import time

BOUND = float(os.environ.get("PILLION_WAIT", "60"))
LOOKS_MIN = 20  # a machine that stood still for the whole bound has not looked yet


def wait_for(condition, what, timeout=None, every=0.02):
    """Returns the first true value of condition(); an exception of it counts as not yet. A timeout
    is for what takes longer than BOUND."""
    bound = max(timeout or 0, BOUND)
    began = time.monotonic()
    looks, last = 0, None
    while True:
        looks += 1
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, ValueError, KeyError, IndexError, TypeError, AssertionError,
                http.client.HTTPException) as error:
            last = error
        passed = time.monotonic() - began
        if passed > 3 * bound or (passed > bound and looks >= LOOKS_MIN):
            raise AssertionError("never happened: %s (last: %r)" % (what, last))
        time.sleep(every)


def alive(pid):
    """Is there such a process that has not ended? Its first thread may have ended before the others:
    ports and locks are free only after the last one."""
    try:
        threads = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return False
    return any(state_of("/proc/%d/task/%s/stat" % (pid, thread)) not in ("Z", "X") for thread in threads)


def state_of(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def children(pid):
    """Living children of a process, oldest first."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % entry, encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] not in ("Z", "X"):
            found.append(int(entry))
    return sorted(found)


def command_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def resident_kib(pid):
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0
