"""Programs in processes of their own, plain and under ``rewind-run``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAUNCHER = [sys.executable, "-m", "rewind_auto.cli.run", "--hosts", "127.0.0.1"]


def run(program: Path, *arguments: str, launcher: list[str] | None = None, python: str = sys.executable):
    """Run a program to its end, by itself or with a launcher in front."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"}
    return subprocess.run(
        [*(launcher or []), python, str(program), *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Runs:
    """One program, run plain, recorded and replayed; its output has to be the same."""

    def __init__(self, program: Path, server, python: str = sys.executable) -> None:
        self.program = program
        self.server = server
        self.python = python

    def check(self) -> str:
        """All three runs. Returns what the program printed."""
        plain = self.run()
        assert plain.returncode == 0, plain.stderr
        recorded = self.run(*LAUNCHER, "--record")
        assert (recorded.returncode, recorded.stdout) == (0, plain.stdout), recorded.stderr
        assert recorded.stderr == plain.stderr
        self.server.stop()
        replayed = self.run(*LAUNCHER, "--replay", "last")
        assert (replayed.returncode, replayed.stdout) == (0, plain.stdout), replayed.stderr
        assert replayed.stderr == plain.stderr
        return plain.stdout

    def run(self, *launcher: str):
        self.server.forget()
        return run(self.program, self.server.url, launcher=list(launcher), python=self.python)
