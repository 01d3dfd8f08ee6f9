"""The demo as a stranger runs it: exit code 0 only if every claim that it shows was checked."""
import os
import subprocess

import pytest

from harness.sidecar import BINARY, PYTHON, ROOT, environment
from harness.waits import alive, children


def failure(out, errors):
    """The claim that failed first: reports keep the beginning of an assertion's text."""
    at = out.find("The demo failed:")
    return out[at:at + 600] + "\n... its steps: ..." + out[max(0, at - 2000):at] + "\n... its logs: ..." + out[at + 600:][-6000:] + errors[-3000:]


@pytest.mark.plain
def test_demo(tmp_path):
    demo = os.path.join(ROOT, "docker", "demo", "demo.py")
    before = set(children(os.getpid()))
    done = subprocess.run([PYTHON, demo, "--pillion", BINARY], cwd=str(tmp_path), capture_output=True, text=True, timeout=1000,
                          env=environment({"TMPDIR": str(tmp_path)}), stdin=subprocess.DEVNULL)
    assert done.returncode == 0, failure(done.stdout, done.stderr)
    assert not [pid for pid in set(children(os.getpid())) - before if alive(pid)]
    left = [name for name in os.listdir(tmp_path) if name.startswith("pillion")]
    assert left == [], "it leaves nothing behind"
