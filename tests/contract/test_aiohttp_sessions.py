"""aiohttp: what a session adds to a request, and does about an answer."""

from __future__ import annotations

import warnings

import aiohttp
import pytest
from drivers import DRIVERS
from servers import answer, reply

from rewind_auto.core.model import Mode


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


def asking(driver, server, *, path="/v1/x", session=None, **request):
    """One request, by a session that was made like this, and what is seen of its answer."""

    async def scenario():
        made = {name: value() if callable(value) else value for name, value in (session or {}).items()}
        async with aiohttp.ClientSession(**made) as opened:
            try:
                url = path if "base_url" in made else server.url + path
                async with opened.post(url, **request) as response:
                    return await response.read(), driver.look(response), response.connection
            except Exception as error:  # noqa: BLE001
                return driver.failed(error)

    return scenario


def test_made_before_the_agent(trial, server, driver):
    server.on("/v1/x", answer(1), answer(2))
    bodies = []

    async def scenario():
        async with aiohttp.ClientSession() as session:
            for number, (mode, options) in enumerate(
                [(Mode.RECORD, {}), (Mode.REPLAY, {"source": "0" * 32}), (None, {})]
            ):
                if mode is None:
                    bodies.append(await (await session.get(f"{server.url}/v1/x")).read())
                    continue
                with trial.agent(mode, str(number) * 32, **options):
                    bodies.append(await (await session.get(f"{server.url}/v1/x")).read())

    driver.run(scenario())
    assert bodies == [b"1", b"1", b"2"]
    assert len(server.seen) == 2


@pytest.mark.parametrize("path", ["/v1/x", "v1/x", "../v1/x?b=2"])
def test_base_url(trial, server, driver, path):
    server.on("/v1/x", answer(1))
    base = f"{server.url}/a/" if path.startswith("..") else f"{server.url}/"
    plain, _ = trial.plain(asking(driver, server, path=path, session={"base_url": base}))
    assert plain[0] == b"1"
    [step] = trial.check(asking(driver, server, path=path, session={"base_url": base}))
    assert step.url.startswith(f"{server.url}/v1/x")


@pytest.mark.parametrize(
    "params", [{"b": "2 3"}, [("b", "ü"), ("b", "1")], "b=raw%20one"], ids=["dict", "list", "str"]
)
def test_params(trial, server, driver, params):
    server.on("/v1/x", answer(1))
    trial.check(asking(driver, server, path="/v1/x?a=1", params=params))
    [seen] = server.seen
    assert trial.steps()[0].url == server.url + seen.target


def test_headers(trial, server, driver):
    server.on("/v1/x", answer(1))
    session = {"headers": {"X-Session": "s", "X-Both": "s"}, "skip_auto_headers": ["User-Agent"]}
    trial.check(asking(driver, server, session=session, headers={"x-both": "r", "X-Request": "r"}))
    kept = {name.decode().lower(): value for name, value in trial.recording().request.headers}
    assert (kept["x-session"], kept["x-both"], kept["x-request"]) == (b"s", b"r", b"r")
    assert "user-agent" not in kept


@pytest.mark.parametrize("version", [aiohttp.HttpVersion10, aiohttp.HttpVersion11])
@pytest.mark.parametrize("force_close", [False, True])
def test_versions(trial, server, driver, version, force_close):
    """The headers that the library sets last depend on them."""
    server.on("/v1/x", answer(1))
    session = {"version": version, "connector": lambda: aiohttp.TCPConnector(force_close=force_close)}
    trial.check(asking(driver, server, session=session))


def test_cookies(trial, server, driver):
    """Those of a recording have no values any more: their names, paths and hosts are there."""
    server.on(
        "/v1/x",
        reply(
            b"1", headers=[("Set-Cookie", "sid=secret; Path=/; HttpOnly"), ("Set-Cookie", "b=two; Path=/v1")]
        ),
        reply(b"2", headers=[("Set-Cookie", "b=; Path=/v1; Max-Age=0")]),
        answer(3),
    )

    async def scenario():
        jar = aiohttp.CookieJar(unsafe=True)
        seen = []
        async with aiohttp.ClientSession(cookie_jar=jar, cookies={"own": "o"}) as session:
            for _ in range(3):
                async with session.get(f"{server.url}/v1/x", cookies={"once": "1"}) as response:
                    sent = response.request_info.headers["Cookie"]
                    seen.append((await response.read(), sorted(response.cookies), sorted(names(sent))))
                seen.append(sorted((morsel.key, morsel["path"]) for morsel in jar))
        return seen

    def names(header):
        return [pair.partition("=")[0].strip() for pair in header.split(";")]

    plain, _ = trial.plain(scenario)
    assert plain[2][2] == ["b", "once", "own", "sid"]
    trial.check(scenario)
    assert b"secret" not in b"".join(value for _, value in trial.recording().head.headers)


@pytest.mark.parametrize("where", ["session", "request", "callable", "session callable", "method"])
@pytest.mark.parametrize("status", [200, 503])
def test_raise_for_status(trial, server, driver, where, status):
    server.on("/v1/x", answer({"error": "busy"}, status, X_Id="7"))
    checked = []

    async def check(response):
        checked.append((response.status, await response.text()))
        if not response.ok:
            raise ZeroDivisionError(response.status)

    session = {"session": {"raise_for_status": True}, "session callable": {"raise_for_status": check}}
    request = {"request": {"raise_for_status": True}, "callable": {"raise_for_status": check}}

    async def scenario():
        async with aiohttp.ClientSession(**session.get(where, {})) as opened:
            try:
                async with opened.get(f"{server.url}/v1/x", **request.get(where, {})) as response:
                    if where == "method":
                        response.raise_for_status()
                    return await response.text()
            except (aiohttp.ClientResponseError, ZeroDivisionError) as error:
                return driver.failed(error), dict(getattr(error, "headers", {})), repr(error)

    plain, _ = trial.plain(scenario)
    assert isinstance(plain, str) == (status == 200)
    trial.check(scenario)
    assert len(checked) == (4 if "callable" in where else 0)


def test_the_function(trial, server, driver):
    """`aiohttp.request`, which makes a session for each call."""
    server.on("/v1/x", answer(1))

    async def scenario():
        async with aiohttp.request("POST", f"{server.url}/v1/x", json={"a": 1}) as response:
            return await response.json(), driver.look(response)

    trial.check(scenario)


def test_classes_of_the_programs_own(trial, server, driver):
    server.on("/v1/x", answer({"a": 1}))

    class Response(aiohttp.ClientResponse):
        async def json(self, **options):
            return "own", await super().json(**options)

    class Request(aiohttp.ClientRequest):
        async def send(self, conn):
            self.headers["X-Late"] = "set as it is sent"
            return await super().send(conn)

    async def scenario():
        options = {"response_class": Response, "request_class": Request}
        async with (
            aiohttp.ClientSession(**options) as session,
            session.get(f"{server.url}/v1/x") as response,
        ):
            return await response.json(), driver.look(response)

    plain, _ = trial.plain(scenario)
    assert plain[0] == ("own", {"a": 1})
    trial.check(scenario)


def test_a_session_class_of_the_programs_own(trial, server, driver):
    server.on("/v1/x", answer(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)

        class Session(aiohttp.ClientSession):
            async def _request(self, method, url, **options):
                return await super()._request(method, server.url + url, **options)

    async def scenario():
        async with Session() as session, session.get("/v1/x") as response:
            return await response.read(), driver.look(response)

    assert len(trial.check(scenario)) == 1


def test_a_response_that_we_cannot_get_at(trial, server, driver, capsys, monkeypatch):
    """The program goes on, and one line says why there is no recording."""
    from rewind_auto.core import guard

    monkeypatch.setattr(guard, "_seen", set())
    monkeypatch.delenv("REWIND_TESTING")
    server.on("/v1/x", answer(1))

    class Response(aiohttp.ClientResponse):
        raw_headers = property(lambda self: self.no_such_thing)

    async def scenario():
        async with (
            aiohttp.ClientSession(response_class=Response) as session,
            session.get(f"{server.url}/v1/x") as response,
        ):
            return await response.read()

    for _ in range(2):
        assert trial.record(scenario)[0] == b"1"
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "internal error in a call, the program goes on: AttributeError" in told
