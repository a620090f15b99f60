"""Calls at the same time: each replays to its own answer, every time."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from drivers import ASYNC_DRIVERS, SYNC_DRIVERS
from servers import chunked

TASKS, THREADS = 20, 8
RUNS = {"httpx2": 100}


def answering(server):
    """Answers that say what was asked, each after a delay of its own, so that they come in any order."""
    delays = random.Random(7)

    def act(seen):
        number = json.loads(seen.body)["n"]
        return chunked([b"answer ", b"to %d" % number], pause=delays.uniform(0, 0.02))

    server.on("/v1/x", act)


def asking(driver, client, server, number, manner="buffered"):
    body = json.dumps({"n": number, "messages": [{"role": "user", "content": f"question {number}"}]}).encode()
    return driver.exchange(client, "POST", f"{server.url}/v1/x", manner, content=body)


def repeat(trial, scenario, expected, runs=None):
    """Replay so many times in a row."""
    for server in trial.served:
        server.stop()
    for _ in range(runs or RUNS.get(trial.driver.library, 15)):
        with trial.agent("replay", uuid.uuid4().hex, source=trial.session):
            assert trial.driver.run(scenario()) == expected


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_gathered(trial, server, driver):
    answering(server)

    async def scenario():
        async with driver.client() as client:
            calls = [asking(driver, client, server, n, ("buffered", "lines")[n % 2]) for n in range(TASKS)]
            return [(got.body, got.error) for got in await asyncio.gather(*calls)]

    plain, _ = trial.plain(scenario)
    assert plain[2] == (b"answer to 2", None)
    assert plain[3] in [("answer to 3", None), (b"answer to 3", None)]
    steps = trial.check(scenario)
    assert [step.step for step in steps] == list(range(1, TASKS + 1))
    repeat(trial, scenario, plain)


@pytest.mark.parametrize("driver", SYNC_DRIVERS, ids=repr)
def test_threads(trial, server, driver):
    answering(server)

    async def scenario():
        async with driver.client() as client:

            def work(number):
                got = driver.run(asking(driver, client, server, number, ("buffered", "lines")[number % 2]))
                return got.body, got.error

            with ThreadPoolExecutor(THREADS) as pool:
                return list(pool.map(work, range(THREADS * 2)))

    plain, _ = trial.plain(scenario)
    recorded, _ = trial.record(scenario)
    assert recorded == plain
    assert [step.step for step in trial.steps()] == list(range(1, THREADS * 2 + 1))
    repeat(trial, scenario, plain)


@pytest.mark.parametrize("driver", SYNC_DRIVERS, ids=repr)
def test_a_client_for_each_thread(trial, server, driver):
    answering(server)

    async def work(number):
        async with driver.client() as client:
            return [(await asking(driver, client, server, number * 10 + turn)).body for turn in range(3)]

    async def scenario():
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(lambda number: driver.run(work(number)), range(THREADS)))

    trial.check(scenario)


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_the_same_question_by_every_task(trial, server, driver):
    """Equal requests, unequal answers: each task gets again what it got, wherever the others are."""
    count = iter(range(10_000))
    delays = random.Random(3)
    server.on("/v1/x", lambda _: chunked([b"answer %d" % next(count)], pause=delays.uniform(0, 0.02)))

    async def conversation(client):
        return [(await asking(driver, client, server, 0)).body for _ in range(3)]

    async def scenario():
        async with driver.client() as client:
            return await asyncio.gather(*(conversation(client) for _ in range(8)))

    recorded, _ = trial.record(scenario)
    assert len({body for answers in recorded for body in answers}) == 24
    repeat(trial, scenario, recorded, 20)


@pytest.mark.parametrize("driver", SYNC_DRIVERS, ids=repr)
def test_the_same_question_by_every_thread(trial, server, driver):
    """Threads of a pool have no names that would last: every answer is given, none twice."""
    count = iter(range(10_000))
    server.on("/v1/x", lambda _: chunked([b"answer %d" % next(count)]))

    async def scenario():
        async with driver.client() as client:
            ask = lambda _: driver.run(asking(driver, client, server, 0)).body  # noqa: E731
            with ThreadPoolExecutor(THREADS) as pool:
                return Counter(pool.map(ask, range(THREADS * 3)))

    recorded, _ = trial.record(scenario)
    assert set(recorded.values()) == {1}
    repeat(trial, scenario, recorded, 10)


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_streams_read_in_turns(trial, server, driver):
    """Many bodies open at once, none waiting for another's end."""
    answering(server)

    async def scenario():
        async with driver.client() as client:
            calls = [asyncio.create_task(asking(driver, client, server, n, "raw")) for n in range(TASKS)]
            return [(await call).pieces for call in calls]

    trial.check(scenario)


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_loops_in_threads(trial, server, driver):
    """An event loop in each thread, as in a web server's workers."""
    answering(server)

    async def work(number):
        async with driver.client() as client:
            got = await asyncio.gather(*(asking(driver, client, server, number * 10 + n) for n in range(4)))
        return [one.body for one in got]

    async def scenario():
        with ThreadPoolExecutor(4) as pool:
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(pool, lambda n=n: asyncio.run(work(n))) for n in range(4)]
            return await asyncio.gather(*calls)

    trial.check(scenario)
