"""Waits for events. The bounds are generous: they catch what never comes, they measure nothing."""
import os
import time

BOUND = float(os.environ.get("PILLION_WAIT", "30"))


def wait_for(condition, what, timeout=None, every=0.02):
    """Returns the first true value of condition(); an exception of it counts as not yet."""
    end = time.monotonic() + (timeout or BOUND)
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, ValueError, KeyError, IndexError, AssertionError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError("never happened: %s (last: %r)" % (what, last))
        time.sleep(every)


def alive(pid):
    """Is there such a process that has not ended?"""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


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
