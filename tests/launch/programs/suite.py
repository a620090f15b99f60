"""Tests that ask, one of which fails. Not called ``test_…``: it is pytest's own only when it is named."""

from __future__ import annotations

import pytest
from asking import ask, ask_async


@pytest.mark.parametrize("what", ["one", "two", "three"])
def test_asked(what: str) -> None:
    assert ask(what) == what


@pytest.mark.asyncio
async def test_asked_below_pytest_asyncio() -> None:
    assert await ask_async("asyncio") == "asyncio"


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.anyio
async def test_asked_below_anyio(anyio_backend: str) -> None:
    assert await ask_async(f"anyio {anyio_backend}") == f"anyio {anyio_backend}"


def test_that_fails() -> None:
    assert ask("fails") == "nothing"
