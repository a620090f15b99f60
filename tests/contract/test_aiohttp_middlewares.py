"""aiohttp: middlewares of the program's own, above the seam."""

from __future__ import annotations

import aiohttp
import pytest
from drivers import DRIVERS
from servers import CUT, answer, reply

from rewind_auto.core.model import Ending

URL = "/v1/x"


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


def asking(driver, server, middlewares=(), *, where="session", **options):
    """One request through these middlewares, and what is seen of its answer."""

    async def scenario():
        session = {"middlewares": middlewares} if where == "session" else {}
        request = {"middlewares": middlewares} if where == "request" else {}
        async with aiohttp.ClientSession(**session) as opened:
            try:
                async with opened.post(server.url + URL, **request, **options) as response:
                    return await response.read(), driver.look(response)
            except Exception as error:  # noqa: BLE001
                return driver.failed(error)

    return scenario


async def authenticating(request, handler):
    response = await handler(request)
    if response.status == 401:
        response.release()
        request.headers["Authorization"] = "Bearer of-the-second-try"
        response = await handler(request)
    return response


async def rewriting(request, handler):
    request.url = request.url.with_path("/v1/y").with_query(b="2")
    return await handler(request)


async def new_body(request, handler):
    if hasattr(request, "update_body"):
        await request.update_body(b"new")
    return await handler(request)


async def twice(request, handler):
    first = await handler(request)
    body = await first.read()
    second = await handler(request)
    second.headers_of_first = dict(first.headers), body
    return second


async def with_another(request, handler):
    """A call of its own through the same session, past the middlewares."""
    async with request.session.get(request.url.with_path("/v1/token"), middlewares=()) as response:
        request.headers["X-Token"] = await response.text()
    return await handler(request)


MIDDLEWARES = {
    "401": ((authenticating,), ["/v1/x", "/v1/x"]),
    "rewritten": ((rewriting,), ["/v1/y?b=2"]),
    "new body": ((new_body,), ["/v1/x"]),
    "twice": ((twice,), ["/v1/x", "/v1/x"]),
    "another": ((with_another,), ["/v1/token", "/v1/x"]),
    "several": ((with_another, twice, authenticating), ["/v1/token", "/v1/x", "/v1/x", "/v1/x"]),
    "none": ((), ["/v1/x"]),
    "a list": ([rewriting], ["/v1/y?b=2"]),
}


@pytest.mark.parametrize("where", ["session", "request"])
@pytest.mark.parametrize("name", MIDDLEWARES)
def test_each_time_the_handler_is_called(trial, server, driver, name, where):
    middlewares, targets = MIDDLEWARES[name]
    server.on(URL, reply(b"who?", 401) if name in ("401", "several") else answer(0), answer(1), answer(2))
    server.on("/v1/y", answer("y"))
    server.on("/v1/token", answer("t"))
    steps = trial.check(asking(driver, server, middlewares, where=where, data=b"{}"))
    assert [step.url for step in steps] == [server.url + target for target in targets]
    assert [seen.target for seen in server.seen] == targets


def test_of_the_request_instead_of_the_sessions(trial, server, driver):
    server.on(URL, answer(1))
    server.on("/v1/y", answer("y"))

    async def scenario():
        async with aiohttp.ClientSession(middlewares=(rewriting,)) as session:
            bodies = []
            for options in ({}, {"middlewares": ()}, {"middlewares": (twice,)}, {"middlewares": None}):
                async with session.get(server.url + URL, **options) as response:
                    bodies.append(await response.read())
            return bodies

    assert trial.plain(scenario)[0] == [b'"y"', b"1", b"1", b'"y"']
    assert len(trial.check(scenario)) == 5


def test_that_answers_by_itself(trial, server, driver):
    """Nothing goes out, and there is no step."""
    server.on(URL, answer(1))
    kept = []

    async def caching(request, handler):
        if not kept:
            kept.append(await handler(request))
            await kept[0].read()
        return kept[0]

    async def scenario():
        kept.clear()
        async with aiohttp.ClientSession(middlewares=(caching,)) as session:
            seen = [await (await session.get(server.url + URL)).read() for _ in range(3)]
        return seen, type(kept[0])

    assert trial.plain(scenario)[0] == ([b"1"] * 3, aiohttp.ClientResponse)
    assert len(trial.check(scenario)) == 1


def test_that_gives_up(trial, server, driver):
    server.on(URL, answer(1))

    async def refusing(request, handler):
        raise aiohttp.ClientError("not today")

    assert trial.check(asking(driver, server, (refusing,))) == []


@pytest.mark.skipif(not hasattr(aiohttp, "DigestAuthMiddleware"), reason="came with a later aiohttp")
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_digest(trial, server, driver, qop):
    """The answer to the challenge has a nonce of its own in each run."""
    challenge = f'Digest realm="r", nonce="n", qop="{qop}", algorithm=SHA-256'
    server.on(URL, reply(b"who?", 401, [("WWW-Authenticate", challenge)]), answer("in"))

    async def scenario():
        digest = aiohttp.DigestAuthMiddleware("user", "password")
        async with (
            aiohttp.ClientSession(middlewares=(digest,)) as session,
            session.post(server.url + URL, data=b'{"a": 1}') as response,
        ):
            return await response.read(), response.status

    try:
        trial.plain(scenario)
    except TypeError:
        pytest.skip("this aiohttp cannot")
    recorded, _ = trial.record(scenario)
    assert recorded == (b'"in"', 200) == trial.replay(scenario)
    assert [step.status for step in trial.steps()] == [401, 200]


def test_retried_by_the_library(trial, server, driver):
    """A connection that was kept open and is gone: the library tries again, and so does a replay."""
    server.on(URL, answer(1), [CUT], answer(2))

    async def scenario():
        async with aiohttp.ClientSession() as session:
            return [await (await session.get(server.url + URL)).read() for _ in range(2)]

    steps = trial.check(scenario)
    assert trial.endings() == [Ending.EOF, Ending.FAULT, Ending.EOF]
    assert [step.status for step in steps] == [200, None, 200]
