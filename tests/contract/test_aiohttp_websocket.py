"""aiohttp: `ws_connect`, which is the program's own affair."""

from __future__ import annotations

import base64
import hashlib

import aiohttp
import pytest
from drivers import DRIVERS
from servers import answer, head, reply

from rewind_auto.core.errors import RewindReplayDivergenceError

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


def websocket(seen):
    """Takes the handshake, gives a short frame back, and hangs up."""
    accept = base64.b64encode(hashlib.sha1(seen.header("sec-websocket-key") + MAGIC).digest()).decode()
    told = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept)]

    def echo(connection):
        frame = connection.recv(100)
        mask, data = frame[2:6], frame[6 : 6 + (frame[1] & 0x7F)]
        connection.sendall(bytes([0x81, len(data)]) + bytes(b ^ mask[n % 4] for n, b in enumerate(data)))
        connection.sendall(b"\x88\x00")
        connection.recv(100)

    return [head(101, told, "Switching Protocols"), echo]


def talking(server):
    async def scenario():
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.url}/v1/realtime") as socket,
        ):
            await socket.send_str("hello")
            seen = [(message.type, message.data) async for message in socket]
            return seen, socket.closed, socket.close_code

    return scenario


def test_left_alone(trial, server, driver):
    server.on("/v1/realtime", websocket)
    plain, _ = trial.plain(talking(server))
    assert plain[0] == [(aiohttp.WSMsgType.TEXT, "hello")]
    assert trial.record(talking(server))[0] == plain
    assert trial.steps() == []


def test_refused_by_the_server(trial, server, driver):
    server.on("/v1/realtime", reply(b"no", 403, reason="Forbidden"))

    async def scenario():
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await talking(server)()
        return driver.failed(caught.value)

    plain, _ = trial.plain(scenario)
    assert plain["status"] == 403
    assert trial.record(scenario)[0] == plain


def test_refused_by_a_strict_replay(trial, server, driver):
    server.on("/v1/realtime", websocket)
    server.on("/v1/x", answer(1))

    async def ordinary():
        async with aiohttp.ClientSession() as session:
            return await (await session.get(f"{server.url}/v1/x")).read()

    trial.record(ordinary)
    with pytest.raises(RewindReplayDivergenceError, match="upgrade cannot be replayed"):
        trial.replay(talking(server))


def test_to_another_host(trial, server, driver):
    server.on("/v1/realtime", websocket)
    trial.options["llm_hosts"] = ("llm.example",)
    plain, _ = trial.plain(talking(server))
    with trial.agent("replay", "a" * 32, source="never-needed"):
        assert driver.run(talking(server)()) == plain
