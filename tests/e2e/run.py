#!/usr/bin/env python3
"""Runs the end-to-end tests: every function test_* in every test_*.py of this folder, against the
real binary of a build folder. Each test has a process, a folder and ports of its own.

    run.py [--build DIR] [--tsan | --valgrind] [--long] [--again] [-k PATTERN] [-j N] [--list] [-v]

Those that wait for long begin first, those that compute much or want the machine for themselves come last
(env.py has the marks, pace.py says how many run side by side). With --tsan those that say nothing about
threads are left out, unless -k names them.

One line per test; the last line is "N passed, N failed" (and "N skipped" where something a test needs
is not there). The exit status is 0 only if none failed and at least one ran. With --again a few tests that
fail run once more, alone, at the end: one that passes then is named as unsteady, a fault to look into, and
does not count as failed. What a sanitizer has reported is never excused so.
"""
import argparse
import fnmatch
import glob
import importlib
import inspect
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from env import Env, Skip  # noqa: E402  (needs the path above)
from pace import MOST, Pace  # noqa: E402

PASSED, FAILED, SKIPPED = 0, 1, 77
OUTPUT_MAX = 12000
SLOWER = 6  # under valgrind
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error: |"
                       r"==\d+== (?:Invalid |Conditional |Use of |Syscall param |Jump |Mismatched |Source and |.* definitely lost)")
AGAIN_MOST = 3   # where more fail than these, something is wrong that no second run should hide
AGAIN_SLOW = 12  # under valgrind, where checks of servers and deadlines come too late now and then


class Test:
    """One test function and, while it runs, its process."""

    def __init__(self, module, name, function):
        self.name = f"{module.__name__}.{name}"
        self.function = function
        self.seconds = getattr(function, "seconds", 60)
        self.long = getattr(function, "long", False)
        self.threadless = getattr(function, "threadless", getattr(module, "THREADLESS", False))
        self.native = getattr(function, "native", False)
        self.lengthy = getattr(function, "lengthy", False)
        self.places = 2 if getattr(function, "busy", False) else 1  # of pace.LEAST
        self.alone = getattr(function, "alone", False)
        self.pid = None
        self.started = 0.0
        self.folder = None
        self.reported = False  # by a sanitizer

    def start(self, options):
        self.folder = tempfile.mkdtemp(prefix="meridian-e2e-")
        self.started = time.monotonic()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self.run(options))

    def run(self, options):
        """In the child: the test itself, with all its output in a file of its folder."""
        os.setsid()
        output = os.open(os.path.join(self.folder, "output"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        result = PASSED
        env = Env(self.folder, ROOT, options.build, tsan=options.tsan, valgrind=options.valgrind)
        try:
            self.function(env)
        except Skip as reason:
            print(reason)
            result = SKIPPED
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            result = FAILED
        try:
            env.close(result == FAILED)
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            result = FAILED
        sys.stdout.flush()
        return result

    def poll(self):
        """None while the test runs, else its result. A test that takes too long is killed."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        late = time.monotonic() - self.started > self.seconds
        if not pid and not late:
            return None
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if not pid:
            os.waitpid(self.pid, 0)
            with open(os.path.join(self.folder, "output"), "a") as output:
                output.write(f"not finished after {self.seconds} s: killed\n")
            return FAILED
        return os.waitstatus_to_exitcode(status)

    def output(self):
        try:
            with open(os.path.join(self.folder, "output"), errors="replace") as output:
                text = output.read()
        except OSError:
            return ""
        return text if len(text) <= OUTPUT_MAX else text[:OUTPUT_MAX // 2] + "\n[...]\n" + text[-OUTPUT_MAX // 2:]


def discover(options):
    tests = []
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        name = os.path.basename(path)[:-3]
        module = importlib.import_module(name)
        found = [(function.__code__.co_firstlineno, label, function)
                 for label, function in inspect.getmembers(module, inspect.isfunction)
                 if label.startswith("test_") and function.__module__ == name]
        tests += [Test(module, label, function) for _, label, function in sorted(found)]
    if options.k:
        tests = [test for test in tests if any(
            part in test.name or fnmatch.fnmatch(test.name, part) for part in options.k)]
    elif options.tsan:
        every, tests = len(tests), [test for test in tests if not test.threadless]
        print(f"{every - len(tests)} that say nothing about threads are left to the other build")
    elif options.valgrind:
        every, tests = len(tests), [test for test in tests if not test.native]
        print(f"{every - len(tests)} about times, threads or descriptors that valgrind changes are left to the other builds")
    return [test for test in tests if options.long or not test.long]


def report(test, result, options):
    """Prints what became of a test and lets go of its folder."""
    word = {PASSED: "ok", SKIPPED: "skip"}.get(result, "FAIL")
    line = f"{word:4} {test.name} ({time.monotonic() - test.started:.1f} s)"
    output = test.output().strip()
    test.reported = bool(SANITIZER.search(output))
    if word == "skip":
        line += f": {output.splitlines()[0] if output else ''}"
    print(line)
    if word == "FAIL" or (options.v and output):
        print("     " + output.replace("\n", "\n     "))
    sys.stdout.flush()
    if options.keep and word == "FAIL":
        print(f"     kept: {test.folder}")
    else:
        shutil.rmtree(test.folder, ignore_errors=True)


def order(test):
    """What waits for long first, so that nothing is left waiting at the end; then by how much room it needs."""
    return test.alone, test.places, not test.lengthy


def run_all(tests, options):
    """The result of each test."""
    waiting, running, results, pace = sorted(tests, key=order), [], {}, Pace(options.j)
    try:
        while waiting or running:
            while waiting and pace.allows(waiting[0], running):
                running.append(waiting.pop(0))
                running[-1].start(options)
            for test in list(running):
                result = test.poll()
                if result is None:
                    continue
                running.remove(test)
                results[test] = result if result in (PASSED, SKIPPED) else FAILED
                report(test, result, options)
            time.sleep(0.02)
    finally:
        for test in running:
            os.killpg(test.pid, signal.SIGKILL)
            shutil.rmtree(test.folder, ignore_errors=True)
    return results


def run_again(results, options):
    """Runs the few tests that failed once more, each alone; the names of those that pass now."""
    failed = [test for test, result in results.items() if result == FAILED]
    most = AGAIN_SLOW if options.valgrind else AGAIN_MOST
    if not options.again or len(failed) > most or any(test.reported for test in failed):
        return []
    for test in failed:
        print(f"again: {test.name}")
        test.alone = True
    again = run_all(failed, options)
    results.update(again)
    return [test.name for test in failed if again[test] == PASSED]


def tell(results, unsteady):
    """Prints the last lines; the exit status."""
    failed = [test.name for test, result in results.items() if result == FAILED]
    passed, skipped = (list(results.values()).count(which) for which in (PASSED, SKIPPED))
    for name in unsteady:
        print(f"unsteady: {name}: failed, then passed")
    for name in failed:
        print(f"failed: {name}")
    more = "".join(f", {count} {word}" for count, word in ((len(unsteady), "unsteady"), (skipped, "skipped")) if count)
    print(f"{passed} passed, {len(failed)} failed{more}")
    return 0 if passed and not failed else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "debug"))
    parser.add_argument("--tsan", action="store_true", help="the build is the one with ThreadSanitizer")
    parser.add_argument("--valgrind", action="store_true", help="run the balancer under valgrind; of the plain build")
    parser.add_argument("--long", action="store_true", help="with the tests that take minutes")
    parser.add_argument("--again", action="store_true", help="run the few that fail once more")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a failed test")
    parser.add_argument("-k", action="append", metavar="PATTERN")
    parser.add_argument("-j", type=int, default=MOST, metavar="N", help="tests at a time, at most")
    parser.add_argument("-v", action="store_true")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    tests = discover(options)
    if options.valgrind:
        os.environ["MERIDIAN_PATIENCE"] = str(SLOWER)  # pace.py
        for test in tests:
            test.seconds *= SLOWER
    if options.list:
        print("\n".join(test.name for test in tests))
        return 0
    with tempfile.TemporaryDirectory(prefix="meridian-e2e-pg-") as template:
        os.environ["MERIDIAN_PG_TEMPLATE"] = template  # postgres.py makes it once, when the first test needs it
        results = run_all(tests, options)
        return tell(results, run_again(results, options))


if __name__ == "__main__":
    sys.exit(main())
