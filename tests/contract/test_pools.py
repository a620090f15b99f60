"""A divergence in a pool of ``multiprocessing`` is told to who waits for the result; the pool goes on."""

from __future__ import annotations

import pytest
from programs import LAUNCHER, run
from servers import answer

PROGRAM = """
import multiprocessing.pool, sys
from contextlib import nullcontext
from multiprocessing.pool import ThreadPool

import httpx2
import rewind_auto

worker = multiprocessing.pool.worker

def ask(text):
    with httpx2.Client(trust_env=False) as client:
        try:
            return client.post(sys.argv[2] + "/v1/chat/completions", json={"input": text}).json()
        except Exception as error:
            return f"handled {error!r}"

def main(start, last):
    with start(2) as pool:
        print(pool.map_async(ask, ["a"]).get(20))
        for wait in (
            lambda: pool.map_async(ask, [last]).get(20),
            lambda: pool.apply_async(ask, [last]).get(20),
            lambda: pool.imap(ask, [last]).next(20),
        ):
            try:
                print(wait())
            except rewind_auto.RewindReplayDivergenceError as error:
                print("diverged", error.source_step, error.diff[0]["new"])
        print(pool.map_async(ask, ["z"]).get(20))
        pool.close()
        pool.join()

if __name__ == "__main__":
    kind, last = sys.argv[1], sys.argv[3]
    source = sys.argv[4] if len(sys.argv) > 4 else None
    with rewind_auto.session(mode="replay", source=source) if source else nullcontext():
        main(ThreadPool if kind == "threads" else multiprocessing.get_context(kind).Pool, last)
    if source:
        print("as before", multiprocessing.pool.worker is worker)
"""


@pytest.fixture
def program(tmp_path, server):
    server.on("/v1/chat/completions", lambda _: answer("yes"))
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize("kind", ["threads", "fork", "spawn"])
def test_in_a_strict_replay(program, server, kind):
    recorded = run(program, kind, server.url, "b", launcher=[*LAUNCHER, "--name", "recorded"])
    assert recorded.returncode == 0, recorded.stderr
    asked = len(server.seen)
    replayed = run(program, kind, server.url, "c", launcher=[*LAUNCHER, "--replay", "recorded"])
    first, *diverged, last = replayed.stdout.splitlines()
    assert [first, last] == [recorded.stdout.splitlines()[0]] * 2, replayed.stderr
    assert len(diverged) == 3
    assert {line.rpartition(" ")[2] for line in diverged} == {"c"}
    assert all(line.startswith("diverged ") for line in diverged)
    assert "Traceback" not in replayed.stderr
    assert replayed.returncode == 86
    assert len(server.seen) == asked


def test_in_a_session_that_replays(program, server, monkeypatch):
    monkeypatch.setenv("REWIND_LLM_HOSTS", "127.0.0.1")
    run(program, "threads", server.url, "b", launcher=[*LAUNCHER, "--name", "recorded"])
    replayed = run(program, "threads", server.url, "c", "recorded")
    assert replayed.stdout.count("diverged") == 3, replayed.stderr
    assert "as before True" in replayed.stdout
    assert replayed.returncode == 0
