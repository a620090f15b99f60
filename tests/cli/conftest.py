"""The launcher, run as users run it: in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rewind_auto

ROOT = Path(rewind_auto.__file__).parents[1]


@pytest.fixture(autouse=True)
def interruptible():
    """Children can be interrupted even where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def launcher() -> list[str]:
    """The words that start rewind-run."""
    return [sys.executable, "-m", "rewind_auto.cli.run"]


@pytest.fixture
def environ(tmp_path):
    """Environment of the launcher. The errors of ours are not raised again; HOME is empty."""
    kept = {name: value for name, value in os.environ.items() if name not in ("REWIND_TESTING", "PYTHONPATH")}
    (tmp_path / "home").mkdir()
    return {**kept, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "home")}


@pytest.fixture
def rewind_run(launcher, environ, tmp_path):
    """Run it: ``rewind_run("--off", "true", REWIND_SPEED="1")``; None takes a variable away."""

    def start(*args, stdin="", **variables):
        merged = {name: value for name, value in {**environ, **variables}.items() if value is not None}
        return subprocess.run(
            [*launcher, *args],
            env=merged,
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start
