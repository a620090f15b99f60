"""Transports of every kind: mounted, the program's own, in memory, retrying, with clients inside."""

from __future__ import annotations

import asyncio
import gzip
import json

import anyio
import anyio.lowlevel
import pytest
from drivers import HTTPX_ASYNC, HTTPX_DRIVERS, HTTPX_SYNC
from own_transports import Inside, OwnError, Reading, Retrying, Wrapping
from servers import RESET, Server, answer, chunked, reply

from rewind_auto.core.model import Ending


@pytest.fixture(params=HTTPX_DRIVERS, ids=repr)
def driver(request):
    return request.param


def posting(driver, url, transport, manners=("buffered", "raw", "lines"), **client):
    async def scenario():
        options = {name: make() for name, make in client.items()}
        async with driver.client(transport=transport(), **options) as own:
            return [await driver.exchange(own, "POST", url, manner, content=b"{}") for manner in manners]

    return scenario


def test_of_a_class_of_its_own(trial, server, driver):
    server.on("/v1/x", chunked([b"one\n", b"two\n"]))
    steps = trial.check(posting(driver, f"{server.url}/v1/x", lambda: Wrapping(driver)))
    assert len(steps) == 3
    assert all(step.complete for step in steps)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_that_reads_the_answer_itself(trial, server, driver, coding):
    """The response comes with its body read and decoded, and its headers as they were."""
    body = b"one\ntwo\n" if coding == "identity" else gzip.compress(b"one\ntwo\n")
    server.on("/v1/x", reply(body, headers=[("Content-Encoding", coding)]))
    scenario = posting(driver, f"{server.url}/v1/x", lambda: Reading(driver))

    async def without_count():
        seen = await scenario()
        for got in seen:
            got.response.pop("downloaded")  # the library's own tally, which only a connection moves
        return seen

    trial.check(without_count)
    assert trial.recording().body == b"one\ntwo\n"


def test_a_subclass_of_the_librarys(trial, server, driver):
    server.on("/v1/x", chunked([b"one\n", b"two\n"]))

    calls = []

    class Subclass(driver.HTTPTransport):
        def handle_request(self, request):
            calls.append(request.method)
            return super().handle_request(request)

        async def handle_async_request(self, request):
            calls.append(request.method)
            return await super().handle_async_request(request)

    trial.check(posting(driver, f"{server.url}/v1/x", Subclass))
    assert calls == ["POST"] * 6  # three plain, three recorded, none on replay


def test_that_retries(trial, server, driver):
    """What happens below it is its own business: one step, with the answer that the program got."""
    server.on("/v1/x", answer(1, 503), answer(2, 502), answer(3))
    [step] = trial.check(posting(driver, f"{server.url}/v1/x", lambda: Retrying(driver), ["buffered"]))
    assert step.status == 200


def test_that_retries_an_upload(trial, server, driver):
    server.on("/v1/x", answer(1, 503), answer(2))

    async def scenario():
        async with driver.client(transport=Retrying(driver)) as client:
            files = {"f": b"data"}
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", files=files, headers=headers)

    trial.check(scenario)
    assert trial.recording().request.body.count(b"\r\ndata\r\n") == 1


def test_connection_retries_of_the_library(trial, driver):
    with Server() as gone:
        pass
    transport = lambda: driver.HTTPTransport(retries=1)  # noqa: E731
    [step] = trial.check(posting(driver, f"{gone.url}/v1/x", transport, ["buffered"]))
    assert "ConnectError" in step.error


def test_with_a_client_inside(trial, server, driver):
    """One call of the program is one step, however many clients it goes through."""
    server.on("/v1/x", chunked([b"one\n", b"two\n"]))
    transport = lambda: Inside(driver)  # noqa: E731
    assert len(trial.check(posting(driver, f"{server.url}/v1/x", transport))) == 3


@pytest.mark.parametrize("driver", HTTPX_SYNC + HTTPX_ASYNC, ids=repr)
def test_a_call_after_one_with_a_client_inside(trial, server, driver):
    """What is inside a call ends with it, also when it fails."""
    server.on("/v1/x", [RESET], answer(1))
    server.on("/v1/y", answer(2))

    async def scenario():
        async with driver.client(transport=Inside(driver)) as own, driver.client() as plain:
            return [
                await driver.exchange(client, "POST", f"{server.url}{path}", content=b"{}")
                for client, path in [(own, "/v1/x"), (plain, "/v1/y"), (own, "/v1/x"), (plain, "/v1/y")]
            ]

    assert [step.url[-1] for step in trial.check(scenario)] == list("xyxy")


@pytest.mark.parametrize("content", ["json", "bytes", "pieces", "nothing", "error"])
def test_in_memory(trial, driver, content):
    """MockTransport hands over answers that are read already; on replay it is not asked."""
    asked = []

    def pieces():
        yield b"one\n"
        yield b"two\n"

    async def apieces():
        for piece in pieces():
            yield piece

    def handler(request):
        asked.append(request.read() if not driver.asynchronous else request.content)
        made = {
            "json": lambda: {"json": {"a": 1}},
            "bytes": lambda: {"content": b"x\n"},
            "pieces": lambda: {"content": apieces() if driver.asynchronous else pieces()},
            "nothing": dict,
        }
        if content == "error":
            raise driver.module.ReadError("made up", request=request)
        return driver.module.Response(201, headers=[("X-A", "1"), ("X-A", "2")], **made[content]())

    transport = lambda: driver.module.MockTransport(handler)  # noqa: E731
    steps = trial.check(posting(driver, "http://127.0.0.1/v1/x", transport))
    assert len(asked) == 6
    assert trial.endings() == [Ending.FAULT if content == "error" else Ending.EOF] * len(steps)


@pytest.mark.parametrize("driver", HTTPX_ASYNC, ids=repr)
def test_asgi(trial, driver):
    calls = []

    async def app(scope, receive, send):
        calls.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
        for piece in (b"one\n", b"two\n"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await anyio.lowlevel.checkpoint()
        await send({"type": "http.response.body", "body": b""})

    transport = lambda: driver.module.ASGITransport(app)  # noqa: E731
    trial.check(posting(driver, "http://127.0.0.1/v1/x", transport))
    assert calls == [b"{}"] * 6


@pytest.mark.parametrize("driver", HTTPX_SYNC, ids=repr)
def test_wsgi(trial, driver):
    calls = []

    def app(environ, start_response):
        calls.append(environ["wsgi.input"].read())
        start_response("200 OK", [("X-A", "1")])
        return [b"one\n", b"two\n"]

    transport = lambda: driver.module.WSGITransport(app)  # noqa: E731
    trial.check(posting(driver, "http://127.0.0.1/v1/x", transport))
    assert calls == [b"{}"] * 6


def test_an_answer_decoded_on_the_way(trial, server, driver):
    """A transport that unpacks the body and leaves the headers as they were cannot be told from a lie."""
    server.on("/v1/x", answer({"a": "long " * 50}))

    class Unpacking(Reading):
        def _made(self, response):
            return driver.module.Response(
                200, headers={"Content-Type": "application/json", "X-Was": "read"}, content=response.content
            )

        def handle_request(self, request):
            return self._made(super().handle_request(request))

        async def handle_async_request(self, request):
            return self._made(await super().handle_async_request(request))

    trial.check(posting(driver, f"{server.url}/v1/x", lambda: Unpacking(driver)))
    assert json.loads(trial.recording().body)["a"].startswith("long")


@pytest.mark.parametrize("driver", HTTPX_ASYNC, ids=repr)
def test_a_task_that_it_starts(trial, server, driver):
    """While the call is made, the task's calls are part of it; after that they are its own."""
    server.on("/v1/x", lambda seen: answer(seen.body.decode()))

    class Working(Wrapping):
        task = None

        async def handle_async_request(self, request):
            begun, self.go_on = asyncio.Event(), asyncio.Event()
            self.task = asyncio.create_task(self.work(begun))
            await begun.wait()
            return await super().handle_async_request(request)

        async def work(self, begun):
            async with driver.client() as client:
                await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"part")
                begun.set()
                await self.go_on.wait()
                await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"own")

    async def scenario():
        transport = Working(driver)
        async with driver.client(transport=transport) as client:
            await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"call")
            transport.go_on.set()
            await transport.task

    trial.record(scenario)
    assert [trial.recording(step.step).request.body for step in trial.steps()] == [b"call", b"own"]
    assert len(server.seen) == 3


@pytest.mark.parametrize("name", ["OwnError", "ConnectError"])
def test_an_error_of_its_own(trial, driver, name):
    """Live it is the program's class; a recording names it, and gives no class that data could choose."""
    kind = type(name, (OwnError,), {})

    def handler(request):
        raise kind("out of luck")

    scenario = posting(
        driver, "http://127.0.0.1/v1/x", lambda: driver.module.MockTransport(handler), ["buffered"]
    )
    plain, _ = trial.plain(scenario)
    assert trial.record(scenario)[0] == plain
    [replayed] = trial.replay(scenario)
    assert replayed.error["type"] is driver.module.TransportError
    assert replayed.error["text"] == f"{name}: out of luck"


@pytest.mark.parametrize("pattern", ["all://", "http://", "all://127.0.0.1"])
def test_mounted(trial, server, driver, pattern):
    server.on("/v1/x", chunked([b"one\n"]))

    calls = []

    async def scenario():
        transport = Wrapping(driver)
        async with driver.client(mounts={pattern: transport}) as client:
            got = await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}")
        calls.append(transport.calls)
        return got

    trial.check(scenario)
    assert calls == [1, 1, 0]


def test_closed_with_the_client(trial, server, driver):
    """The program's transport is closed once, by its client, and ours hides nothing of it."""
    server.on("/v1/x", answer(1))
    closed = []

    class Closing(Wrapping):
        def close(self):
            closed.append(1)
            super().close()

        async def aclose(self):
            closed.append(1)
            await super().aclose()

        __exit__ = None
        __aexit__ = None

    async def scenario():
        transport = Closing(driver)
        client = driver.Client(transport=transport, trust_env=False)
        got = await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}")
        await driver.call(driver.method(client, "close"))
        return got, client._transport is transport, len(closed)

    plain, _ = trial.plain(scenario)
    assert plain[2] == 1
    recorded, _ = trial.record(scenario)
    assert recorded == (plain[0], True, 2)
    assert trial.replay(scenario) == (plain[0], True, 3)
