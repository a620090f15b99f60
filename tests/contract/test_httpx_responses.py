"""What httpx makes of an answer, and what can be done with it."""

from __future__ import annotations

import httpx2
import pytest
from drivers import HTTPX_ASYNC, HTTPX_DRIVERS, HTTPX_SYNC
from servers import answer, chunked, reply, sse


@pytest.fixture(params=HTTPX_DRIVERS, ids=repr)
def driver(request):
    return request.param


HTTPX2 = [driver for driver in (*HTTPX_SYNC, *HTTPX_ASYNC) if driver.module is httpx2]


@pytest.mark.parametrize("status", [200, 301, 404, 429, 503])
def test_raise_for_status(trial, server, driver, status):
    server.on("/v1/x", reply(b"text", status, [("Location", "/v1/y")], reason="Said So"))

    async def scenario():
        async with driver.client() as client:
            response = await driver.call(client.get, f"{server.url}/v1/x")
            try:
                return response.raise_for_status() is response
            except driver.module.HTTPStatusError as error:
                return str(error), error.response is response, error.request is response.request

    trial.check(scenario)


def test_what_a_response_is_good_for(trial, server, driver):
    """Read once or twice, by hand or not: no different from one that came from a server."""
    server.on("/v1/x", chunked([b"a\n", b"b\n"], [("Content-Type", "text/plain; charset=latin-1")]))

    async def scenario():
        seen = []
        async with driver.client(default_encoding="utf-8") as client:
            request = client.build_request("GET", f"{server.url}/v1/x")
            response = await driver.call(client.send, request, stream=True)
            seen += [driver.look(response), await driver.read(response), await driver.read(response)]
            pieces = []
            await driver.gather(driver.pieces(response, "bytes"), pieces)
            seen += [pieces, driver.look(response), response.request is request]
            for again in ("raw", "text"):
                try:
                    await driver.gather(driver.pieces(response, again), pieces)
                except driver.module.StreamError as error:
                    seen.append(repr(error))
            await driver.call(driver.method(response, "close"))

            response = await driver.call(client.send, request, stream=True)
            await driver.call(driver.method(response, "close"))
            try:
                await driver.read(response)
            except driver.module.StreamError as error:
                seen.append(repr(error))
            seen += [driver.look(response)]
        return seen

    trial.check(scenario)


@pytest.mark.parametrize("driver", HTTPX_SYNC, ids=repr)
def test_without_a_client_of_ones_own(trial, server, driver):
    server.on("/v1/x", answer({"a": 1}))

    async def scenario():
        url = f"{server.url}/v1/x"
        with driver.module.stream("GET", url, trust_env=False) as response:
            lines = list(response.iter_lines())
        return driver.module.get(url, trust_env=False).json(), lines

    assert len(trial.check(scenario)) == 2


def test_network_details_are_there_while_recording(trial, server, driver):
    """What a program may look up about its connection."""
    server.on("/v1/x", answer(1))

    async def scenario():
        async with driver.client() as client:
            response = await driver.call(client.get, f"{server.url}/v1/x")
            address = response.extensions["network_stream"].get_extra_info("server_addr")
            return address, sorted(response.extensions)

    assert trial.record(scenario)[0] == trial.plain(scenario)[0]


@pytest.mark.parametrize("driver", HTTPX2, ids=repr)
def test_events_by_the_client_itself(trial, server, driver):
    events = ["id: 1\nevent: a\ndata: one\ndata: two\n\n", ": comment\n\n", 'retry: 5\ndata: {"x":1}\n\n']
    server.on("/v1/x", chunked([event.encode() for event in events]))

    async def scenario():
        async with driver.client() as client, driver.within(client.sse(f"{server.url}/v1/x")) as source:
            seen = []
            await driver.gather(source, seen)
            return [(event.id, event.event, event.data, event.retry) for event in seen]

    plain, _ = trial.plain(scenario)
    assert len(plain) == 2
    [step] = trial.check(scenario)
    assert step.complete


@pytest.mark.parametrize("driver", HTTPX2, ids=repr)
def test_events_from_something_else(trial, server, driver):
    server.on("/v1/x", answer({"error": "no stream here"}, 400))

    async def scenario():
        async with driver.client() as client:
            try:
                async with driver.within(client.sse(f"{server.url}/v1/x")) as source:
                    await driver.gather(source, [])
            except driver.module.HTTPError as error:
                return type(error), str(error)

    assert trial.plain(scenario)[0]
    trial.check(scenario)


def test_done_and_still_more(trial, server, driver):
    """Bytes after ``[DONE]`` that the program does read."""
    server.on("/v1/x", sse("1", end=[b"4\r\n: x\n\r\n", b"0\r\n\r\n"]))

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", "lines")

    [step] = trial.check(scenario)
    assert step.chunks == 3
