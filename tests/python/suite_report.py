"""A pytest plugin that tells the outcome of each test as soon as it is known, so that a run that dies has said all.

One JSON object a line in the file that SUITE_REPORT names: {"begun": ID}, {"test": ID, "outcome": ..., "why": ...} and
at the end {"finished": true}. Tests that the file has already are left out: a run that died is gone on with.
"""

import json
import os
import sys

import pytest

# The suites expect a local variable to hold an object with a count of two, as up to Python 3.13: one for the variable, one for
# the argument. From 3.14 on the argument is borrowed.
if sys.version_info >= (3, 14):
    count = sys.getrefcount
    sys.getrefcount = lambda thing: count(thing) + 1

PATH = os.environ["SUITE_REPORT"]
done = set()
outcomes = {}


def say(**fields):
    with open(PATH, "a") as report:
        report.write(json.dumps(fields) + "\n")


def pytest_configure(config):
    if os.path.exists(PATH):
        with open(PATH) as report:
            for line in report:
                fields = json.loads(line)
                done.add(fields.get("begun"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.nodeid in done]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item.nodeid not in done]


def pytest_runtest_logstart(nodeid, location):
    say(begun=nodeid)


def pytest_runtest_logreport(report):
    """Called for the set-up, the call and the teardown: the worst of them is the outcome."""
    worst = ["passed", "skipped", "failed"]
    outcome, why = outcomes.get(report.nodeid, ("passed", ""))
    if worst.index(report.outcome) > worst.index(outcome):
        outcome, why = report.outcome, reason(report)
    outcomes[report.nodeid] = (outcome, why)
    if report.when == "teardown":
        say(test=report.nodeid, outcome=outcome, why=why)


def reason(report):
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    return "%s: %s" % (report.when, report.longreprtext)


def pytest_sessionfinish(session, exitstatus):
    say(finished=True)
