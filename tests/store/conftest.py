"""Fixtures of the store suite: a place for a store, and a store there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("backends")
from backends import BACKENDS, Backend  # noqa: E402 - after its assertions are made to explain themselves

from rewind_auto.store.contract import Store  # noqa: E402

_MEMORY = Path("/dev/shm")  # no disk needs to be waited for


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory on a fast disk, with nothing in it."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else tmp_path) as directory:
        yield Path(directory)


@pytest.fixture(params=BACKENDS, ids=lambda kind: kind.name)
def backend(request: pytest.FixtureRequest, place: Path) -> Iterator[Backend]:
    """Where a store can be."""
    made = request.param(place / "store")
    yield made
    made.close()


@pytest.fixture
def store(backend: Backend) -> Store:
    """A store; closed when the test is over."""
    return backend.open()
