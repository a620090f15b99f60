"""Fixtures: whole programs under ``rewind-run``, and what the contract suite has."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rewind_auto.core.model import Session, Step
from rewind_auto.store import codec, open_store

sys.path.append(str(Path(__file__).parents[1] / "contract"))
from drivers import DRIVERS, Driver
from running import RUN
from servers import Server

pytest.register_assert_rewrite("trial")
from trial import Trial  # noqa: E402 - after its assertions are made to explain themselves

ROOT = Path(__file__).parents[2]
_MEMORY = Path("/dev/shm")  # a store is opened several times a test: no disk needs to be waited for


@pytest.fixture
def store_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Path of this test's store, in REWIND_STORE too. Nothing is there yet."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else tmp_path) as directory:
        path = Path(directory) / "store" / "rewind.db"
        monkeypatch.setenv("REWIND_STORE", str(path))
        yield path


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.id)
def driver(request: pytest.FixtureRequest) -> Driver:
    """A client library, used one way; tests that are for some of them only name these themselves."""
    return request.param


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that answers everything with 404 until it is told otherwise."""
    with Server() as running:
        yield running


@pytest.fixture
def trial(driver: Driver, server: Server, store_path: Path) -> Trial:
    """The trial of a scenario against the server."""
    return Trial(driver, store_path, server)


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Writes a program and runs it as users do, without REWIND_TESTING.

    As in ``program(source, "--replay", "last", arguments=[url], NAME=value)``. ``under=[]``: it runs alone.
    """

    def start(source, *options, arguments=(), under=(*RUN, "--hosts", "127.0.0.1"), **variables):
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(source))
        environ = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        del environ["REWIND_TESTING"]
        command = [*under, *options, sys.executable, str(path), *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)

    return start


@pytest.fixture
def kept(store_path: Path) -> Callable[[], list[tuple[Session, list[Step]]]]:
    """Tells what is in the store: the sessions in the order of their beginning, with their steps."""

    def look() -> list[tuple[Session, list[Step]]]:
        store = open_store(str(store_path))
        try:
            return [(session, store.steps(session.id)) for session in reversed(store.sessions())]
        finally:
            store.close()

    return look


@pytest.fixture
def written(store_path: Path) -> Callable[[], bytes]:
    """Gives all that is on disk, with every compression undone."""

    def look() -> bytes:
        raw = [path.read_bytes() for path in store_path.parent.iterdir()]
        with closing(sqlite3.connect(store_path)) as db:
            docs = [codec.load_doc(doc) for (doc,) in db.execute("SELECT doc FROM steps WHERE doc NOT NULL")]
            blobs = [codec.unpack(*row) for row in db.execute("SELECT packed, data FROM blobs")]
        return b"\n".join([*raw, *blobs, json.dumps(docs).encode()])

    return look
