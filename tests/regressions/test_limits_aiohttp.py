"""Known failures of recorders with aiohttp; the rows are those of ``docs/limits.md``."""

from __future__ import annotations

import base64
import hashlib
import io

import aiohttp
import pytest
from drivers import DRIVERS
from servers import answer, chunked, head, reply

from rewind_auto.core.errors import RewindReplayDivergenceError

CHAT = "/v1/chat/completions"
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


def asking(driver, server, **options):
    async def scenario():
        async with driver.client() as opened:
            made = {name: value() if callable(value) else value for name, value in options.items()}
            return await driver.exchange(opened, "POST", f"{server.url}{CHAT}", **made)

    return scenario


def websocket(seen):
    """Takes the handshake, says "hello" and hangs up."""
    accept = base64.b64encode(hashlib.sha1(seen.header("sec-websocket-key") + MAGIC).digest()).decode()
    told = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept)]
    return [head(101, told, "Switching Protocols"), b"\x81\x05hello", b"\x88\x00"]


def test_l05_a_websocket_is_left_alone_and_no_replay_lets_it_out(trial, server, driver):
    server.on("/v1/realtime", websocket)
    server.on(CHAT, answer(1))

    async def scenario():
        async with driver.client() as client:
            await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=b"{}")
            async with client.session.ws_connect(f"{server.url}/v1/realtime") as socket:
                return await socket.receive_str()

    assert trial.plain(scenario)[0] == trial.record(scenario)[0] == "hello"
    assert [step.url for step in trial.steps()] == [f"{server.url}{CHAT}"]
    with pytest.raises(RewindReplayDivergenceError, match="upgrade cannot be replayed"):
        trial.replay(scenario)


@pytest.mark.parametrize("way", ["by the session", "by hand"])
def test_l06_raise_for_status_raises_again(trial, server, driver, way):
    server.on(CHAT, answer({"error": "busy"}, 503, X_Request_Id="r1"))

    async def scenario():
        async with driver.client(raise_for_status=way == "by the session") as client:
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                (await driver.send(client, "POST", server.url + CHAT, stream=False)).raise_for_status()
        error = caught.value
        return error.status, error.message, error.headers["X-Request-Id"], str(error.request_info.real_url)

    plain, _ = trial.plain(scenario)
    assert plain == (503, "OK", "r1", server.url + CHAT)
    assert len(trial.check(scenario)) == 1


def test_l09_what_the_private_method_is_passed_is_not_ours_to_know(trial, server, driver, monkeypatch):
    server.on(CHAT, answer(1))
    seen, original = [], aiohttp.ClientSession._request

    async def of_a_later_release(self, *args, novelty, **options):
        seen.append((args, novelty))
        return await original(self, *args, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", of_a_later_release)
    assert len(trial.check(asking(driver, server, novelty="x"))) == 1
    assert seen == [(("POST", server.url + CHAT), "x")] * 3


@pytest.mark.parametrize("driver", [d for d in DRIVERS if d.library != "requests"], ids=repr)
def test_l24_a_path_relative_to_the_base_url_of_the_client(trial, server, driver):
    server.on(CHAT, answer(1))

    async def scenario():
        async with driver.client(base_url=f"{server.url}/v1/") as client:
            return await driver.exchange(client, "POST", "chat/completions", content=b"{}")

    [step] = trial.check(scenario)
    assert step.url == f"{server.url}{CHAT}"


def test_l45_a_replayed_response_is_the_librarys_own(trial, server, driver):
    server.on("/v1/a", reply(b"", 307, [("Location", CHAT)]))
    told = [("Content-Type", "text/json; charset=latin-1"), ("X-A", "1"), ("X-A", "2"), ("Set-Cookie", "c=1")]
    server.on(CHAT, chunked([b'{"a":\n', b" 1,\n", b'"b": "\xe9"}'], told, pause=0.01))
    url = f"{server.url}/v1/a"

    async def scenario():
        seen = []
        async with driver.client(follow_redirects=True) as client:
            ask = lambda: driver.send(client, "POST", url, stream=True, content=b"{}")  # noqa: E731
            async with await ask() as response:
                assert isinstance(response, aiohttp.ClientResponse)
                response.raise_for_status()
                seen += [response.status, response.reason, response.ok, response.version, response.method]
                seen += [response.content_type, response.charset, response.get_encoding(), response.host]
                seen += [str(response.real_url), response.request_info.method, list(response.cookies)]
                seen += [[hop.status for hop in response.history], [name for name, _ in response.raw_headers]]
                seen += [await response.json(content_type=None, loads=len), await response.text()]
                seen += [await response.json(content_type=None, encoding="latin-1"), response.closed]
            async with await ask() as response:
                content = response.content
                seen += [await content.readline(), await content.readexactly(2)]
                seen += [await content.readuntil(b":"), content.at_eof(), content.total_bytes > 0]
                seen += [await content.read(), content.at_eof()]
            async with await ask() as response:
                seen.append([piece async for piece, _ in response.content.iter_chunks() if piece])
            for pieces in (lambda content: content.iter_any(), lambda content: content.iter_chunked(4)):
                async with await ask() as response:
                    seen.append(b"".join([piece async for piece in pieces(response.content)]))
                    response.release()
        return seen

    assert len(trial.check(scenario)) == 10


PAYLOADS = {
    "bytes": lambda: b'{"model":"gpt-5"}',
    "text": lambda: '{"model":"gpt-5"}',
    "file": lambda: io.BytesIO(b'{"model":"gpt-5"}'),
    "text file": lambda: io.StringIO('{"model":"gpt-5"}'),
    "form": lambda: {"model": "gpt-5"},
    "bytes payload": lambda: aiohttp.payload.BytesPayload(b'{"model":"gpt-5"}'),
    "string payload": lambda: aiohttp.payload.StringPayload('{"model":"gpt-5"}'),
    "json payload": lambda: aiohttp.payload.JsonPayload({"model": "gpt-5"}),
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_l46_every_payload_is_recorded(trial, server, driver, kind):
    server.on(CHAT, answer(1))
    trial.check(asking(driver, server, content=PAYLOADS[kind]))
    assert b"gpt-5" in server.seen[-1].body
    assert trial.recording().request.body == server.seen[-1].body
