"""Processes that record, replay, cache and look into one store at once: nobody meets half a step."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time

import pytest
from programs import LAUNCHER, ROOT
from servers import chunked

from rewind_auto.core.errors import UnknownReferenceError
from rewind_auto.core.model import Decision
from rewind_auto.store import open_store

TURNS = 120
# Asks so many growing questions, and says of each answer what it is. An answer that is not whole ends it.
PROGRAM = """
import hashlib, json, sys
import httpx2

def digest(data):
    return hashlib.sha256(data).hexdigest().encode()

url, turns = sys.argv[1] + "/v1/chat/completions", int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
with httpx2.Client(trust_env=False) as client:
    messages = []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"{turn} " + "what about it? " * 20})
        body = json.dumps({"model": "m", "messages": messages[-30:]}).encode()
        with client.stream("POST", url, content=body) as response:
            answer = b"".join(response.iter_raw())
        text, _, end = answer.rpartition(b"|")
        assert (digest(text), text.split()[0]) == (end, digest(body)), answer
        print(end.decode(), flush=True)
"""


def digest(data):
    return hashlib.sha256(data).hexdigest().encode()


def is_whole(recording):
    """Whether the answer is complete, and one to this request."""
    text, _, end = recording.body.rpartition(b"|")
    return recording.complete and (digest(text), text.split()[0]) == (end, digest(recording.request.body))


@pytest.fixture
def start(server, store_path, tmp_path):
    """Starts the program in a mode; it waits for a line."""

    def act(seen):
        text = digest(seen.body) + b" %d " % len(server.seen) + os.urandom(2000).hex().encode()
        return chunked([text[:500], text[500:1500], text[1500:], b"|" + digest(text)])

    server.on("/v1/chat/completions", act)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    started = []

    def begin(*options, turns=TURNS):
        command = [*LAUNCHER, *options, sys.executable, str(program), server.url, str(turns)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=environ, text=True, **pipes)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def go(*processes):
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def ended(process, code=0):
    """What the program said of its answers."""
    said, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    return said.split()


def look(store, seen):
    """Every step that is to be seen now and was not before, each of them whole."""
    for session in store.sessions():
        for step in store.steps(session.id):
            key = session.id, step.step
            if key not in seen:
                recording = store.recording(*key)
                if step.decision is not Decision.BLOCKED:
                    assert recording is not None, step
                    assert is_whole(recording), step
                seen[key] = step.decision
    return seen


def test_nobody_meets_half_a_step(start, store_path):
    first = start("--name", "first")
    go(first)
    recorded = ended(first)
    recorder, cacher = start("--name", "growing"), start("--cache", "--name", "cached")
    replays = [start("--replay", "first", "--name", f"again {number}") for number in range(2)]
    go(recorder, cacher, *replays)
    store, seen, looks = open_store(str(store_path)), {}, 0
    try:
        while recorder.poll() is None or cacher.poll() is None:
            look(store, seen)
            looks += 1
        assert looks > 1
        answers = {"growing": ended(recorder), "cached": ended(cacher)}
        assert [ended(replay) for replay in replays] == [recorded] * 2
        look(store, seen)
        for name, said in answers.items():
            session = store.resolve(name)
            kept = [store.recording(session.id, step.step) for step in store.steps(session.id)]
            assert [one.body.rpartition(b"|")[2].decode() for one in kept] == said
            assert len(said) == TURNS
        assert set(seen.values()) <= {Decision.RECORD, Decision.HIT, Decision.MISS}
    finally:
        store.close()


def test_a_replay_of_what_is_being_recorded_has_what_is_whole_so_far(start, store_path):
    recorder, replay = start("--name", "growing"), None
    go(recorder)
    store = open_store(str(store_path))
    try:
        while replay is None:
            try:
                if store.resolve("growing").steps > 10:
                    replay = start("--replay", "growing", "--name", "chasing", turns=100_000)
            except UnknownReferenceError:
                time.sleep(0.01)
        go(replay)
        served = ended(replay, code=86)
        said = ended(recorder)
        assert 10 < len(served) <= TURNS
        assert said[: len(served)] == served
        assert set(look(store, {}).values()) == {Decision.RECORD, Decision.HIT, Decision.BLOCKED}
    finally:
        store.close()
