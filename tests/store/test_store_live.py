"""Live calls while the store is not to be had: the program goes on as if nothing were the matter."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace

import httpx2
import making
import pytest
from backends import Sqlite
from servers import Server, answer, chunked

from rewind_auto.adapters import httpx as adapter
from rewind_auto.core import guard
from rewind_auto.core.model import Decision, Mode
from rewind_auto.driver import ProcessDriver
from rewind_auto.settings import Settings

OPTIONS = {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "trust_env": False}
UID, REPLAYING = "c" * 32, "d" * 32


@pytest.fixture
def backend(place):
    made = Sqlite(place / "store")
    yield made
    made.close()


@pytest.fixture
def server():
    with Server() as running:
        running.on("/v1/x", lambda seen: answer({"said": seen.body.decode()}))
        yield running


@contextmanager
def agent(backend, **options):
    """The agent, recording."""
    usual = {"session_id": UID, "store": str(backend.path), "llm_hosts": ("127.0.0.1",)}
    settings = replace(Settings(), **{**usual, **options})
    driver = ProcessDriver(settings)
    adapter.install(httpx2, driver)
    try:
        yield driver
    finally:
        adapter.uninstall(httpx2)
        driver.close()


def body(response):
    return response.json()["said"]


@pytest.fixture
def patient(monkeypatch):
    """Warnings are said anew."""
    monkeypatch.setattr(guard, "_seen", set())


def ask(client, server, text):
    started = time.perf_counter()
    assert body(client.post(f"{server.url}/v1/x", content=text)) == text
    return time.perf_counter() - started


def kept(backend, count, seconds=10.0):
    """The answers that are in the store, once there are so many."""
    until = time.monotonic() + seconds
    with closing(backend.open()) as store:
        while len(store.steps(UID)) < count and time.monotonic() < until:
            time.sleep(0.01)
        return {step.step: store.recording(UID, step.step).request.body.decode() for step in store.steps(UID)}


def test_a_locked_store_holds_a_program_up_once(backend, server, patient, capsys):
    """By fifty milliseconds in all, and nothing is lost."""
    making.session(backend.open())
    asked, late = [], []

    def hold_calls(client, count):
        asked.extend(f"{len(asked)}.{number}" for number in range(count))
        return [ask(client, server, text) for text in asked[-count:]]

    with httpx2.Client(**OPTIONS) as client, agent(backend):
        usual = min(hold_calls(client, 11))
        for _ in range(4):  # this machine may be busy with something else
            with backend.held():
                late.append(sorted(seconds - usual for seconds in hold_calls(client, 10)))
                assert len(kept(backend, 0)) == len(asked) - 10
            assert len(kept(backend, len(asked))) == len(asked)
            hold_calls(client, 1)
    assert 0.040 < min(took[-1] for took in late) < 0.065
    assert min(took[-2] for took in late) < 0.010
    found = kept(backend, len(asked))
    assert list(found) == list(range(1, len(asked) + 1))
    assert sorted(found.values()) == sorted(asked)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "locked by another process" in said
    backend.check()


@pytest.mark.parametrize("first", [True, False])
def test_locked_between_the_start_and_the_end_of_a_call(backend, server, patient, first):
    """Its number is kept for it."""
    making.session(backend.open())
    server.on("/v1/s", chunked([b"one ", b"two"]))
    with httpx2.Client(**OPTIONS) as client, agent(backend):
        if not first:
            ask(client, server, "0")
        with client.stream("POST", f"{server.url}/v1/s", content="streamed") as response:
            chunks = response.iter_raw()
            assert next(chunks) == b"one "
            with backend.held():
                started = time.perf_counter()
                assert list(chunks) == [b"two"]
                assert time.perf_counter() - started < 0.15
        ask(client, server, "next")
    assert list(kept(backend, 2 + (not first)).values()) == [*["0"] * (not first), "streamed", "next"]


def test_an_event_loop_is_not_blocked_by_a_lock(backend, server, patient):
    """Waiting is done by the loop, and other tasks go on."""
    making.session(backend.open())
    ticks, ticks_at = [], {}

    def act(seen):
        ticks_at[seen.body] = len(ticks)  # by now the call has waited for the store
        return answer({"said": seen.body.decode()})

    server.on("/v1/x", act)

    async def tick():
        while True:
            await asyncio.sleep(0.001)
            ticks.append(time.perf_counter())

    async def main():
        async with httpx2.AsyncClient(**OPTIONS) as client:
            await client.post(f"{server.url}/v1/x", content="warm")
            ticking = asyncio.create_task(tick())
            with backend.held():
                ticks.clear()
                await client.post(f"{server.url}/v1/x", content="first")
                calls = [client.post(f"{server.url}/v1/x", content=f"{n}") for n in range(20)]
                answers = await asyncio.gather(*calls)
            ticking.cancel()
            assert [body(one) for one in answers] == [f"{n}" for n in range(20)]

    with agent(backend):
        asyncio.run(main())
    assert ticks_at[b"first"] >= 10
    assert len(kept(backend, 22)) == 22


def test_a_program_that_ends_while_the_store_is_locked(backend, server, patient):
    """What waits is written if there is room for it within the exit's two seconds."""
    making.session(backend.open())
    with httpx2.Client(**OPTIONS) as client, agent(backend) as driver:
        ask(client, server, "before")
        with backend.held():
            for number in range(5):
                ask(client, server, f"{number}")
        started = time.perf_counter()
        driver.close()
        assert time.perf_counter() - started < 1.5
    assert len(kept(backend, 6, seconds=0)) == 6


def test_a_program_that_ends_and_the_store_stays_locked(backend, server, patient, capsys):
    making.session(backend.open())
    with backend.held(), httpx2.Client(**OPTIONS) as client, agent(backend) as driver:
        ask(client, server, "lost")
        started = time.perf_counter()
        driver.close()
        assert time.perf_counter() - started < 2.5
    assert "1 recordings were lost" in capsys.readouterr().err


def test_a_replay_waits_for_a_lock(backend, server, patient):
    """It cannot go on without its store, and no live call hangs on it."""
    done = []
    with httpx2.Client(**OPTIONS) as client:
        with agent(backend):
            ask(client, server, "a")
        server.stop()
        with agent(backend, mode=Mode.REPLAY, source=UID, session_id=REPLAYING):
            asking = threading.Thread(target=lambda: done.append(ask(client, server, "a")))
            with backend.held():
                asking.start()
                asking.join(0.3)
                assert not done
            asking.join(10)
            assert done
    with closing(backend.open()) as store:
        assert [step.decision for step in store.steps(REPLAYING)] == [Decision.HIT]
