"""HTTP/2, over TLS."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme
from drivers import HTTPX_ASYNC, HTTPX_DRIVERS, MANNERS
from http2_server import Http2Server
from trial import Trial

from rewind_auto.core.model import Ending


@pytest.fixture(params=HTTPX_DRIVERS, ids=repr)
def driver(request):
    return request.param


CHUNKS = [b"one\n", b"two\n", b"three\n"]


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Http2Server(context) as running:
        yield running


@pytest.fixture
def options(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"http2": True, "verify": context}


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("driver", HTTPX_DRIVERS, ids=repr)
def test_an_answer(driver, server, options, store_path, manner):
    server.on("/v1/x", CHUNKS)

    async def scenario():
        async with driver.client(**options) as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", manner, content=b"{}")

    trial = Trial(driver, store_path, server)
    plain, _ = trial.plain(scenario)
    assert plain.response["version"] == "HTTP/2"
    assert plain.response["reason"] == "OK"  # which HTTP/2 does not send: the library says so
    assert len(trial.check(scenario)) == 1
    assert trial.recording().head.http_version == "HTTP/2"


@pytest.mark.parametrize("driver", HTTPX_DRIVERS, ids=repr)
def test_a_stream_that_is_reset(driver, server, options, store_path):
    server.on("/v1/x", [b"one\n", b"reset"])

    async def scenario():
        async with driver.client(**options) as client:
            got = await driver.exchange(client, "POST", f"{server.url}/v1/x", "raw", content=b"{}")
        return got.error["type"], got.error["text"].partition("(")[0]

    trial = Trial(driver, store_path, server)
    trial.check(scenario)
    assert trial.endings() == [Ending.FAULT]


@pytest.mark.parametrize("driver", HTTPX_ASYNC, ids=repr)
def test_many_on_one_connection(driver, server, options, store_path):
    server.on("/v1/x", lambda seen: [b"for ", seen.body])

    async def scenario():
        async with driver.client(**options) as client:
            url = f"{server.url}/v1/x"
            calls = [driver.exchange(client, "POST", url, "raw", content=b"%d" % n) for n in range(10)]
            return [got.body for got in await asyncio.gather(*calls)]

    trial = Trial(driver, store_path, server)
    recorded, [(connections, _)] = trial.record(scenario)
    assert connections == 1
    assert recorded == [b"for %d" % n for n in range(10)]
    assert len(trial.check(scenario)) == 10
