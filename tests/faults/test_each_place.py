"""An exception in every function of the agent that a program's calls pass, one after the other.

The places are found by running the program: a new one is among them by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# At whose entry nothing can fail: they carry the program's own work, or hand on to what is guarded.
CARRIERS = (
    "adapters.aiohttp._wants",
    "adapters.aiohttp_bodies.Content._self_failed",
    "adapters.aiohttp_bodies.Content._self_take",
    "adapters.aiohttp_bodies.Content.readchunk.data",
    "adapters.aiohttp_bodies.Live.*",
    "adapters.aiohttp_calls.intercept",
    "adapters.aiohttp_calls._sent",
    "adapters.aiohttp_uploads._*.__init__",
    "adapters.bodies.AsyncApart.*",
    "adapters.bodies.apart",
    "adapters.bodies.call_apart",
    "adapters.bodies.finish*",
    "adapters.httpx.*._live",
    "adapters.httpx_streams._Teed.__init__",
    "adapters.httpx_streams.finish",
    "adapters.requests_calls.Sending._live",
    "adapters.requests_calls.Sending._send_drained",
    "calls.LiveCall.scope",
    "calls._Scope.*",
)
# Of an answer that is being served already: nothing else can be given in its place. What is raised is raised.
SERVING = (
    "adapters.*.to_exception",
    "adapters.aiohttp_answers.*",
    "adapters.aiohttp_calls._*",
    "adapters.aiohttp_served.*",
    "adapters.bodies.ended_badly",
    "adapters.bodies.pause",
    "adapters.requests_answers.Answers._within",
    "core.faults.*",
    "core.playback.Playback.*",
)


def runs(*quick):
    """Every library in every mode; those that are not named are slow."""
    for driver in ("httpx2-sync", "httpx2-async", "requests", "aiohttp", "httpx-sync", "httpx-async"):
        for mode in ("record", "cache", "fork", "replay"):
            for error in ("RuntimeError", "MemoryError"):
                marks = () if (driver, mode, error) in quick else pytest.mark.slow
                yield pytest.param(driver, mode, error, marks=marks)


@pytest.mark.parametrize(
    ("driver", "mode", "error"),
    list(
        runs(
            ("httpx2-sync", "record", "RuntimeError"),
            ("aiohttp", "record", "MemoryError"),
            ("httpx2-async", "replay", "RuntimeError"),
        )
    ),
)
def test_the_program_sees_what_it_sees_without_us(driver, mode, error):
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    del environ["REWIND_TESTING"]
    command = [sys.executable, Path(__file__).with_name("each_place.py"), driver, mode, error]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found) > 120
    # When a finalizer runs is the interpreter's to decide: it may not have, this time.
    finalizers = ("*.__del__", "*.dropped")
    missed = [one["place"] for one in found if not one["failed"]]
    assert [place for place in missed if not any(fnmatch(place, each) for each in finalizers)] == []
    assert {
        one["place"]: one["out"] for one in found if one["out"] and one["place"] != "adapters.aiohttp._wants"
    } == {}
    spared = CARRIERS if mode == "record" else CARRIERS + SERVING
    if mode == "replay":  # blocks, and says so
        for one in found:
            if any("RewindReplayDivergenceError: strict replay: " in line for line in one["wrong"]):
                one["wrong"] = []
    wrong = {one["place"]: one["wrong"] for one in found if one["wrong"]}
    assert {place: wrong[place] for place in wrong if not any(fnmatch(place, each) for each in spared)} == {}
    # Two lines at most, of what went wrong and of what came of it; and never one twice.
    assert {one["place"]: one["said"] for one in found if len(one["said"]) > 2} == {}
