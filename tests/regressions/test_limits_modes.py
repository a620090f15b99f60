"""Known failures of recorders with forks, caches, functions and sessions; rows of ``docs/limits.md``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from drivers import HTTPX_SYNC
from servers import answer, reply

from rewind_auto.core.model import Match, Mode

CHAT = "/v1/chat/completions"
PRELUDE = """
import asyncio, dataclasses, sys
import httpx2
import rewind_auto
from rewind_auto import RewindReplayDivergenceError, cached_call

def ask(text):
    return httpx2.post(sys.argv[1] + "/v1/chat/completions", content=text, trust_env=False).text

ran = []
"""
USED = b'{"object":"chat.completion","model":"m","usage":{"prompt_tokens":7,"completion_tokens":2}}'


@pytest.fixture
def url(server):
    """A server's, each of whose answers is another."""
    server.on("", lambda seen: answer(f"{len(server.seen)} {seen.body.decode()}"))
    return server.url


@pytest.fixture
def run(program, url):
    """Runs a program as users do: what it printed. It may say nothing on stderr."""

    def start(source, *options, **variables):
        done = program(PRELUDE + source, *options, arguments=[url], **variables)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return start


def decisions(steps):
    return [step.decision.value for step in steps]


def asking(driver, server, *questions):
    async def scenario():
        async with driver.client() as client:
            url = server.url + CHAT
            return [
                (await driver.exchange(client, "POST", url, content=text.encode())).body for text in questions
            ]

    return scenario


def test_l14_functions_give_their_types_their_items_and_their_errors_again(run):
    source = """
@dataclasses.dataclass
class Point:
    x: int

@cached_call
def point(x):
    ran.append(x)
    if x < 0:
        raise ValueError(x)
    return Point(x)

@cached_call
def count(most):
    for x in range(most):
        ran.append(x)
        yield Point(x)

@cached_call
async def apoint(x):
    ran.append(x)
    return Point(x)

@cached_call
async def acount(most):
    for x in range(most):
        ran.append(x)
        yield Point(x)

async def main():
    return [await apoint(4)] + [item async for item in acount(2)]

print(point(3), list(count(2)), asyncio.run(main()))
try:
    point(-1)
except ValueError as error:
    print(repr(error))
print(ran)
"""
    said = "Point(x=3) [Point(x=0), Point(x=1)] [Point(x=4), Point(x=0), Point(x=1)]\nValueError(-1)\n"
    assert run(source) == f"{said}[3, 0, 1, 4, 0, 1, -1]\n"
    assert run(source, "--replay", "last") == f"{said}[]\n"


def test_l14_a_cached_result_expires(run, kept):
    source = """
import time
@cached_call(ttl="1h")
def look():
    ran.append(1)

look()
look()
now = time.time
time.time = lambda: now() + 3601
look()
print(len(ran))
"""
    assert run(source, "--cache") == "2\n"
    assert decisions(kept()[0][1]) == ["miss", "hit", "miss"]


def test_l38_a_function_that_is_not_found_uses_up_no_answer(program, url, server, kept):
    """In a replay it does not run; in a cache it does, and what it asks is looked up by what it asks."""
    source = """
@cached_call
def agent(text):
    return ask("tell " + text)

try:
    print(agent(sys.argv[2]))
except RewindReplayDivergenceError:
    print("diverged")
print(ask("tell me"), ask("the end"))
"""

    def start(text, *options):
        return program(PRELUDE + source, *options, arguments=[url, text])

    assert start("one").stdout == '"1 tell one"\n"2 tell me" "3 the end"\n'
    server.forget()
    replayed = start("two", "--replay", "last")
    assert (replayed.returncode, replayed.stdout) == (86, 'diverged\n"2 tell me" "3 the end"\n')
    assert server.seen == []
    cached = start("two", "--cache")
    assert cached.stdout == '"1 tell two"\n"2 tell me" "3 the end"\n'
    assert [seen.body for seen in server.seen] == [b"tell two"]
    assert decisions(kept()[-1][1]) == ["miss", "miss", "hit", "hit"]


@pytest.mark.parametrize("driver", HTTPX_SYNC, ids=repr)
def test_l35_an_answer_by_place_alone_is_asked_for_and_said(trial, server, driver):
    server.on(CHAT, lambda seen: answer(seen.body.decode()))
    trial.record(asking(driver, server, "one", "two"))
    other = asking(driver, server, "one", "another")
    seen, steps = trial.run_as(Mode.REPLAY, other, source=trial.session, match=Match.ALIGNED)
    assert seen == [b'"one"', b'"two"']
    assert [step.match for step in steps] == [Match.EXACT, Match.ALIGNED]
    assert steps[1].note.startswith("takes the place of recorded step 2: ")


@pytest.mark.parametrize("driver", HTTPX_SYNC, ids=repr)
def test_l40_a_fork_writes_nothing_into_what_it_forks(trial, server, driver):
    """A fork of a fork neither; and a replay of it takes what it says for its own."""
    server.on(CHAT, lambda seen: answer(f"{len(server.seen)} {seen.body.decode()}"))
    scenario = asking(driver, server, "one", "two", "three")
    trial.record(scenario)
    sessions = [trial.session]
    for cut in (2, 3):
        kept = [trial.steps(session) for session in sessions]
        forked, _ = trial.run_as(Mode.FORK, scenario, source=f"{sessions[-1]}@{cut}")
        assert [trial.steps(session) for session in sessions] == kept
        sessions.append(trial.session)
    assert trial.replay(scenario) == forked
    assert [len(trial.steps(session)) for session in sessions] == [3, 3, 3]


def test_l41_nor_is_what_follows_a_session_inside(run, kept):
    source = """
with rewind_auto.session("first"):
    ask("one")
ask("two")
with rewind_auto.session("again", mode="replay", source="first"):
    ask("one")
ask("three")
"""
    run(source)
    assert {session.name: decisions(steps) for session, steps in kept()} == {
        "program": ["record", "record"],
        "first": ["record"],
        "again": ["hit"],
    }


def test_l56_the_second_of_two_equal_calls_is_served(run, server, kept):
    """In the same run, the first one too; of functions as of the model."""
    source = """
@cached_call
def look(text):
    ran.append(text)
    return [text, len(ran)]

print(ask("hello") == ask("hello"), look("a"), look("a"), len(ran))
"""
    assert run(source, "--cache") == "True ['a', 1] ['a', 1] 1\n"
    assert len(server.seen) == 1
    assert decisions(kept()[0][1]) == ["miss", "hit", "miss", "hit"]


def test_l57_what_is_saved_is_what_was_served_by_whichever_process(program, url, server, kept):
    """A fork that serves one of two steps has saved one; one that has served none yet has saved nothing."""
    server.on(CHAT, reply(USED, headers=[("Content-Type", "application/json")]))
    source = """
import os
ask('{"model": "m", "messages": [{"role": "user", "content": "one"}]}')
if not os.fork():
    ask('{"model": "m", "messages": [{"role": "user", "content": "two"}]}')
    sys.exit()
os.wait()
"""
    saved = []
    for options in ([], ["--replay", "last"], ["--fork", "last@2"], ["--fork", "last@1"]):
        assert program(PRELUDE + source, *options, arguments=[url]).returncode == 0
        command = [sys.executable, "-m", "rewind_auto.cli.main", "stats", kept()[-1][0].id, "--json"]
        stats = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        saved.append((stats["hits"], stats["saved"]["input_tokens"], stats["saved"]["output_tokens"]))
    assert saved == [(0, 0, 0), (2, 14, 4), (1, 7, 2), (0, 0, 0)]
