"""aiohttp: redirects and trace configs, above the seam."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import hdrs
from drivers import DRIVERS
from servers import CUT, Server, answer, chunked, reply

URL = "/v1/x"


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("allowed", [True, False])
def test_redirects(trial, server, driver, status, allowed):
    server.on(URL, reply(b"go", status, [("Location", "/v1/y?q=1#f")], reason="Go"))
    server.on("/v1/y", chunked([b"there"]))

    async def scenario():
        async with aiohttp.ClientSession() as session:
            url = server.url + URL
            async with session.post(url, data=b"{}", allow_redirects=allowed) as response:
                return await response.read(), driver.look(response)

    steps = trial.check(scenario)
    assert [step.status for step in steps] == ([status, 200] if allowed else [status])


@pytest.mark.parametrize("target", [None, "http://[", "ftp://a/b", URL, "/v1/x?longer"])
def test_redirects_to_nowhere(trial, server, driver, target):
    server.on(URL, reply(b"go", 302, [("Location", target)] if target else [], reason="Go"))

    async def scenario():
        async with aiohttp.ClientSession() as session:
            try:
                async with session.post(server.url + URL, max_redirects=3) as response:
                    return await response.read(), response.status, len(response.history)
            except aiohttp.ClientError as error:
                return driver.failed(error)

    plain, _ = trial.plain(scenario)
    assert (target is None) == isinstance(plain, tuple)
    trial.check(scenario)


def test_from_a_foreign_host_and_back(trial, driver, server):
    """Each hop is decided about on its own: the LLM's are steps, the others go out, in a replay too."""
    trial.options["llm_hosts"] = (f"127.0.0.1:{server.port}",)
    with Server() as foreign:
        foreign.on("/start", reply(b"", 302, [("Location", f"{server.url}{URL}")]))
        foreign.on("/end", answer("end"))
        server.on(URL, reply(b"", 302, [("Location", f"{foreign.url}/end")]))

        async def scenario():
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{foreign.url}/start", headers={"Authorization": "Bearer x"}) as response,
            ):
                return await response.json(), [hop.status for hop in response.history], str(response.url)

        plain, _ = trial.plain(scenario)
        assert trial.record(scenario)[0] == plain == ("end", [302, 302], f"{foreign.url}/end")
        assert [step.url for step in trial.steps()] == [server.url + URL]
        server.stop()
        with trial.agent("replay", "b" * 32, source=trial.session):
            assert driver.run(scenario()) == plain
        assert [seen.path for seen in foreign.seen] == ["/start", "/end"] * 3


# --- trace configs

SIGNALS = (
    *("request_start", "request_end", "request_exception", "request_redirect"),
    *("request_headers_sent", "request_chunk_sent", "response_chunk_received"),
)


def tracing(seen):
    """A trace config that keeps what it is told; not how connections come about: a replay has none."""
    config = aiohttp.TraceConfig(trace_config_ctx_factory=lambda trace_request_ctx: trace_request_ctx)

    def telling(name):
        async def told(session, context, params):
            facts = {key: getattr(params, key, None) for key in ("method", "url", "chunk", "exception")}
            facts["exception"] = repr(facts["exception"])
            facts["status"] = params.response.status if hasattr(params, "response") else None
            facts["headers"] = sorted(params.headers) if hasattr(params, "headers") else None
            seen.append((name, context, facts))

        return told

    for name in SIGNALS:
        getattr(config, f"on_{name}").append(telling(name))
    return config


@pytest.mark.parametrize("kind", ["none", "bytes", "generator", "redirect", "expect"])
def test_traces(trial, server, driver, kind):
    server.on(URL, reply(b"", 307, [("Location", "/v1/y")]) if kind == "redirect" else answer(1))
    server.on("/v1/y", answer(2))

    async def parts():
        yield b"one"
        yield b"two"

    async def scenario():
        seen = []
        data = {"none": lambda: None, "generator": parts}.get(kind, lambda: b"body")()
        async with aiohttp.ClientSession(trace_configs=[tracing(seen)]) as session:
            options = {"trace_request_ctx": "mine", "expect100": kind == "expect"}
            response = await session.request(hdrs.METH_POST, server.url + URL, data=data, **options)
            seen.append(await response.read())
        return seen

    if kind == "expect":
        server.converse = lambda connection: going_on(server, connection)
    plain, _ = trial.plain(scenario)
    told = [event[0] for event in plain[:-1]]
    assert told[0] == "request_start"
    assert "request_headers_sent" in told
    assert ("request_chunk_sent" in told) == (kind != "none")
    trial.check(scenario)


def going_on(server, connection):
    for awaited, act in ((b"\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"body", answer(1)[0])):
        data = b""
        while not data.endswith(awaited):
            data += connection.recv(65536)
        server.perform(act, connection)


def test_traces_of_an_error(trial, server, driver):
    """What is told of the request itself differs: nothing is sent in a replay of what had no answer."""
    server.on(URL, [CUT])

    async def scenario():
        seen = []
        async with aiohttp.ClientSession(trace_configs=[tracing(seen)]) as session:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await session.post(server.url + URL)
        return [event for event in seen if "sent" not in event[0]]

    assert [event[0] for event in trial.plain(scenario)[0]] == ["request_start", "request_exception"]
    trial.check(scenario)


def test_a_trace_that_waits(trial, server, driver):
    server.on(URL, answer(1))

    async def slow(session, context, params):
        await asyncio.sleep(0.02)

    async def scenario():
        config = aiohttp.TraceConfig()
        for name in SIGNALS:
            getattr(config, f"on_{name}").append(slow)
        async with aiohttp.ClientSession(trace_configs=[config]) as session:
            return await (await session.post(server.url + URL, data=b"body")).read()

    trial.check(scenario)
