"""Programs of a few lines, recorded and replayed in processes of their own, and their files."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from servers import Server, answer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(tmp_path, store_path):
    """Run Python with these words; what it wrote to stdout and to stderr."""

    def run(*words, code=0, **variables):
        kept = {name: value for name, value in os.environ.items() if name != "REWIND_TESTING"}
        environ = {**kept, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), **variables}
        line = [sys.executable, *map(str, words)]
        done = subprocess.run(line, env=environ, capture_output=True, cwd=tmp_path, timeout=60, text=True)
        assert done.returncode == code, done
        return done.stdout, done.stderr

    return run


@pytest.fixture
def command(start):
    """Run one of ours: ``command("main", "show", "last", code=2, REWIND_X="1")``."""
    return lambda module, *words, **options: start("-m", f"rewind_auto.cli.{module}", *words, **options)


@pytest.fixture
def python(start, server, tmp_path):
    """Run Python by itself, with the server's ``URL`` known to it."""

    def run(source, **options):
        path = tmp_path / "plain.py"
        path.write_text(f"URL = {server.url + '/v1/chat/completions'!r}\n" + textwrap.dedent(source))
        return start(path, **options)

    return run


@pytest.fixture
def server():
    """One that answers everything with what it was asked."""
    with Server() as running:
        running.on("/v1/chat/completions", lambda seen: answer({"echo": seen.body.decode("latin-1")}))
        yield running


@pytest.fixture
def program(command, server, tmp_path):
    """Run Python under rewind-run, with the server's ``URL`` known to it."""

    def run(source, *options, code=0, **variables):
        path = tmp_path / "program.py"
        path.write_text(f"URL = {server.url + '/v1/chat/completions'!r}\n" + textwrap.dedent(source))
        words = ("--hosts", "127.0.0.1", *options, sys.executable, path)
        return command("run", *words, code=code, **variables)

    return run


@pytest.fixture
def files(store_path):
    """Every byte in the directory of the store."""
    return lambda: b"\n".join(path.read_bytes() for path in sorted(store_path.parent.iterdir()))
