"""``--order recorded``: code that takes answers as they come goes the way it went."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from drivers import ASYNC_DRIVERS, SYNC_DRIVERS
from servers import answer, chunked

from rewind_auto.core import guard
from rewind_auto.core.model import Mode

CHAT = "/v1/chat/completions"
SLOW = {b"a": 0.15, b"b": 0.05, b"c": 0.1, b"d": 0.0}
COMING = ["d", "b", "c", "a"]


@pytest.fixture(autouse=True)
def answering(server):
    """Each answer takes its own time; streams have it between their two chunks."""

    def act(seen):
        if seen.header("x-stream"):
            return chunked([seen.body, b"."], pause=SLOW.get(seen.body, 0))
        return [SLOW.get(seen.body, 0.0), *answer(seen.body.decode())]

    server.on(CHAT, act)


def replays(trial, scenario, recorded, times=5):
    source = trial.session
    for server in trial.served:
        server.stop()
    for _ in range(times):
        replayed, _ = trial.run_as(Mode.REPLAY, scenario, source=source, order="recorded")
        assert replayed == recorded


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
@pytest.mark.parametrize("manner", ["buffered", "bytes"])
def test_tasks_as_they_complete(trial, server, driver, manner):
    async def scenario():
        async with driver.client() as client:

            async def ask(text, **headers):
                options = {"content": text, "headers": headers}
                got = await driver.exchange(client, "POST", f"{server.url}{CHAT}", manner, **options)
                body = got.body if isinstance(got.body, bytes) else got.body.encode()
                return body.decode().strip('".')

            more = {"x-stream": "1"} if manner == "bytes" else {}
            tasks = [asyncio.ensure_future(ask(text, **more)) for text in SLOW]
            seen = []
            for done in asyncio.as_completed(tasks):
                seen.append(await done)
                await ask(f"so far {seen}".encode(), **more)  # what is asked depends on the order
            return seen

    recorded, _ = trial.record(scenario)
    assert recorded == COMING
    replays(trial, scenario, recorded)


@pytest.mark.parametrize("driver", SYNC_DRIVERS, ids=repr)
def test_threads_as_they_complete(trial, server, driver):
    async def scenario():
        async with driver.client() as client:

            def ask(text):
                got = driver.run(driver.exchange(client, "POST", f"{server.url}{CHAT}", content=text))
                return got.body.decode().strip('"')

            with ThreadPoolExecutor(8) as pool:
                asked = [pool.submit(ask, text) for text in SLOW]
                seen = []
                for done in as_completed(asked):
                    seen.append(done.result())
                    ask(f"so far {seen}".encode())
            return seen

    recorded, _ = trial.record(scenario)
    assert recorded == COMING
    replays(trial, scenario, recorded)


def test_a_call_made_while_a_stream_is_open(trial, server, driver):
    """Its end comes first, and is not waited for before the stream's beginning."""

    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}{CHAT}"
            async with driver.opened(client, "POST", url, content=b"a", headers={"x-stream": "1"}) as more:
                seen = [await more()]
                seen.append((await driver.exchange(client, "POST", url, content=b"d")).body)
                return [*seen, await more(), await more()]

    recorded, _ = trial.record(scenario)
    replays(trial, scenario, recorded, times=2)


def test_a_program_that_does_something_else_is_not_held_for_ever(trial, server, driver, capfd, monkeypatch):
    monkeypatch.setattr(guard, "_seen", set())
    monkeypatch.setattr("rewind_auto.core.order._PATIENCE", 0.2)

    def asking(*texts):
        async def scenario():
            async with driver.client() as client:
                url = f"{server.url}{CHAT}"
                return [(await driver.exchange(client, "POST", url, content=text)).body for text in texts]

        return scenario

    trial.record(asking(b"a", b"b", b"c"))
    said, _ = trial.run_as(Mode.REPLAY, asking(b"c", b"b"), source=trial.session, order="recorded")
    assert said == [b'"c"', b'"b"']
    assert "recorded step 1 is not asked for" in capfd.readouterr().err
    assert threading.active_count() < 20
