"""aiohttp: its own time-outs, and connections that do not come about."""

from __future__ import annotations

import asyncio
import socket
import time

import aiohttp
import pytest
from drivers import DRIVERS
from servers import HANG, Server, chunked

from rewind_auto.core.model import Ending

LINES = [f"line {number}\n".encode() for number in range(4)]


async def failing(driver, reading):
    try:
        return await reading
    except Exception as error:  # noqa: BLE001
        return driver.failed(error)


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


BODY, HEAD = chunked(LINES, end=[HANG]), [HANG]
TIMEOUTS = {
    "total, head": (HEAD, {"total": 0.3}),
    "total, body": (BODY, {"total": 0.3}),
    "sock_read, head": (HEAD, {"sock_read": 0.3}),
    "sock_read, body": (BODY, {"sock_read": 0.3}),
    "total and sock_read": (BODY, {"total": 5, "sock_read": 0.3}),
}


@pytest.mark.parametrize("where", ["session", "request"])
@pytest.mark.parametrize("name", TIMEOUTS)
def test_timeouts(trial, server, driver, name, where):
    """As they were, and at once."""
    acts, limits = TIMEOUTS[name]
    server.on("/v1/x", acts)
    took = []

    async def scenario():
        limit = aiohttp.ClientTimeout(**{"total": None, **limits})
        started = time.perf_counter()
        seen = []
        options = {"timeout": limit} if where == "request" else {}
        session = aiohttp.ClientSession(timeout=limit if where == "session" else aiohttp.ClientTimeout())
        async with session:
            try:
                async with session.post(f"{server.url}/v1/x", data=b"{}", **options) as response:
                    await driver.gather(response.content, seen)
            except Exception as error:  # noqa: BLE001
                seen.append(driver.failed(error))
        took.append(time.perf_counter() - started)
        return seen

    plain, _ = trial.plain(scenario)
    assert issubclass(plain[-1]["type"], TimeoutError)
    [step] = trial.check(scenario)
    assert trial.endings() == [Ending.FAULT]
    assert step.error.partition(":")[0] == plain[-1]["type"].__name__
    assert took[-1] < 0.25
    trial.options["speed"] = 1.0
    assert trial.replay(scenario) == plain
    assert took[-1] > 0.25 or "head" in name


@pytest.mark.parametrize("limit", ["total", "connect", "sock_connect"])
def test_timeouts_of_connecting(trial, driver, store_path, limit):
    """Nobody takes the connection: its queue is full."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(address)

        async def scenario():
            limits = {"total": None, limit: 0.3}
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(**limits)) as session:
                return await failing(driver, session.get(f"http://127.0.0.1:{address[1]}/v1/x"))

        plain, _ = trial.plain(scenario)
        assert issubclass(plain["type"], TimeoutError), plain
        assert trial.record(scenario)[0] == plain
        for one in filling:
            one.close()
    assert trial.endings() == [Ending.FAULT]
    started = time.perf_counter()
    assert trial.replay(scenario) == plain
    assert time.perf_counter() - started < 0.25


def test_a_program_that_takes_its_time(trial, server, driver):
    """The library's total limit is for the network: what has come has come."""
    server.on("/v1/x", chunked(LINES))

    async def scenario():
        limit = aiohttp.ClientTimeout(total=0.3)
        seen = []
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(f"{server.url}/v1/x") as response,
        ):
            await asyncio.sleep(0.05)
            async for line in response.content:
                seen.append(line)
                await asyncio.sleep(0.1)
        return seen

    assert trial.plain(scenario)[0] == LINES
    trial.check(scenario)


@pytest.mark.parametrize("speed", [1.0, 3.0])
def test_at_a_speed_with_a_total_limit(trial, server, driver, speed):
    server.on("/v1/x", [0.05, *chunked(LINES, pause=0.05)])

    async def scenario():
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            session.get(f"{server.url}/v1/x") as response,
        ):
            return [line async for line in response.content]

    trial.check(scenario)
    trial.options["speed"] = speed
    started = time.perf_counter()
    assert trial.replay(scenario) == LINES
    assert 0.19 / speed <= time.perf_counter() - started < 1.5


def test_a_connection_that_nobody_takes(trial, driver, server):
    with Server() as gone:
        pass

    async def scenario():
        async with driver.client() as client:
            got = await driver.exchange(client, "GET", f"{gone.url}/v1/x")
            try:
                await client.session.get(f"{gone.url}/v1/x")
            except aiohttp.ClientConnectorError as error:
                where = error.host, error.port, error.ssl
                return got, where, repr(error.os_error), error.strerror, error.errno

    trial.check(scenario)


def test_by_a_socket_in_the_file_system(trial, driver, server, tmp_path):
    """An error of its own, made of the path."""

    async def scenario():
        async with driver.client(connector=aiohttp.UnixConnector(str(tmp_path / "no"))) as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/x")

    plain, _ = trial.plain(scenario)
    assert plain.error["type"] is aiohttp.client_exceptions.UnixClientConnectorError
    trial.check(scenario)
