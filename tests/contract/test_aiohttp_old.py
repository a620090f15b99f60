"""aiohttp before 3.12, which has no middlewares, in its own interpreter."""

from __future__ import annotations

import os
import re

import pytest
from programs import LAUNCHER, run
from servers import Server, answer, reply

PYTHON = os.environ.get("REWIND_TEST_AIOHTTP311_PYTHON", "")

# Asks with aiohttp, in several ways, and with the standard library what is recorded if anything is.
PROGRAM = """
import asyncio, sys
import aiohttp

assert aiohttp.__version__.startswith("3.11."), aiohttp.__version__
server, foreign = sys.argv[1:]

async def ask(way, url, **options):
    try:
        async with aiohttp.ClientSession(**options) as session:
            if way == "websocket":
                async with session.ws_connect(url) as socket:
                    print(way, "open")
            else:
                async with session.post(url, json={"a": 1}) as response:
                    print(way, response.status, await response.text())
    except BaseException as error:
        said = str(error).replace(server, "SERVER").replace(aiohttp.__version__, "X")
        print(way, type(error).__name__, said)

async def main():
    await ask("absolute", server + "/v1/x")
    await ask("base url", "v1/x", base_url=server + "/")
    await ask("foreign", foreign + "/v1/x")
    await ask("redirected", foreign + "/go")
    await ask("websocket", server + "/v1/ws")

asyncio.run(main())
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="REWIND_TEST_AIOHTTP311_PYTHON names no interpreter"),
]


@pytest.fixture
def driver():
    return None


@pytest.fixture
def foreign(server):
    with Server() as running:
        running.on("/v1/x", answer("foreign"))
        running.on("/go", reply(b"", 307, [("Location", f"{server.url}/v1/x")]))
        yield running


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def launched(server, *options):
    """``rewind-run`` for the LLM host alone: both servers are on one address."""
    return [*LAUNCHER[:-1], f"127.0.0.1:{server.port}", *options]


def test_left_alone_when_recording(server, foreign, program):
    server.on("", answer("llm"))
    plain = run(program, server.url, foreign.url, python=PYTHON)
    assert plain.stdout.splitlines()[:4] == [
        'absolute 200 "llm"',
        'base url 200 "llm"',
        'foreign 200 "foreign"',
        'redirected 200 "llm"',
    ]
    recorded = run(program, server.url, foreign.url, python=PYTHON, launcher=launched(server, "--record"))
    assert recorded.stdout == plain.stdout
    assert re.fullmatch(
        r"rewind-auto: aiohttp 3\.11\.\d+ is too old to be recorded, 3\.12 or newer is needed\n",
        recorded.stderr,
    )


def test_refused_by_a_strict_replay(server, foreign, program, tmp_path):
    """Hops of redirects too; other hosts are asked."""
    server.on("", answer("llm"))
    recorder = tmp_path / "recorder.py"
    recorder.write_text("import sys, httpx\nprint(httpx.get(sys.argv[1] + '/v1/x', trust_env=False).text)\n")
    assert run(recorder, server.url, python=PYTHON, launcher=launched(server, "--record")).returncode == 0
    server.forget()
    replayed = run(
        program, server.url, foreign.url, python=PYTHON, launcher=launched(server, "--replay", "last")
    )
    refused = (
        "RewindReplayDivergenceError strict replay: {} SERVER/v1/{}: aiohttp X cannot be replayed,"
        " 3.12 or newer is needed; nothing was sent"
    )
    assert replayed.stdout.splitlines() == [
        "absolute " + refused.format("POST", "x"),
        "base url " + refused.format("POST", "x"),
        'foreign 200 "foreign"',
        "redirected " + refused.format("POST", "x"),
        "websocket " + refused.format("GET", "ws"),
    ]
    assert server.seen == []
    assert server.connections == 0
