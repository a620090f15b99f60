"""What httpx clients do around their transport stays theirs: redirects, auth, cookies, hooks."""

from __future__ import annotations

import httpx
import httpx2
import pytest
from drivers import HTTPX_ASYNC, HTTPX_DRIVERS, HTTPX_SYNC
from servers import CUT, Server, answer, chunked, reply


@pytest.fixture(params=HTTPX_DRIVERS, ids=repr)
def driver(request):
    return request.param


def moved(where, status=302):
    return reply(b"over there", status, [("Location", where)], reason="Found")


def challenge(seen):
    """A digest challenge, until it is answered."""
    if seen.header("authorization"):
        return answer("in")
    asked = 'Digest realm="r", qop="auth", nonce="abc", opaque="xyz", algorithm=MD5'
    return reply(b"no", 401, [("WWW-Authenticate", asked)], reason="Unauthorized")


@pytest.fixture
def same_nonce(monkeypatch):
    """Clients draw their part of a digest; here it is always the same."""
    for module in (httpx, httpx2):
        monkeypatch.setattr(module.DigestAuth, "_get_client_nonce", lambda *_: b"0123456789abcdef")


@pytest.mark.parametrize("driver", HTTPX_SYNC, ids=repr)
def test_made_before_installation(trial, server, driver):
    """A client outlives installations, and each counts for it while it lasts."""
    server.on("/v1/x", answer(1))
    limits = driver.module.Limits(max_keepalive_connections=0)
    with driver.Client(trust_env=False, limits=limits) as client:

        async def scenario():
            return await driver.exchange(client, "GET", f"{server.url}/v1/x")

        trial.check(scenario)


@pytest.mark.parametrize("driver", HTTPX_ASYNC, ids=repr)
def test_made_before_installation_in_one_loop(trial, server, driver):
    server.on("/v1/x", answer("live"), answer("gone"))

    async def scenario():
        async with driver.client() as client:
            with trial.agent("record", "a" * 32):
                recorded = await driver.exchange(client, "GET", f"{server.url}/v1/x")
            with trial.agent("replay", "b" * 32, source="a" * 32):
                replayed = await driver.exchange(client, "GET", f"{server.url}/v1/x")
            plain = await driver.exchange(client, "GET", f"{server.url}/v1/x")
        return recorded, replayed, plain

    recorded, replayed, plain = driver.run(scenario())
    assert replayed == recorded
    assert plain.body == b'"gone"'
    assert len(server.seen) == 2


@pytest.mark.parametrize("follow", [True, False])
def test_redirects(trial, server, driver, follow):
    server.on("/v1/a", moved("/v1/b"))
    server.on("/v1/b", moved("c?x=1", 303))
    server.on("/v1/c", chunked([b"arrived"]))

    async def scenario():
        async with driver.client(follow_redirects=follow) as client:
            return [
                await driver.exchange(client, "POST", f"{server.url}/v1/a", manner, content=b"{}")
                for manner in ("buffered", "raw")
            ]

    steps = trial.check(scenario)
    assert [step.status for step in steps] == [302, 303, 200] * 2 if follow else [302] * 2


def test_redirects_without_end(trial, server, driver):
    server.on("/v1/a", moved("/v1/a"))

    async def scenario():
        async with driver.client(follow_redirects=True, max_redirects=3) as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/a")

    plain, _ = trial.plain(scenario)
    assert plain.error["type"] is driver.module.TooManyRedirects
    assert len(trial.check(scenario)) == 4


def test_redirected_to_a_foreign_host(trial, server, driver):
    """The part of it that is an LLM's is replayed, the rest is the program's own affair."""
    with Server() as other:
        other.on("/elsewhere", answer("foreign"))
        server.on("/v1/a", moved(f"http://localhost:{other.port}/elsewhere"))

        async def scenario():
            async with driver.client(follow_redirects=True) as client:
                return await driver.exchange(client, "GET", f"{server.url}/v1/a")

        plain, _ = trial.plain(scenario)
        assert trial.record(scenario)[0] == plain
        assert [step.status for step in trial.steps()] == [302]
        server.stop()
        with trial.agent("replay", "c" * 32, source=trial.session):
            assert driver.run(scenario()) == plain
        assert len(other.seen) == 3


def test_digest_auth(trial, server, driver, same_nonce):
    server.on("/v1/x", challenge)

    async def scenario():
        async with driver.client(auth=driver.module.DigestAuth("user", "secret")) as client:
            return [
                await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}") for _ in range(2)
            ]

    assert [step.status for step in trial.check(scenario)] == [401, 200, 200]


def test_an_auth_flow_that_reads_the_answer(trial, server, driver):
    """The way a token is fetched and renewed in httpx: requests within requests."""
    server.on("/token", answer({"token": "t1"}))
    server.on("/v1/x", reply(b"expired", 401), chunked([b"in"]))

    class Renewing(driver.module.Auth):
        requires_request_body = True
        requires_response_body = True

        def auth_flow(self, request):
            assert request.content == b"{}"
            response = yield request
            if response.status_code == 401 and response.text == "expired":
                token = yield driver.module.Request("POST", f"{server.url}/token")
                request.headers["X-Own-Token"] = token.json()["token"]
                yield request

    async def scenario():
        async with driver.client(auth=Renewing()) as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}")

    assert [step.status for step in trial.check(scenario)] == [401, 200, 200]


def test_cookies(trial, server, driver):
    cookies = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "session=very-secret-value; Path=/v1; HttpOnly")]
    server.on("/v1/login", reply(b"hello", headers=cookies))
    server.on("/v1/x", answer(1))

    async def scenario():
        async with driver.client() as client:
            first = await driver.exchange(client, "POST", f"{server.url}/v1/login")
            second = await driver.exchange(client, "GET", f"{server.url}/v1/x")
            return first, second, sorted((c.name, c.path) for c in client.cookies.jar)

    trial.check(scenario)
    assert b"very-secret-value" not in trial.store.read_bytes()


def test_event_hooks(trial, server, driver):
    """Called as often, in the same order, with the same things, and free to read the body."""
    server.on("/v1/a", moved("/v1/b"))
    server.on("/v1/b", chunked([b"body"]))

    async def scenario():
        calls = []

        def on_request(request):
            calls.append(("request", str(request.url), request.method))

        def on_response(response):
            calls.append(("response", response.status_code, response.is_closed, response.is_stream_consumed))

        async def on_request_async(request):
            on_request(request)

        async def on_response_async(response):
            on_response(response)
            calls.append(await response.aread())

        def on_response_reading(response):
            on_response(response)
            calls.append(response.read())

        hooks = {"request": [on_request], "response": [on_response_reading]}
        if driver.asynchronous:
            hooks = {"request": [on_request_async], "response": [on_response_async]}
        async with driver.client(follow_redirects=True, event_hooks=hooks) as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/a"), calls

    steps = trial.check(scenario)
    assert len(steps) == 2


def test_a_hook_that_raises(trial, server, driver):
    server.on("/v1/x", answer({"error": "no"}, 403))

    def check(response):
        response.raise_for_status()

    async def check_async(response):
        response.raise_for_status()

    async def scenario():
        hook = check_async if driver.asynchronous else check
        async with driver.client(event_hooks={"response": [hook]}) as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/x")

    plain, _ = trial.plain(scenario)
    assert plain.error["type"] is driver.module.HTTPStatusError
    trial.check(scenario)


def test_too_many_connections(trial, server, driver):
    """The second request waits for the first one's connection, in vain: the pool's own time-out."""
    server.on("/v1/x", chunked([b"a", b"b"]))

    async def scenario():
        limits = driver.module.Limits(max_connections=1)
        async with (
            driver.client(limits=limits, timeout=driver.module.Timeout(5, pool=0.05)) as client,
            driver.opened(client, "GET", f"{server.url}/v1/x") as first,
        ):
            second = await driver.exchange(client, "GET", f"{server.url}/v1/x")
            return second, await first(), await first(), await first()

    plain, _ = trial.plain(scenario)
    assert plain[0].error["type"] is driver.module.PoolTimeout
    trial.check(scenario)


def test_connections_are_kept_alive(trial, server, driver):
    """The tee gives a connection back when its body is read, and only then."""
    server.on("/v1/x", chunked([b"a", b"b"]))

    async def scenario():
        async with driver.client() as client:
            return [await driver.exchange(client, "GET", f"{server.url}/v1/x", "raw") for _ in range(3)]

    _, [(connections, _)] = trial.record(scenario)
    assert connections == 1
    trial.check(scenario)


def test_a_kept_connection_that_the_server_has_closed(trial, server, driver):
    server.on("/v1/x", [*answer(1), CUT])

    async def scenario():
        async with driver.client() as client:
            first = await driver.exchange(client, "GET", f"{server.url}/v1/x")
            await driver.sleep(0.02)
            return first, await driver.exchange(client, "GET", f"{server.url}/v1/x")

    assert len(trial.check(scenario)) == 2
