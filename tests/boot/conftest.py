"""Child interpreters with the agent on their path, as ``rewind-run`` starts them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rewind_auto.boot.launch import inject_dir


@pytest.fixture
def environ():
    """A child's environment with the injected directory in front, and errors of ours not raised again."""
    kept = {name: value for name, value in os.environ.items() if name not in ("REWIND_TESTING", "PYTHONPATH")}
    return {**kept, "PYTHONPATH": inject_dir()}


@pytest.fixture
def run(environ, tmp_path):
    """Run Python with the agent: ``run("-c", code, REWIND_MODE="off")``; None takes a variable away."""

    def start(*args, python=sys.executable, stdin="", **variables):
        merged = {name: value for name, value in {**environ, **variables}.items() if value is not None}
        return subprocess.run(
            [python, *args],
            env=merged,
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start
