# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a run of a laboratory claims, as TAP, and the figures it has seen."""


class Claims:
    """Counts what was claimed, and keeps what failed."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.figures = {}
        self.failures = []

    def claim(self, truth, what, detail=""):
        """Says it, and why it is not so where it is not; returns the truth."""
        number = self.passed + self.failed + self.skipped + 1
        print(f"{'ok' if truth else 'not ok'} {number} - {what}", flush=True)
        if truth:
            self.passed += 1
            return True
        self.failed += 1
        self.failures.append(what)
        self.say(detail)
        return False

    def skip(self, what, reason):
        self.skipped += 1
        print(f"ok {self.passed + self.failed + self.skipped} - {what} # skip {reason}", flush=True)

    @staticmethod
    def say(text):
        for line in str(text).splitlines():
            print(f"# {line}", flush=True)
