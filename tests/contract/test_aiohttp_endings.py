"""aiohttp: answers that are let go of, or read by a task that is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import warnings

import aiohttp
import pytest
from drivers import DRIVERS
from servers import HANG, chunked, reply

from rewind_auto import RewindReplayDivergenceError
from rewind_auto.core.model import Ending

LINES = [f"line {number}\n".encode() for number in range(4)]
SLOWLY = chunked(LINES[:2], end=[0.25, b"4\r\nmore\r\n0\r\n\r\n"])


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


async def failing(driver, reading):
    try:
        return await reading
    except Exception as error:  # noqa: BLE001
        return driver.failed(error)


async def by_release(response):
    response.release()


async def by_close(response):
    response.close()


async def by_leaving(response):
    async with response:
        pass


async def by_raising(response):
    with pytest.raises(ZeroDivisionError):
        async with response:
            raise ZeroDivisionError


LEAVING = {"release": by_release, "close": by_close, "leaving": by_leaving, "raising": by_raising}


@pytest.mark.parametrize("take", [0, 1])
@pytest.mark.parametrize("way", LEAVING)
def test_let_go_of(trial, server, driver, way, take):
    server.on("/v1/x", chunked(LINES, end=[HANG]))

    async def scenario():
        async with driver.client() as client:
            response = await client.session.get(f"{server.url}/v1/x")
            seen = [await response.content.readline() for _ in range(take)]
            await LEAVING[way](response)
            seen += [response.status, response.closed, response.connection]
            seen += [repr(response.content.exception())]
            seen += [await failing(driver, response.read())]
            return seen, await failing(driver, response.content.readany())

    [step] = trial.check(scenario)
    assert trial.endings() == [Ending.CLOSED]
    assert step.chunks == take


def test_released_after_the_end(trial, server, driver):
    server.on("/v1/x", reply(b"whole"))

    async def scenario():
        async with driver.client() as client:
            async with client.session.get(f"{server.url}/v1/x") as response:
                body = await response.content.read()
            return body, response.closed, await failing(driver, response.read())

    [step] = trial.check(scenario)
    assert step.complete


@pytest.mark.parametrize("debug", [False, True])
def test_dropped(trial, server, driver, debug):
    """Nobody holds it any more: the connection is free, and what was said about that is what is said."""
    server.on("/v1/x", chunked(LINES, pause=0.01))

    async def scenario():
        asyncio.get_running_loop().set_debug(debug)
        noise = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context["message"]))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            async with driver.client() as client:
                response = await client.session.get(f"{server.url}/v1/x")
                first = await response.content.readline()
                del response
                gc.collect()
                await asyncio.sleep(0.2)
            gc.collect()
        return first, noise, sorted(str(one.message).partition(" ")[0] for one in told)

    trial.check(scenario)
    assert trial.endings() == [Ending.CLOSED]


def test_dropped_while_it_was_read(trial, server, driver):
    """Cancelled in a read, and never released: a replay waits there for the cancellation to come again."""
    server.on("/v1/x", chunked(LINES, end=[HANG]))

    async def scenario():
        seen = []

        async def work(session):
            response = await session.get(f"{server.url}/v1/x")
            await driver.gather(response.content, seen)

        async with driver.client() as client:
            task = asyncio.create_task(work(client.session))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            del task
            gc.collect()
        gc.collect()
        await asyncio.sleep(0)
        return seen

    trial.check(scenario)
    assert trial.endings() == [Ending.CANCELLED]


def test_a_time_limit_of_the_program_for_each_read(trial, server, driver):
    """A read that is given up is not the end of the body: the next one goes on."""
    server.on("/v1/x", SLOWLY)
    waits = []

    async def scenario():
        waits.append(0)
        async with driver.client() as client, client.session.get(f"{server.url}/v1/x") as response:
            got = []
            while not response.content.at_eof():
                try:
                    got.append(await asyncio.wait_for(response.content.readany(), 0.05))
                except TimeoutError:
                    waits[-1] += 1
            return b"".join(got)

    [step] = trial.check(scenario)
    assert step.complete
    assert trial.recording().body == b"".join(LINES[:2]) + b"more"
    assert waits[:2] > [0, 0]
    assert waits[2] == 0
    trial.options["speed"] = 1.0
    assert trial.replay(scenario) == trial.recording().body
    assert waits[3] > 0


def test_closed_by_another_task(trial, server, driver):
    """A read that is waited for while the response is closed."""
    server.on("/v1/x", chunked(LINES, end=[HANG]))

    async def scenario():
        async with driver.client() as client:
            response = await client.session.get(f"{server.url}/v1/x")
            assert await response.content.readexactly(28) == b"".join(LINES)
            reading = asyncio.create_task(failing(driver, response.content.readany()))
            await asyncio.sleep(0.1)
            response.close()
            return await reading

    plain, _ = trial.plain(scenario)
    assert plain["type"] is aiohttp.ClientConnectionError
    trial.check(scenario)
    assert trial.endings() == [Ending.CANCELLED]


def test_more_than_was_recorded(trial, server, driver):
    server.on("/v1/x", chunked(LINES, pause=0.01))

    def asking(read):
        async def scenario():
            async with driver.client() as client, client.session.get(f"{server.url}/v1/x") as response:
                await response.content.readline()
                await read(response)

        return scenario

    trial.record(asking(lambda _: asyncio.sleep(0)))
    for read in (
        lambda r: r.read(),
        lambda r: r.content.readany(),
        lambda r: r.content.readchunk(),
        lambda r: r.content.readline(),
        lambda r: r.content.readexactly(3),
        lambda r: r.content.wait_eof(),
    ):
        with pytest.raises(RewindReplayDivergenceError, match="more of its answer"):
            trial.replay(asking(read), clean=False)


def test_the_last_read_is_cancelled_while_the_store_is_busy(trial, server, driver):
    """What has been read is the program's: no wait of ours may lose it."""
    server.on("/v1/x", [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 0.01, b"one"])

    async def scenario():
        async with driver.client() as client:
            response = await driver.send(client, "GET", f"{server.url}/v1/x", stream=True)
            pieces = []
            while not response.content.at_eof():
                with contextlib.suppress(TimeoutError):
                    pieces.append(await asyncio.wait_for(response.content.read(1000), 0.02))
            return b"".join(pieces)

    trial.record(scenario)  # there is a store
    with (
        sqlite3.connect(trial.store, isolation_level=None) as other,
        trial.agent("record", "a" * 32) as agent,
    ):
        other.execute("BEGIN IMMEDIATE")
        assert driver.run(scenario()) == b"one"
        other.execute("COMMIT")
        agent.close()


def test_a_session_that_is_closed_while_it_streams(trial, server, driver):
    server.on("/v1/x", chunked([b"one", b"two"], end=[HANG]))

    async def scenario():
        async with driver.client() as client:
            response = await driver.send(client, "GET", f"{server.url}/v1/x", stream=True)
            pieces = [await response.content.readexactly(6)]
            await client.session.close()
            with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever it is, it is to be the same
                await response.content.read()
            return pieces, type(caught.value), str(caught.value)

    trial.check(scenario)
