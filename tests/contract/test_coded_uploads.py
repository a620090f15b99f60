"""Requests whose bodies are compressed: kept for what is in them."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from servers import answer

KEY = "sk-" + "0123456789abcdef" * 2
BODY = json.dumps({"model": "m", "password": "hunter2-hunter2", "messages": [KEY, "hello"]}).encode()


def compressed(time: int) -> bytes:
    return gzip.compress(BODY, mtime=time)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_same_at_another_time(trial, server, driver, streamed):
    """gzip has the time in it. The server gets what was sent, and secrets are not kept."""
    server.on("/v1/chat/completions", lambda seen: answer(len(gzip.decompress(seen.body))))
    times = iter(range(1, 9))

    async def scenario():
        async with driver.client() as client:
            sent = compressed(next(times) * 1000)
            content = driver.upload([sent[:40], sent[40:]]) if streamed else sent
            return await driver.exchange(
                client,
                "POST",
                f"{server.url}/v1/chat/completions",
                content=content,
                headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
            )

    live = trial.record(scenario)[0]
    assert json.loads(live.body) == len(BODY)
    kept = trial.recording()
    assert json.loads(kept.request.body)["messages"] == ["[redacted]", "hello"]
    assert b"hunter2" not in kept.request.body
    server.stop()
    assert trial.replay(scenario) == live


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
