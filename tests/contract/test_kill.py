"""``kill -9`` at any moment: what the program has seen the end of is in the store, and the store is whole."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

from programs import LAUNCHER, ROOT
from servers import answer, sse

from rewind_auto.store import open_store

ROUNDS = 50

# Forks a program for each line it is given, so that no round has to wait for imports. The program says
# which calls it has seen the end of.
ZYGOTE = """
import asyncio, os, ssl, sys
import httpx2
import rewind_auto.runtime, rewind_auto.store.sqlite

options = {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "trust_env": False}
url, out = sys.argv[1] + "/v1/chat/completions", sys.stdout.fileno()

def body(number, turn):
    return b'{"model":"gpt-5","messages":[{"role":"user","content":"%d.%d"}]}' % (number, turn)

def sync_calls(number):
    with httpx2.Client(**options) as client:
        for turn in range(1000):
            with client.stream("POST", url, content=body(number, turn)) as response:
                for _ in response.iter_raw():
                    pass
                os.write(out, b"seen %d.%d\\n" % (number, turn))

async def async_calls(number):
    async with httpx2.AsyncClient(**options) as client:
        async def one(task):
            for turn in range(task, 4000, 4):
                await client.post(url, content=body(number, turn))
                os.write(out, b"seen %d.%d\\n" % (number, turn))
        await asyncio.gather(*map(one, range(4)))

for line in sys.stdin:
    number = int(line)
    pid = os.fork()
    if not pid:
        os.write(out, b"pid %d\\n" % os.getpid())
        asyncio.run(async_calls(number)) if number % 2 else sync_calls(number)
        os._exit(1)
    os.waitpid(pid, 0)
    os.write(out, b"dead %d\\n" % number)
"""


def test_every_call_that_was_seen_to_end_is_kept(server, store_path, tmp_path):
    server.on(
        "/v1/chat/completions", lambda seen: sse("1", "2") if seen.body[-5:] > b"5" else answer({"a": 1})
    )
    program = tmp_path / "program.py"
    program.write_text(ZYGOTE)
    moments = random.Random(11)
    seen = []
    process = subprocess.Popen(
        [*LAUNCHER, sys.executable, str(program), server.url],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    with process:
        for number in range(ROUNDS):
            process.stdin.write(f"{number}\n")
            pid = int(process.stdout.readline().split()[1])
            if number % 5:  # some die before their first call, most among their calls
                seen.append(process.stdout.readline().split()[1])
            time.sleep(moments.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            while not (line := process.stdout.readline()).startswith("dead"):
                seen.append(line.split()[1])
        process.kill()

    with sqlite3.connect(store_path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    kept = _kept(store_path)
    assert len(seen) > ROUNDS
    assert [call for call in seen if call not in kept] == []
    assert set(kept.values()) == {True}


def _kept(path):
    """Which calls are in the store, and whether they are whole."""
    store = open_store(str(path))
    try:
        [session] = store.sessions()
        found = {}
        for step in store.steps(session.id):
            recording = store.recording(session.id, step.step)
            content = recording.request.body.rpartition(b'"content":"')[2].partition(b'"')[0].decode()
            found[content] = step.complete and bool(recording.body)
        return found
    finally:
        store.close()
