"""Programs of these tests in processes of their own, and a server for them to call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Server, reply

import rewind_auto

HERE = Path(__file__).parent
ROOT = Path(rewind_auto.__file__).parents[1]


@pytest.fixture
def server() -> Iterator[Server]:
    """Answers every request with "answer"."""
    with Server() as running:
        running.on("", reply(b"answer"))
        yield running


@pytest.fixture
def said(start, tmp_path):
    """What a tool says of the calls of `with_others`, put on and taken off in this order."""

    def run(tool, first_on, first_off, **options):
        path = os.pathsep.join(map(str, (ROOT, HERE, HERE.parent)))
        store = str(tmp_path / f"{first_on}.db")
        program = str(HERE / "with_others.py")
        done = start(program, tool, first_on, first_off, PYTHONPATH=path, REWIND_STORE=store, **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def start(tmp_path: Path):
    """Run Python to its end with this directory on its path, below ``launcher`` if there is one."""

    def run(*args: str, launcher=(), python=sys.executable, **variables):
        environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "NO_PROXY": "*", **variables}
        return subprocess.run(
            [*launcher, python, *args],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
