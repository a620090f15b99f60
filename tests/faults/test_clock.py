"""A clock that goes back or stands still while a program runs: `time.monotonic` goes on as ever."""

from __future__ import annotations

import json

import pytest
from fault_agent import LIBRARIES

CLOCKS = {
    "back an hour with each call": "at = [2e9]; time.time = lambda: at.__setitem__(0, at[0] - 3600) or at[0]",
    "frozen": "time.time = lambda: 1e9",
    "at zero": "time.time = lambda: 0.0",
    "back for good": "real = time.time; time.time = lambda: real() - 86400 * 400",
}
CALLS = """
show("one", "stream two")
{}
show("three", "stream four", "one", "five")
"""


def cases():
    for clock in CLOCKS:
        for library in LIBRARIES:
            yield pytest.param(clock, library, marks=pytest.mark.slow)


@pytest.mark.parametrize(("clock", "library"), list(cases()))
def test_recorded_replayed_forked_and_cached(program, server, verb, clock, library):
    source = CALLS.format(CLOCKS[clock])
    plain = program(source, plain=True, library=library)
    assert plain.out.count(" 200 ") == 6

    recorded = program(source, "--name", "run", library=library)
    assert (recorded.code, recorded.out, recorded.err) == (0, plain.out, "")
    steps = json.loads(verb("show", "run", "--json").out)["steps"]
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5, 6]
    assert all(0 <= step["duration_ms"] < 30_000 for step in steps)

    for options in (("--replay", "run"), ("--replay", "run", "--order", "recorded")):
        replayed = program(source, *options, library=library)
        assert (replayed.code, replayed.out) == (0, plain.out)
        assert server.seen == []
        assert len(replayed.said) <= ("--order" in options)  # it goes by the recorded times
    for options in (("--fork", "run"), ("--fork", "run@4"), ("--cache",)):
        done = program(source, *options, library=library)
        assert (done.code, done.out) == (0, plain.out)
        assert len(done.said) <= 1, done.err
    listed = verb("sessions")
    assert (listed.code, listed.err) == (0, "")
