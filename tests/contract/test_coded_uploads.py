"""Requests whose bodies are compressed: kept for what is in them."""

from __future__ import annotations

import gzip
import json
import lzma
import sys
import zlib

import brotli
import pytest
import zstandard
from servers import answer

KEY = "sk-" + "0123456789abcdef" * 2
BODY = json.dumps({"model": "m", "password": "hunter2-hunter2", "messages": [KEY, "hello"]}).encode()


CODINGS = {
    # With the time of the one, and another level of the others: never the same bytes twice.
    "gzip": lambda body, number: gzip.compress(body, mtime=number * 1000),
    "br": lambda body, number: brotli.compress(body, quality=number),
    "zstd": zstandard.compress,
    "gzip, br": lambda body, number: brotli.compress(gzip.compress(body, mtime=number * 1000)),
    "gzip in members": lambda body, number: b"".join(
        gzip.compress(part, mtime=number) for part in (body[:9], body[9:])
    ),
    "zstd in frames": lambda body, number: b"".join(
        zstandard.compress(part, number) for part in (body[:9], body[9:])
    ),
}


def sending(driver, server, bodies, coding):
    async def scenario():
        async with driver.client() as client:
            return [
                await driver.exchange(
                    client,
                    "POST",
                    f"{server.url}/v1/chat/completions",
                    content=body,
                    headers={"Content-Encoding": coding},
                )
                for body in bodies
            ]

    return scenario


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("coding", CODINGS)
def test_the_same_compressed_anew(trial, server, driver, coding, streamed):
    """The server gets what was sent, byte for byte, and secrets are not kept."""
    server.on("/v1/chat/completions", answer("done"))
    bodies = [CODINGS[coding](BODY, number) for number in (1, 9)]
    assert bodies[0] != bodies[1]
    left = list(bodies)

    async def scenario():
        async with driver.client() as client:
            sent = left.pop(0)
            content = driver.upload([sent[:40], sent[40:]]) if streamed else sent
            return await driver.exchange(
                client,
                "POST",
                f"{server.url}/v1/chat/completions",
                content=content,
                headers={"Content-Encoding": coding.partition(" in ")[0], "Content-Type": "application/json"},
            )

    live = trial.record(scenario)[0]
    assert [seen.body for seen in server.seen] == bodies[:1]
    kept = trial.recording()
    assert json.loads(kept.request.body)["messages"] == ["[redacted]", "hello"]
    assert b"hunter2" not in kept.request.body
    server.stop()
    replayed = trial.replay(scenario)  # with another length of the request
    assert (replayed.body, replayed.response["status"]) == (live.body, 200)
    written = b"".join(path.read_bytes() for path in trial.store.parent.iterdir())
    assert not [body for body in (BODY, *bodies) if body in written]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_questions_that_differ_in_their_last_member(trial, server, driver, coding):
    """Each has its own answer, in whatever order they are asked again."""
    server.on("/v1/chat/completions", lambda seen: answer(len(seen.body)))
    pack = gzip.compress if coding == "gzip" else zstandard.compress
    head = pack(b'{"model":"m","messages":')
    bodies = [head + pack(asked) for asked in (b'["one"]}', b'["another"]}')] + [head + b"no member"]

    scenario = sending(driver, server, bodies, coding)
    live = trial.record(scenario)[0]
    assert len({one.body for one in live}) == 3
    server.stop()
    bodies.reverse()
    assert trial.replay(scenario) == live[::-1]


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, lzma"])
def test_what_nothing_here_can_unpack(trial, server, driver, coding, monkeypatch):
    """Opaque bytes: recorded and compared as they are, whatever is in them."""
    for module in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    server.on("/v1/chat/completions", lambda seen: answer(len(seen.body)))
    pack = {"br": brotli.compress, "zstd": zstandard.compress, "gzip, lzma": lzma.compress}[coding]
    bodies = [pack(b"one, one, " * 20), pack(b"another, " * 20)]

    scenario = sending(driver, server, bodies, coding)
    live = trial.record(scenario)[0]
    kept = [trial.recording(number).request for number in (1, 2)]
    assert [request.body for request in kept] == bodies
    assert {name.lower(): value for name, value in kept[0].headers}[b"content-encoding"] == coding.encode()
    server.stop()
    bodies.reverse()
    assert trial.replay(scenario) == live[::-1]


@pytest.mark.parametrize("body", [b"no gzip at all", zlib.compress(b"x" * (40 << 20))], ids=["none", "bomb"])
def test_what_cannot_be_read_is_kept_as_it_is(trial, server, driver, body):
    server.on("/v1/chat/completions", answer(1))

    async def scenario():
        async with driver.client() as client:
            headers = {"Content-Encoding": "deflate" if body[:1] == b"x" else "gzip"}
            url = f"{server.url}/v1/chat/completions"
            return await driver.exchange(client, "POST", url, content=body, headers=headers)

    live = trial.record(scenario)[0]
    assert trial.recording().request.body == body
    server.stop()
    assert trial.replay(scenario) == live
