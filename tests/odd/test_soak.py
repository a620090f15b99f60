"""The soak of `benchmarks`, for some seconds: it runs, and finds what it is there to find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_short_soak(tmp_path):
    numbers = tmp_path / "numbers.json"
    options = ["--minutes", "0.17", "--processes", "4", "--json", str(numbers)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", *options],
        cwd=_ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["clean"]), done.stdout + done.stderr
    found = json.loads(numbers.read_text())
    assert found["violations"] == []
    assert min(found["answers"], found["replayed"], found["killed"]) > 0
