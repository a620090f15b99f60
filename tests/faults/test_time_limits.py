"""Time limits by a signal whose handler raises an ordinary exception: none gets lost in our code.

Those of Celery, RQ and all the decorators are such. A program would wait for what it has given up.
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
# There is nobody whom Python could give an exception of theirs.
FINALIZERS = ("*.__del__", "*.dropped")


def cases():
    for library in ("httpx2-sync", "requests"):
        for mode in ("record", "cache"):
            slow = (library, mode) != ("httpx2-sync", "record")
            yield pytest.param(library, mode, marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize(("library", "mode"), list(cases()))
def test_one_that_ends_at_each_place(library, mode):
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    del environ["REWIND_TESTING"]
    command = [sys.executable, Path(__file__).with_name("time_limit_at_each_place.py"), library, mode]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found) > 50
    for one in found:
        if not any(fnmatch(one["place"], each) for each in FINALIZERS):
            assert one["failed"], one
            assert sorted(one["calls"][:3]) == ["200", "200", "Late"], one
            assert one["said"] == [], one
        assert one["calls"][3:] == ["200"] * 3, one
