"""What a driver is put through, step by step: prints a JSON list of [operation, error or null] at its end."""

import contextlib
import json
import sys
import traceback


class Steps:
    """The steps so far. A failed one is noted, and the next is tried."""

    def __init__(self):
        self.done = []

    @contextlib.contextmanager
    def step(self, operation):
        error = None
        try:
            yield
        except Exception as e:
            traceback.print_exc(file=sys.stderr)
            error = f"{type(e).__name__}: {e}"
        self.done.append([operation, error])

    def report(self):
        print(json.dumps(self.done))


def expect(what, wanted):
    """Compares what a driver said with what it should have said."""
    if what != wanted:
        raise AssertionError(f"{what!r} is not {wanted!r}")
