"""A server, and the program of `large_program`, plain and under rewind-run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import Server

_ROOT = Path(__file__).parents[2]
_PROGRAM = Path(__file__).with_name("large_program.py")
_RUN = [sys.executable, "-m", "rewind_auto.cli.run", "--hosts", "127.0.0.1"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def large(server: Server) -> Callable[..., tuple[str, int]]:
    """Runs the program; returns the digest of what it got and by how many megabytes it grew."""

    def run(
        mode: str, library: str, kind: str, doing: str, upload: int = 0, **environ: str
    ) -> tuple[str, int]:
        launcher = {"plain": [], "record": [*_RUN, "--record"], "replay": [*_RUN, "--replay", "last"]}[mode]
        command = [*launcher, sys.executable, str(_PROGRAM), library, kind, doing, server.url, str(upload)]
        environment = {**os.environ, "PYTHONPATH": str(_ROOT), "NO_PROXY": "*", **environ}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, ""), done
        digest, grown = done.stdout.split()
        return digest, int(grown)

    return run
