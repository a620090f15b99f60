"""What requests does around its adapters stays its own: redirects, auth, cookies, hooks, proxies."""

from __future__ import annotations

import copy
import gzip
import io
import pickle
from datetime import timedelta
from types import SimpleNamespace

import pytest
import requests
from drivers import RequestsDriver
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import HTTPDigestAuth
from servers import CUT, Server, answer, chunked, reply
from urllib3.util import Retry

from rewind_auto.core.model import Kind


@pytest.fixture(params=[RequestsDriver()], ids=repr)
def driver(request):
    return request.param


def moved(where, status=302):
    return reply(b"over there", status, [("Location", where)], reason="Found")


def challenge(seen):
    if seen.header("authorization"):
        return answer("in")
    asked = 'Digest realm="r", qop="auth", nonce="abc", opaque="xyz", algorithm=MD5'
    return reply(b"no", 401, [("WWW-Authenticate", asked)], reason="Unauthorized")


def session_of():
    session = requests.Session()
    session.trust_env = False
    return session


def test_made_before_installation(trial, server):
    server.on("/v1/x", [*reply(b"1", headers=[("Connection", "close")]), CUT])
    session = session_of()

    async def scenario():
        response = session.get(f"{server.url}/v1/x")
        return trial.driver.look(response), response.content

    assert len(trial.check(scenario)) == 1


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
    assert [step.status for step in steps] == ([302, 303, 200] if follow else [302]) * 2


def test_redirected_from_a_foreign_host_and_back(trial, server, driver):
    """Only the hop that is an LLM's is a step."""
    with Server() as foreign:
        trial.served.append(foreign)
        foreign.on("/start", moved(f"{server.url}/v1/x"))
        server.on("/v1/x", moved(f"{foreign.url}/end".replace("127.0.0.1", "localhost"), 307))
        foreign.on("/end", answer("there"))
        trial.options["llm_hosts"] = (f"127.0.0.1:{server.port}",)

        async def scenario():
            async with driver.client(follow_redirects=True) as client:
                return await driver.exchange(client, "GET", f"{foreign.url}/start")

        plain, sent = trial.plain(scenario)
        assert trial.record(scenario) == (plain, sent)
        [step] = trial.steps()
        assert (step.status, step.kind) == (307, Kind.HTTP)


def test_digest_auth(trial, server, driver, monkeypatch):
    """The second leg goes out through the response's own `connection`."""
    monkeypatch.setattr(requests.auth, "os", SimpleNamespace(urandom=lambda size: b"x" * size))
    monkeypatch.setattr(requests.auth, "time", SimpleNamespace(ctime=lambda: "now"))
    server.on("/v1/x", challenge)

    async def scenario():
        async with driver.client(auth=HTTPDigestAuth("me", "secret")) as client:
            return [await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"{}")]

    plain, _ = trial.plain(scenario)
    assert plain[0].response["status"] == 200
    assert [step.status for step in trial.check(scenario)] == [401, 200]


def test_cookies_of_the_session(trial, server, driver):
    """Their names are there again, and go out again; their values are secrets."""
    server.on("/v1/a", reply(b"x", headers=[("Set-Cookie", "sid=1; Path=/"), ("Set-Cookie", "b=2")]))
    server.on("/v1/b", answer(1))

    async def scenario():
        async with driver.client() as client:
            first = await driver.exchange(client, "GET", f"{server.url}/v1/a")
            seen = sorted(client.cookies.keys())
            second = await driver.exchange(client, "GET", f"{server.url}/v1/b")
            sent = dict(second.response["request"][2])["Cookie"]
            return first.pieces, seen, second.pieces, sorted(p.partition("=")[0] for p in sent.split("; "))

    plain, _ = trial.plain(scenario)
    assert plain[1] == ["b", "sid"] == plain[3]
    trial.check(scenario)


def test_hooks(trial, server, driver):
    server.on("/v1/x", answer({"a": 1}))
    seen = []

    def hook(response, *_, **options):
        seen.append((response.status_code, response.json(), sorted(options)))
        response.changed = True
        return response

    async def scenario():
        seen.clear()
        async with driver.client(hooks={"response": [hook]}) as client:
            response = await driver.send(client, "POST", f"{server.url}/v1/x", stream=False, content=b"{}")
            return response.changed, list(seen)

    trial.check(scenario)


@pytest.mark.parametrize("way", ["session", "mounted", "environment"])
def test_proxies(trial, server, driver, way, monkeypatch):
    from proxies import Proxy

    server.on("/v1/x", chunked([b"one\n", b"two\n"]))
    trial.options["llm_hosts"] = ("llm.example",)
    with Proxy(server) as proxy:
        trial.served.append(proxy)

        async def scenario():
            async with driver.client() as client:
                if way == "session":
                    client.proxies = {"http": proxy.url}
                elif way == "environment":
                    client.trust_env = True
                    monkeypatch.setenv("HTTP_PROXY", proxy.url)
                else:
                    client.proxies = {"http://llm.example": proxy.url}
                return await driver.exchange(client, "POST", "http://llm.example/v1/x", "raw", content=b"{}")

        plain, _ = trial.plain(scenario)
        assert plain.body == b"one\ntwo\n"
        assert len(trial.check(scenario)) == 1


# --- adapters of the program's own


class Counting(HTTPAdapter):
    sent = 0

    def send(self, request, **options):
        type(self).sent += 1
        return super().send(request, **options)


class Foreign(BaseAdapter):
    """No HTTPAdapter, and its responses have no urllib3 below them."""

    def __init__(self, raw):
        super().__init__()
        self.raw = raw

    def send(self, request, **_):
        response = requests.Response()
        response.status_code, response.reason, response.url = 200, "Fine", request.url
        response.headers["Content-Type"] = "text/plain"
        response.request, response.connection = request, self
        response.raw = self.raw()
        if response.raw is None:
            response._content = b"in memory"
        return response

    def close(self):
        pass


def mounted(driver, server, adapter, manners=("buffered", "raw", "bytes", "lines")):
    async def scenario():
        async with driver.client() as client:
            client.mount(server.url, adapter())
            return [
                await driver.exchange(client, "POST", f"{server.url}/v1/x", manner, content=b"{}")
                for manner in manners
            ]

    return scenario


def test_a_subclass_of_the_librarys(trial, server, driver):
    server.on("/v1/x", chunked([b"one\n", b"two\n"]))
    assert len(trial.check(mounted(driver, server, Counting))) == 4
    assert Counting.sent == 8  # plain and recorded, not replayed


@pytest.mark.parametrize("raw", [lambda: io.BytesIO(b"one\ntwo\n"), lambda: None], ids=["file", "none"])
def test_one_that_is_no_http_adapter(trial, server, driver, raw):
    async def scenario():
        async with driver.client() as client:
            client.mount(server.url, Foreign(raw))
            response = client.post(f"{server.url}/v1/x", data=b"{}")
            text, lines = response.text, list(response.iter_lines())
            return response.status_code, response.reason, dict(response.headers), text, lines

    [step] = trial.check(scenario)
    assert step.complete


class Tagging(HTTPAdapter):
    """As adapters that try again, count or cache do."""

    def send(self, request, **options):
        response = super().send(request, **options)
        response.headers["X-Attempts"] = "1"
        response.headers["x-kept"] = "changed"
        response.headers["X-Broken"] = "two\r\nlines"
        del response.headers["X-Gone"], response.headers["Content-Encoding"]
        return response


@pytest.mark.parametrize("stream", [False, True])
def test_headers_that_an_adapter_changes(trial, server, driver, stream):
    sent = [("X-Kept", "a"), ("X-Kept", "b"), ("X-Gone", "1"), ("Content-Encoding", "gzip"), ("X-Same", "1")]
    server.on("/v1/x", reply(gzip.compress(b"text"), headers=sent))

    async def scenario():
        async with driver.client() as client:
            client.mount(server.url, Tagging())
            response = client.post(f"{server.url}/v1/x", data=b"{}", stream=stream)
            names = ("X-Attempts", "X-Kept", "X-Gone", "X-Same")
            return [response.headers.get(name) for name in names], response.content

    plain, _ = trial.plain(scenario)
    assert plain == (["1", "changed", None, "1"], b"text")
    trial.check(scenario)


def test_an_adapter_that_others_look_at(trial, server, driver):
    server.on("/v1/x", answer(1))

    async def scenario():
        async with driver.client() as client:
            adapter = client.get_adapter(f"{server.url}/v1/x")
            adapter.own_mark = 1
            return (
                isinstance(adapter, HTTPAdapter),
                adapter.max_retries.total,
                client.adapters["http://"].own_mark,
            )

    assert trial.record(scenario)[0] == trial.plain(scenario)[0] == (True, 0, 1)


def test_an_adapter_can_be_copied(trial, server, driver):
    async def scenario():
        async with driver.client() as client:
            adapter = client.get_adapter(f"{server.url}/v1/x")
            client.mount("http://other.example", adapter)
            copies = [copy.copy(adapter), copy.deepcopy(adapter), pickle.loads(pickle.dumps(client))]
            return [type(one) for one in copies]

    plain, _ = trial.plain(scenario)
    assert plain == [HTTPAdapter, HTTPAdapter, requests.Session]
    assert trial.record(scenario)[0] == plain


def test_what_the_connection_pool_says_of_a_response(trial, server, driver):
    server.on("/v1/x", answer(1))

    async def scenario():
        async with driver.client() as client:
            raw = client.get(f"{server.url}/v1/x?q=1", stream=True).raw
            return raw.retries.total, raw.retries.history, raw.geturl()

    trial.check(scenario)


@pytest.mark.parametrize("statuses", [[503, 503, 200], [503, 503, 503, 503]], ids=str)
def test_retries_of_urllib3_are_one_call(trial, server, driver, statuses):
    server.on("/v1/x", *[answer(number, status) for number, status in enumerate(statuses)])
    retry = Retry(total=2, backoff_factor=0.0, status_forcelist=[503], allowed_methods=None)
    scenario = mounted(driver, server, lambda: HTTPAdapter(max_retries=retry), ["buffered"])
    [step] = trial.check(scenario)
    assert step.status == (200 if statuses[-1] == 200 else None)
    assert len(server.seen) == 3


def test_a_refused_connection_that_is_tried_again(trial, server, driver):
    server.on("/v1/x", [CUT], answer("at last"))
    retry = Retry(total=2, backoff_factor=0.0, allowed_methods=None)
    [step] = trial.check(mounted(driver, server, lambda: HTTPAdapter(max_retries=retry), ["buffered"]))
    assert step.status == 200


# --- what is left of a response


def test_a_response_can_be_pickled(trial, server, driver):
    server.on("/v1/x", chunked([b'{"a": ', b"1}"], [("Content-Type", "application/json")]))

    async def scenario():
        seen = []
        async with driver.client() as client:
            for stream in (False, True):
                response = client.post(f"{server.url}/v1/x", data=b"{}", stream=stream)
                again = pickle.loads(pickle.dumps(response))
                seen.append((again.json(), again.status_code, again.headers, again.url, again.request.body))
                seen.append(again.elapsed > timedelta(0))
        return seen

    assert len(trial.check(scenario)) == 2


def test_the_library_reads_on_where_the_program_stopped(trial, server, driver):
    server.on("/v1/x", reply(b"0123456789" * 10))

    async def scenario():
        async with driver.client() as client:
            response = client.get(f"{server.url}/v1/x", stream=True)
            first = response.raw.read(10)
            return first, response.content, response.text

    assert len(trial.check(scenario)) == 1


@pytest.mark.parametrize("trouble", ["refused", "no answer", "too many"])
def test_what_urllib3_said_of_an_error(trial, server, driver, trouble):
    """Programs look for it in the first argument."""
    server.on("/v1/x", answer(1, 503) if trouble == "too many" else [CUT])
    retry = Retry(total=1, backoff_factor=0.0, status_forcelist=[503])
    if trouble == "refused":
        server.stop()

    async def scenario():
        async with driver.client() as client:
            client.mount(server.url, HTTPAdapter(max_retries=retry))
            with pytest.raises(requests.RequestException) as caught:
                client.get(f"{server.url}/v1/x")
            said = caught.value.args[0]
            return (
                type(caught.value),
                type(said),
                type(getattr(said, "reason", None)),
                caught.value.request.url,
            )

    plain, _ = trial.plain(scenario)
    assert plain[1].__module__ == "urllib3.exceptions"
    trial.check(scenario)
