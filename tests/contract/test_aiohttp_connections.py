"""aiohttp: what a response knows, proxies, and other event loops."""

from __future__ import annotations

import warnings

import aiohttp
import pytest
from drivers import DRIVERS
from proxies import Proxy
from servers import Server, answer, chunked, reply

from rewind_auto.core.errors import RewindReplayDivergenceError


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


def test_what_a_response_knows(trial, server, driver):
    server.on(
        "/v1/x", answer({"a": 1}, Link='</next>; rel="next"', Content_Disposition='attachment; filename="a"')
    )

    async def scenario():
        async with aiohttp.ClientSession() as session:
            response = await session.get(f"{server.url}/v1/x#part")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                seen = [response.closed, response.connection, str(response.url_obj), str(response.real_url)]
            await response.read()
            seen += [response.closed, response.connection, response.method, response.host, response.charset]
            seen += [response.get_encoding(), response.content_disposition.filename, str(response.links)]
            return seen, driver.look(response)

    trial.check(scenario)


def test_its_connection(trial, server, driver):
    server.on("/v1/x", [*reply(b"half", length=8), 0.1, b"half"])

    async def scenario():
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/v1/x") as response:
            await response.content.readexactly(4)
            connection = response.connection
            seen = [connection.closed, connection.transport.is_closing(), connection.protocol is not None]
            called = []
            connection.add_callback(lambda: called.append(1))
            await response.read()
            return seen, called, connection.closed, connection.transport, response.closed

    trial.check(scenario)


# --- proxies


@pytest.fixture
def proxy(server):
    with Proxy(server) as running:
        yield running


@pytest.mark.parametrize("way", ["request", "session", "environment"])
def test_proxies(trial, server, driver, proxy, monkeypatch, way):
    """The host that is meant is who is asked; a replay needs no proxy."""
    server.on("/v1/x", answer(1))
    trial.options["llm_hosts"] = ("llm.example",)
    trial.served.append(proxy)
    if way == "environment":
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
    session = {"session": {"proxy": proxy.url}, "environment": {"trust_env": True}}.get(way, {})
    request = {"proxy": proxy.url, "proxy_headers": {"X-Proxy": "p"}} if way == "request" else {}

    async def scenario():
        async with (
            aiohttp.ClientSession(**session) as opened,
            opened.post("http://llm.example/v1/x", data=b"{}", **request) as response,
        ):
            return await response.read(), driver.look(response)

    plain, _ = trial.plain(scenario)
    assert plain[0] == b"1"
    [step] = trial.check(scenario)
    assert step.url == "http://llm.example/v1/x"
    assert b"X-Proxy" not in [name for name, _ in trial.recording().request.headers]


@pytest.mark.parametrize("refuses", ["connection", "tunnel"])
def test_proxies_that_refuse(trial, driver, server, refuses):
    trial.options["llm_hosts"] = ("llm.example",)
    server.on("", reply(b"no", 407, reason="Authenticate"))
    if refuses == "connection":
        with Server() as gone:
            url = gone.url
    else:
        url = server.url

    async def scenario():
        async with aiohttp.ClientSession() as session:
            try:
                await session.get("https://llm.example/v1/x", proxy=url)
            except aiohttp.ClientError as error:
                return driver.failed(error) | {"request": None}

    trial.check(scenario)


def test_a_strict_replay_without_an_answer(trial, server, driver):
    """What the library does on the way out is done: the session is usable, and nothing has been sent."""
    server.on("/v1/x", answer(1))

    async def ordinary():
        async with aiohttp.ClientSession() as session:
            return await (await session.post(f"{server.url}/v1/x")).read()

    trial.record(ordinary)

    async def scenario():
        async with aiohttp.ClientSession() as session:
            with pytest.raises(RewindReplayDivergenceError):
                await session.get(f"{server.url}/v1/other")
            return await (await session.post(f"{server.url}/v1/x")).read()

    assert trial.replay(scenario, clean=False) == b"1"


def test_an_event_loop_in_c(trial, server, driver):
    uvloop = pytest.importorskip("uvloop")
    # The end comes with the last chunk: aiohttp gives one more, empty, chunk where it happens to come later.
    last = b"3\r\ntwo\r\n0\r\n\r\n"
    server.on("/v1/x", chunked([b"one"], end=[0.01, last]))

    async def scenario():
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{server.url}/v1/x", data=b"{}") as response,
        ):
            return [chunk async for chunk in response.content.iter_chunks()], driver.look(response)

    trial.driver = type("Driver", (type(driver),), {"run": lambda _, main: uvloop.run(main)})()
    trial.check(scenario)
    trial.options["speed"] = 1.0
    trial.replay(scenario)
