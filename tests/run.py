#!/usr/bin/python3
"""Builds with sanitizers and runs every suite; prints one closing line `N passed, N failed`.

Stages run one after the other on the machine's cores; each says what it is and how long it took.
A stage that cannot run says why and counts as skipped, never as passed."""
import argparse
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JOBS = str(os.cpu_count() or 2)

ASAN = ["-Db_sanitize=address,undefined"]
BUILDS = {
    "asan": (["-Dbuildtype=debugoptimized"] + ASAN, {}),
    "clang": (["-Dbuildtype=debugoptimized", "-Db_lundef=false"] + ASAN, {"CC": "clang"}),
    "tsan": (["-Dbuildtype=debugoptimized", "-Db_sanitize=thread", "-Db_lundef=false"], {}),
    "plain": (["-Dbuildtype=release"], {}),
}

STAGE = 7200  # seconds: a bound for what hangs; a slow machine stays far below it

SANITIZER = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:suppressions=" + os.path.join(ROOT, "tests/tsan.supp"),
}


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add(self, name, passed, failed, skipped=0, failures=()):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        self.failures += ["%s: %s" % (name, failure) for failure in failures]


def say(text):
    print("\n== %s" % text, flush=True)


def run(command, timeout, env=None, quiet=False):
    environment = dict(os.environ, **SANITIZER, **(env or {}))
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, timeout=timeout,
                              stdout=subprocess.PIPE if quiet else None,
                              stderr=subprocess.STDOUT if quiet else None, text=True)
        return done.returncode, done.stdout or ""
    except subprocess.TimeoutExpired as expired:
        return 124, str(expired)


def folder(kind):
    return os.path.join(ROOT, "build-" + kind)


def build(kind, tally):
    options, env = BUILDS[kind]
    path = folder(kind)
    code, output = 0, ""
    if not os.path.exists(os.path.join(path, "build.ninja")):
        code, output = run(["meson", "setup", path] + options, STAGE, env, quiet=True)
    if code == 0:
        code, output = run(["ninja", "-C", path, "-j", JOBS], STAGE, env, quiet=True)
    tally.add("build " + kind, int(code == 0), int(code != 0), failures=["does not build"] * (code != 0))
    if code != 0:
        print(output[-6000:])
    return code == 0


UNIT = ["--no-suite", "sim"]
SIM = ["--suite", "sim"]
THREADED = [word for room in ("net", "exchange", "control", "raftreg", "broker")
            for word in ("--suite", room)]


def meson_suites(kind, selection, tally):
    """Runs meson tests of some suites and counts them one by one."""
    path = folder(kind)
    log = os.path.join(path, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    command = ["meson", "test", "-C", path, "--no-rebuild", "--num-processes", JOBS, "--print-errorlogs",
               "--timeout-multiplier", "10"] + selection
    code, _ = run(command, STAGE)
    passed = failed = skipped = 0
    failures = []
    if os.path.exists(log):
        with open(log, encoding="utf-8") as file:
            for line in file:
                entry = json.loads(line)
                result = entry["result"]
                if result in ("OK", "EXPECTEDFAIL"):
                    passed += 1
                elif result == "SKIP":
                    skipped += 1
                else:
                    failed += 1
                    failures.append(entry["name"])
    if code != 0 and failed == 0:
        failed, failures = 1, ["meson test ended with %d" % code]
    tally.add(kind, passed, failed, skipped, failures)


def pytest(kind, folders, tally, marks=None):
    """Scenarios against the binary of one build."""
    report = os.path.join(folder(kind), "pytest.xml")
    if os.path.exists(report):
        os.unlink(report)
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "--junitxml", report,
               "-p", "no:cacheprovider"] + folders
    if marks:
        command += ["-m", marks]
    code, _ = run(command, STAGE, {"PILLION_BUILD": folder(kind), "PILLION_KIND": kind})
    passed = failed = skipped = 0
    failures = []
    if os.path.exists(report):
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            for case in suite.iter("testcase"):
                kinds = {child.tag for child in case}
                if kinds & {"failure", "error"}:
                    failed += 1
                    failures.append(case.get("name"))
                elif "skipped" in kinds:
                    skipped += 1
                else:
                    passed += 1
    if code not in (0, 1, 5) or (code == 1 and failed == 0):
        failed += 1
        failures.append("pytest ended with %d" % code)
    tally.add("scenarios " + kind, passed, failed, skipped, failures)


def tidy(tally):
    code, output = run(["/usr/bin/python3", "tests/tidy/tidy.py"], STAGE, quiet=True)
    found = re.search(r"(\d+) passed, (\d+) failed", output)
    passed, failed = (int(found.group(1)), int(found.group(2))) if found else (0, 1)
    if code != 0:
        print(output)
    tally.add("house rules", passed, failed, failures=["see above"] * (failed > 0))


def formatting(tally):
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT, capture_output=True,
                           text=True).stdout.split()
    if not files:
        files = subprocess.run(["find", ".", "-name", "*.[ch]", "-not", "-path", "./build*"], cwd=ROOT,
                               capture_output=True, text=True).stdout.split()
    code, output = run(["clang-format", "--dry-run", "-Werror"] + files, STAGE, quiet=True)
    if code != 0:
        print(output[:4000])
    tally.add("formatting", int(code == 0), int(code != 0), failures=["clang-format differs"] * (code != 0))


def close(tally, began):
    say("%.0f s in all" % (time.monotonic() - began))
    for failure in tally.failures:
        print("FAILED %s" % failure)
    if tally.skipped:
        print("%d skipped, each with its reason above" % tally.skipped)
    print("%d passed, %d failed" % (tally.passed, tally.failed))
    return 1 if tally.failed or tally.passed == 0 else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("level", nargs="?", choices=["quick"])
    arguments = parser.parse_args()
    tally = Tally()
    began = time.monotonic()

    say("house rules")
    tidy(tally)
    formatting(tally)
    say("gcc with ASan and UBSan")
    if build("asan", tally):
        meson_suites("asan", UNIT, tally)
        if arguments.level == "quick":
            pytest("asan", ["tests/scenario"], tally, "quick")
            return close(tally, began)
        meson_suites("asan", SIM, tally)
        pytest("asan", ["tests/scenario"], tally, "not plain and not tsan")
    say("release build, without sanitizers: simulators, crash harnesses, ledgers")
    if build("plain", tally):
        meson_suites("plain", SIM, tally)
        pytest("plain", ["tests/scenario"], tally, "plain")
    say("clang with ASan and UBSan")
    if build("clang", tally):
        meson_suites("clang", UNIT, tally)
    say("TSan")
    if build("tsan", tally):
        meson_suites("tsan", THREADED, tally)
        pytest("tsan", ["tests/scenario"], tally, "tsan")
    return close(tally, began)


if __name__ == "__main__":
    sys.exit(main())
