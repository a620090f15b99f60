"""Connections that become something else are the program's: left alone, and refused by a strict replay."""

from __future__ import annotations

import base64
import hashlib

import httpx2
import pytest
from drivers import HTTPX_ASYNC, HTTPX_DRIVERS, HTTPX_SYNC
from servers import answer, head

from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Decision


@pytest.fixture(params=HTTPX_DRIVERS, ids=repr)
def driver(request):
    return request.param


HTTPX2 = [driver for driver in (*HTTPX_SYNC, *HTTPX_ASYNC) if driver.module is httpx2]
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
UPGRADE = {"Connection": "Upgrade", "Upgrade": "echo"}


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data.upper())


def switching(seen):
    return [head(101, [("Connection", "Upgrade"), ("Upgrade", "echo")], "Switching Protocols"), echo]


def websocket(seen):
    """Takes the handshake, then gives every short text frame back, unmasked."""
    accept = base64.b64encode(hashlib.sha1(seen.header("sec-websocket-key") + MAGIC).digest()).decode()
    told = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept)]

    def frames(connection):
        while data := connection.recv(65536):
            length = data[1] & 0x7F
            key, payload = data[2:6], data[6 : 6 + length]
            plain = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
            connection.sendall(bytes([data[0], length]) + plain)
            if data[0] & 0x0F == 8:
                return

    return [head(101, told, "Switching Protocols"), frames]


def talking(driver, server):
    """Upgrades by hand, and talks over the raw connection."""

    async def scenario():
        async with (
            driver.client() as client,
            driver.within(client.stream("GET", f"{server.url}/v1/realtime", headers=UPGRADE)) as response,
        ):
            stream = response.extensions["network_stream"]
            seen = [response.status_code]
            for word in (b"hello", b"again"):
                await driver.call(stream.write, word)
                seen.append(await driver.call(stream.read, 100))
            return seen

    return scenario


def test_by_hand(trial, server, driver):
    server.on("/v1/realtime", switching)
    scenario = talking(driver, server)
    plain, _ = trial.plain(scenario)
    assert plain == [101, b"HELLO", b"AGAIN"]
    assert trial.record(scenario)[0] == plain
    if trial.store.exists():
        assert {step.decision for step in trial.steps()} <= {Decision.BYPASS}


def test_an_upgrade_is_not_replayed(trial, server, driver):
    server.on("/v1/realtime", switching)
    server.on("/v1/x", answer(1))

    async def ordinary():
        async with driver.client() as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/x")

    trial.record(ordinary)
    with pytest.raises(RewindReplayDivergenceError, match="upgrade"):
        trial.replay(talking(driver, server))


def test_an_upgrade_that_nobody_asked_for(trial, server, driver):
    """A server that switches all the same: an error of the library's, as any other."""
    server.on("/v1/x", switching)

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/x")

    plain, _ = trial.plain(scenario)
    assert plain.error["type"] is driver.module.RemoteProtocolError
    trial.check(scenario)


def test_an_upgrade_by_a_transport_of_its_own(trial, driver):
    """Whatever let it through, the connection is the program's now."""
    handler = lambda _: driver.module.Response(101, stream=driver.module.ByteStream(b"raw"))  # noqa: E731

    async def scenario():
        async with driver.client(transport=driver.module.MockTransport(handler)) as client:
            return await driver.exchange(client, "GET", "http://127.0.0.1/v1/x", "raw")

    plain, _ = trial.plain(scenario)
    assert trial.record(scenario)[0] == plain
    [step] = trial.steps()
    assert (step.decision, step.note) == (Decision.BYPASS, "upgrade")


@pytest.mark.parametrize("driver", HTTPX2, ids=repr)
def test_a_websocket(trial, server, driver):
    server.on("/v1/realtime", websocket)

    async def scenario():
        url = f"{server.url.replace('http', 'ws', 1)}/v1/realtime"
        async with driver.client() as client, driver.within(client.websocket(url)) as socket:
            seen = []
            for word in ("hello", "again"):
                await driver.call(socket.send_text, word)
                seen.append(await driver.call(socket.receive_text))
            return seen

    plain, _ = trial.plain(scenario)
    assert plain == ["hello", "again"]
    assert trial.record(scenario)[0] == plain
