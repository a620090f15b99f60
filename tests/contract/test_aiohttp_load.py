"""aiohttp: many calls, long streams, large bodies, and the event loop's debug mode."""

from __future__ import annotations

import asyncio
import gc
import warnings

import aiohttp
import pytest
from drivers import DRIVERS, Got
from servers import HANG, answer, chunked, head, reply

from rewind_auto.core.model import Ending

TASKS, CHUNKS, BIG = 200, 10_000, 5_000_000


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


def test_many_tasks(trial, server, driver):
    server.on("/v1/x", lambda seen: chunked([seen.body, b" again"]))

    async def scenario():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=20)) as session:

            async def ask(number):
                async with session.post(f"{server.url}/v1/x", json={"n": number}) as response:
                    if number % 2:
                        return await response.text()
                    return [line async for line in response.content]

            return await asyncio.gather(*map(ask, range(TASKS)))

    assert len(trial.check(scenario)) == TASKS


def test_a_long_stream(trial, server, driver):
    body = b"".join(b"7\r\n%06d\n\r\n" % number for number in range(CHUNKS)) + b"0\r\n\r\n"
    server.on("/v1/x", [head(200, [("Transfer-Encoding", "chunked")]), body])

    async def scenario():
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/v1/x") as response:
            # The last chunk of all is told as an empty one if it arrives late.
            return Got(pieces=[data async for data, _ in response.content.iter_chunks()], by_arrival=True)

    trial.check(scenario)
    assert len(trial.recording().cuts) >= CHUNKS


@pytest.mark.parametrize("way", ["read", "lines", "small pieces"])
def test_a_large_body(trial, server, driver, way):
    server.on("/v1/x", reply((b"x" * 999 + b"\n") * (BIG // 1000)))

    async def scenario():
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/v1/x") as response:
            if way == "read":
                return await response.read()
            if way == "lines":
                return [line async for line in response.content]
            return b"".join([piece async for piece in response.content.iter_chunked(1000)])

    [step] = trial.check(scenario)
    assert step.complete
    assert len(trial.recording().body) == BIG


def test_others_get_their_turn(trial, server, driver):
    """A replayed stream does not keep the event loop to itself."""
    server.on("/v1/x", chunked([b"%d\n" % number for number in range(50)]))

    async def scenario():
        turns = 0

        async def counting():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/v1/x") as response:
            task = asyncio.create_task(counting())
            async for _ in response.content.iter_chunks():
                pass
            task.cancel()
        return turns

    trial.record(scenario)
    assert trial.replay(scenario) >= 20


@pytest.mark.parametrize("where", ["head", "body", "read"])
def test_cancelled(trial, server, driver, where):
    """In the midst of any of them; the session goes on being usable."""
    server.on("/v1/x", [HANG] if where == "head" else chunked([b"one"], end=[HANG]))
    server.on("/v1/y", answer("after"))

    async def scenario():
        seen = []

        async def work(session):
            async with session.get(f"{server.url}/v1/x") as response:
                seen.append(await (response.read() if where == "read" else response.content.readany()))
                seen.append(await response.content.readany())

        async with aiohttp.ClientSession() as session:
            task = asyncio.create_task(work(session))
            await asyncio.sleep(0.15)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return seen, await (await session.get(f"{server.url}/v1/y")).read()

    trial.check(scenario)
    assert trial.endings() == [Ending.CANCELLED, Ending.EOF]


@pytest.mark.parametrize("what", ["read", "stream", "left early", "error", "upload"])
def test_nothing_is_said_in_debug_mode(trial, server, driver, what):
    """No warning, no message to the loop's handler, that there is not without us."""
    server.on("/v1/x", chunked([b"one\n", b"two\n"], pause=0.005))
    server.on("/v1/e", answer("no", 500))

    async def parts():
        yield b"a"
        yield b"b"

    async def ask(session):
        url = f"{server.url}/v1/{'e' if what == 'error' else 'x'}"
        async with session.post(url, data=parts() if what == "upload" else b"{}") as response:
            if what == "stream":
                return [line async for line in response.content]
            if what == "left early":
                return await response.content.readline()
            if what == "error":
                response.raise_for_status()
            return await response.read()

    async def scenario():
        loop, noise = asyncio.get_running_loop(), []
        loop.set_debug(True)
        loop.slow_callback_duration = 10
        loop.set_exception_handler(lambda _, context: noise.append(context["message"]))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            async with aiohttp.ClientSession() as session:
                got = await asyncio.gather(*(ask(session) for _ in range(3)), return_exceptions=True)
                got = [repr(one) for one in got]
                gc.collect()
                await asyncio.sleep(0)
            gc.collect()
        return got, noise, sorted(str(one.message) for one in told)

    plain, _ = trial.plain(scenario)
    assert plain[1:] == ([], [])
    trial.check(scenario)
