"""Clients over clients, loops around them, threads below tasks: a step for each exchange of the program's."""

from __future__ import annotations

import asyncio
from contextlib import closing, contextmanager
from functools import partial

import aiohttp
import httpx
import httpx2
import nesting
import pytest
import requests
from calling import WAYS, acall, call, library
from requests.adapters import HTTPAdapter
from servers import answer, chunked, reply
from urllib3 import Retry

import rewind_auto
from rewind_auto.store import open_store

MODULES = {"httpx": httpx, "httpx2": httpx2, "requests": requests, "aiohttp": aiohttp}
BOTH = pytest.mark.parametrize("module", [httpx, httpx2], ids=lambda module: module.__name__)


class Runs:
    """One scenario, plain, recorded and replayed with nobody there to answer."""

    def __init__(self, server, store_path, monkeypatch):
        self.server = server
        self.store = store_path
        self.monkeypatch = monkeypatch

    @contextmanager
    def agent(self, session, **options):
        self.monkeypatch.setenv("REWIND_SESSION_ID", session)
        rewind_auto.install(hosts=["127.0.0.1"], **options)
        try:
            yield
        finally:
            rewind_auto.uninstall()

    def check(self, scenario):
        """The library of each step."""
        plain = scenario(self.server.url)
        seen = len(self.server.seen)
        self.server.forget()
        with self.agent("a" * 32):
            assert scenario(self.server.url) == plain
        assert len(self.server.seen) == seen
        self.server.stop()
        with self.agent("b" * 32, mode="replay", source="a" * 32):
            assert scenario(self.server.url) == plain
        recorded, replayed = self.steps("a" * 32), self.steps("b" * 32)
        assert replayed == recorded
        return recorded

    def steps(self, session):
        with closing(open_store(str(self.store))) as store:
            return [step.library for step in store.steps(session)]


@pytest.fixture
def runs(server, store_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    return Runs(server, store_path, monkeypatch)


@BOTH
@pytest.mark.parametrize(
    ("client", "transport"),
    [
        (nesting.async_client, nesting.over_aiohttp),
        (nesting.async_client, nesting.over_a_thread),
        (nesting.sync_client, nesting.over_requests),
    ],
    ids=["aiohttp", "a thread", "requests"],
)
def test_httpx_over_another_library(runs, server, module, client, transport):
    server.on("", chunked([b"ans", b"wer"]))
    assert runs.check(partial(client, module, transport)) == [module.__name__]


@pytest.mark.xfail(reason="run_in_executor takes no context along, and it is what tells us")
def test_a_thread_without_context(runs):
    assert runs.check(partial(nesting.async_client, httpx2, nesting.over_an_executor)) == ["httpx2"]


@BOTH
def test_requests_over_httpx(runs, module):
    assert runs.check(partial(nesting.session, nesting.by(module))) == ["requests"]


@BOTH
def test_a_transport_that_tries_again(runs, server, module):
    """The program made one call."""
    server.on("", answer("busy", 500), answer("busy", 500), reply(b"answer"))
    assert runs.check(partial(nesting.sync_client, module, nesting.retrying)) == [module.__name__]


def test_urllib3_that_tries_again(runs, server):
    server.on("", answer("busy", 500), answer("busy", 500), reply(b"answer"))
    adapter = HTTPAdapter(max_retries=Retry(5, status_forcelist=[500], allowed_methods=None))
    assert runs.check(partial(nesting.session, adapter)) == ["requests"]


@pytest.mark.parametrize("way", WAYS)
def test_a_loop_that_tries_again(runs, server, way):
    """As tenacity and the SDKs do: every attempt is a call."""
    server.on("", answer("busy", 500), answer("busy", 500), reply(b"answer"))

    def scenario(url):
        got = []
        while not got or got[-1] != "answer":
            got.append(call(MODULES[library(way)], way, url))
        return got

    assert runs.check(scenario) == [library(way)] * 3


@pytest.mark.parametrize("way", WAYS)
def test_threads_below_tasks(runs, server, way):
    """asyncio.to_thread under gather, for what cannot wait itself."""
    server.on("", lambda seen: reply(b"re: " + seen.body))

    def scenario(url):
        async def main():
            bodies = [f"question {number}" for number in range(5)]
            return await asyncio.gather(*(acall(MODULES[library(way)], way, url, body) for body in bodies))

        return asyncio.run(main())

    assert runs.check(scenario) == [library(way)] * 5


@BOTH
@pytest.mark.parametrize("place", ["event_hooks", "auth"])
def test_a_call_on_the_way_to_a_call(runs, server, module, place):
    """Above the transport these are two exchanges, and both count."""
    server.on("/token", reply(b"token"))

    def token(request):
        return requests.post(f"http://{request.url.host}:{request.url.port}/token", data=b"secret").text

    class Auth(module.Auth):
        def auth_flow(self, request):
            request.headers["X-Token"] = token(request)
            yield request

    def scenario(url):
        options = {"event_hooks": {"request": [token]}} if place == "event_hooks" else {"auth": Auth()}
        with module.Client(**options) as client:
            return client.post(f"{url}/v1", content=b"hello").text

    assert runs.check(scenario) == ["requests", module.__name__]


def test_a_middleware_that_makes_a_call(runs, server):
    server.on("/token", reply(b"token"))

    async def token(request, handler):
        async with httpx2.AsyncClient() as client:
            request.headers["X-Token"] = (await client.post(str(request.url.with_path("/token")))).text
        return await handler(request)

    def scenario(url):
        async def main():
            async with (
                aiohttp.ClientSession(middlewares=[token]) as session,
                session.post(f"{url}/v1", data=b"hello") as response,
            ):
                return await response.text()

        return asyncio.run(main())

    assert runs.check(scenario) == ["httpx2", "aiohttp"]


@BOTH
def test_below_a_host_that_is_not_ours(runs, server, module):
    """The exchange with ours is the inner one then."""

    class Elsewhere(module.BaseTransport):
        def handle_request(self, request):
            return module.Response(200, content=requests.post(server.url, data=request.read()).content)

    def scenario(_):
        with module.Client(transport=Elsewhere()) as client:
            return client.post("http://gateway.test/", content=b"hello").text

    assert runs.check(scenario) == ["requests"]
