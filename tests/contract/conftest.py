"""Fixtures of the contract suite: a driver, a server and a trial of the two."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from drivers import DRIVERS, Driver
from servers import Server

pytest.register_assert_rewrite("trial")
from trial import Trial  # noqa: E402 - after its assertions are made to explain themselves

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
