"""Fixtures: what the contract suite has, and whole programs that meet a fault."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "contract"))
from fault_agent import AGENT, Done
from servers import Seen, Server, answer, sse

ROOT = Path(__file__).parents[2]
_MEMORY = Path("/dev/shm")


@pytest.fixture
def store_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Path of this test's store, in REWIND_STORE too. Nothing is there yet."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else tmp_path) as directory:
        path = Path(directory) / "store" / "rewind.db"
        monkeypatch.setenv("REWIND_STORE", str(path))
        yield path


@pytest.fixture
def server() -> Iterator[Server]:
    """Answers by what it is asked: the same question, the same answer."""

    def chat(seen: Seen):
        text = seen.body[:200].decode()
        return sse(f'{{"said":"{text}"}}', "{}") if "stream" in text else answer({"said": text})

    with Server() as running:
        running.on("/v1/chat/completions", chat)
        yield running


@pytest.fixture
def program(tmp_path: Path, server: Server) -> Callable[..., Done]:
    """Runs a program after `AGENT`, as in ``program(source, "--replay", "last", library="aiohttp")``.

    Without options and ``plain=True``, it runs alone. ``arguments`` follow the library and the URL.
    ``limit``: of the memory that it, and not the launcher, may reserve, in kilobytes.
    """

    def start(
        source,
        *options,
        library="httpx2",
        arguments=(),
        plain=False,
        store=None,
        limit=0,
        timeout=60,
        **variables,
    ):
        path = tmp_path / "program.py"
        path.write_text(AGENT + textwrap.dedent(source))
        # A session's notes of what was said go where temporary files do: not among those of other tests.
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), **variables}
        del environ["REWIND_TESTING"]
        if store is not None:
            environ["REWIND_STORE"] = str(store)
        launcher = (
            [] if plain else [sys.executable, "-m", "rewind_auto.cli.run", "--hosts", "127.0.0.1", *options]
        )
        limited = ["sh", "-c", f'ulimit -v {limit}; exec "$@"', "sh"] if limit else []
        command = [*launcher, *limited, sys.executable, str(path), library, server.url, *map(str, arguments)]
        server.forget()
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=timeout, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return start


@pytest.fixture
def verb(tmp_path: Path) -> Callable[..., Done]:
    """Runs a verb of ``rewind-auto``."""

    def start(*arguments, timeout=60):
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        del environ["REWIND_TESTING"]
        command = [sys.executable, "-m", "rewind_auto.cli.main", *map(str, arguments)]
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=timeout, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return start


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory with these options, as in ``disk("size=400k")``."""
    mounted = []

    def mount(options: str) -> Path:
        directory = tmp_path / f"disk{len(mounted)}"
        directory.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(directory)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        mounted.append(directory)
        return directory

    yield mount
    for directory in mounted:
        subprocess.run(["umount", "--lazy", directory], check=True)
