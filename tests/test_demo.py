"""The one command that a newcomer runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="would set up the venv of ./dev first")
def test_the_demo_records_replays_and_shows():
    done = subprocess.run(["./dev", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    typed = [line[2:].split()[0] for line in done.stderr.splitlines() if line.startswith("$ ")]
    assert typed == ["rewind-run", "rewind-run", "rewind-auto"]
    answers = [line for line in done.stdout.splitlines() if line.startswith("You asked")]
    assert len(answers) == 2
    assert answers[0] == answers[1]
    shown = done.stdout.partition("Byte for byte the same")[2]
    assert shown.count("hit") >= 5
