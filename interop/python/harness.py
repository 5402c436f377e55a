"""What the scripts share: the real binary over a folder of its own, and a runner.

The runner prints each case by its name and what came of it, then `PACKAGE: N passed, N failed`,
and ends with 1 if a case failed. A case that hangs ends the script with where it hangs.
"""

import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unittest

PATIENCE = 30
"""Seconds: longer than anything here takes, also on a machine that does other things."""


class Server:
    """`factum dev`, on a free port, the same one each time that it is started again."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        command = [os.environ["FACTUM_BIN"], "dev", "--listen", self.address]
        command += ["--data", os.path.join(self.folder.name, "data")]
        with open(os.path.join(self.folder.name, "stderr"), "ab") as said:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True
            )
        for line in self.process.stdout:
            _, found, rest = line.partition("kurrentdb://")
            if found:
                self.address = rest.partition("?")[0]
                break
        else:
            raise AssertionError(f"the server does not run: {self.said()}")
        # Whatever it says from here on is read, so that it never waits for a full pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def kill(self):
        """Ends it between two instructions, as a crash of the process does."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self):
        """Asks it to end, as a service manager does, and waits until it has."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        if os.name == "posix" and status != 0:
            raise AssertionError(f"asked to stop, the server ended with {status}: {self.said()}")

    def said(self):
        with open(os.path.join(self.folder.name, "stderr"), encoding="utf-8") as said:
            return said.read()

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.folder.cleanup()


class Case(unittest.TestCase):
    """A case with a server of its own."""

    def setUp(self):
        faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)
        self.server = Server()
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        self.addCleanup(self.server.close)

    def retry(self, ask):
        """Asks until it succeeds, for what a client does not retry by itself."""
        started = time.monotonic()
        while True:
            try:
                return ask()
            except Exception:  # Which one depends on when the connection broke.
                if time.monotonic() - started > PATIENCE:
                    raise
                time.sleep(0.05)


class Result(unittest.TestResult):
    """Prints what came of a case once it is over, its subtests with it."""

    def startTest(self, test):
        super().startTest(test)
        self.outcome = "ok"

    def stopTest(self, test):
        super().stopTest(test)
        print(f"case {name(test)} ... {self.outcome}", flush=True)
        self.failed = getattr(self, "failed", 0) + self.outcome.startswith("FAILED")

    def _fail(self, test, err):
        self.outcome = "FAILED"
        trace = "".join(traceback.format_exception(*err))
        print(f"\n{name(test)}\n{trace}", file=sys.stderr)

    def addFailure(self, test, err):
        self._fail(test, err)

    def addError(self, test, err):
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._fail(subtest, err)

    def addExpectedFailure(self, test, err):
        self.outcome = "ok, known to be missing"

    def addUnexpectedSuccess(self, test):
        self.outcome = "FAILED: no longer missing, so expect it"


def name(test):
    return test.id().replace("__main__.", "")


def main(package):
    """Runs the cases of the script."""
    result = Result()
    unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]).run(result)
    passed = result.testsRun - result.failed
    print(f"{package}: {passed} passed, {result.failed} failed", flush=True)
    sys.exit(0 if passed == result.testsRun else 1)
