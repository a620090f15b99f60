"""Fixtures: a server that says what it was asked, and ways to ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest
from servers import Server, answer

import rewind_auto
from rewind_auto.core.model import Session, Step
from rewind_auto.store import open_store


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.on("/v1/chat/completions", lambda seen: answer(f"{len(running.seen)}: {seen.body.decode()}"))
        yield running


@pytest.fixture
def ask(server: Server) -> Callable[..., str]:
    """Asks, in a thread or outside of an event loop."""

    def post(text: str, **headers: str) -> str:
        with httpx2.Client(trust_env=False) as client:
            return client.post(f"{server.url}/v1/chat/completions", content=text, headers=headers).json()

    return post


@pytest.fixture
def aask(server: Server):
    """Asks, in a task."""

    async def post(text: str) -> str:
        async with httpx2.AsyncClient(trust_env=False) as client:
            response = await client.post(f"{server.url}/v1/chat/completions", content=text)
            return response.json()

    return post


@pytest.fixture
def kept(store_path) -> Callable[[], dict[str, tuple[Session, list[Step]]]]:
    """Tells what is in the store: sessions by name, with their steps."""

    def look() -> dict[str, tuple[Session, list[Step]]]:
        store = open_store(str(store_path))
        try:
            return {session.name: (session, store.steps(session.id)) for session in store.sessions()}
        finally:
            store.close()

    return look


@pytest.fixture(autouse=True)
def let_go(monkeypatch) -> Iterator[None]:
    """Nothing of a test stays in the process."""
    monkeypatch.setenv("REWIND_LLM_HOSTS", "127.0.0.1")
    yield
    assert not rewind_auto.is_installed()
