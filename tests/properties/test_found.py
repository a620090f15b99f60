"""What random agents have found, where a plan of one cannot say it: other programs, and races."""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial

import httpx2
import pytest
from servers import Server, answer

import rewind_auto
from rewind_auto import cached_call
from rewind_auto.cli import main
from rewind_auto.core import guard
from rewind_auto.store import open_store
from rewind_auto.store.writing import Writer


@pytest.fixture
def server():
    with Server() as running:
        running.on("/v1/chat/completions", lambda seen: answer(f"{len(running.seen)}: {seen.body.decode()}"))
        yield running


@pytest.fixture
def ask(server):
    """Asks the server, in a thread."""

    def post(text):
        with httpx2.Client(trust_env=False) as client:
            return client.post(f"{server.url}/v1/chat/completions", content=text).json()

    return post


@pytest.fixture
def said(monkeypatch):
    """What is said on stderr."""
    lines = []
    monkeypatch.setattr(guard, "_seen", set())
    monkeypatch.setattr(guard, "say", lines.append)
    return lines


@contextmanager
def installed(**options):
    rewind_auto.install(hosts=["127.0.0.1"], **options)
    try:
        yield
    finally:
        rewind_auto.uninstall()


def steps(store_path, name):
    with closing(open_store(str(store_path))) as store:
        return store.steps(store.resolve(name).id)


def decisions(store_path, name):
    return [step.decision.value for step in steps(store_path, name)]


def test_threads_begin_the_session_that_they_share_at_once(ask, store_path, monkeypatch):
    def program():
        with rewind_auto.session("shared"), ThreadPoolExecutor(8) as pool:
            return list(pool.map(ask, "abcdefgh"))

    with installed(name="recorded"):
        recorded = program()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    try:
        for number in range(10):
            with installed(mode="replay", source="recorded", name=f"replay {number}"):
                assert program() == recorded
    finally:
        sys.setswitchinterval(interval)
    with closing(open_store(str(store_path))) as store:
        [source, *others] = [one for one in reversed(store.sessions()) if one.name == "shared"]
        assert {one.parent for one in others} == {source.id}


def test_times_count_from_when_a_call_goes_out(ask, store_path, monkeypatch):
    """Not from before it was numbered, which the store may take its time for."""
    reserve, numbered = Writer.reserve, []

    def watched(store, session):
        number = reserve(store, session)
        numbered.append(time.time())
        return number

    monkeypatch.setattr(Writer, "reserve", watched)
    with installed(name="recorded"):
        ask("hello")
        ended = time.time()
    [step] = steps(store_path, "recorded")
    assert numbered[0] <= step.started_at
    assert step.started_at + step.duration_ms / 1000 <= ended


async def test_an_answer_gets_through_the_program_before_the_next_one_comes(server, monkeypatch):
    """Here it takes the program some slow turns of its event loop."""
    slow = {b"first": 0.01, b"second": 0.1}
    server.on("/v1/chat/completions", lambda seen: [slow[seen.body], *answer(seen.body.decode())])
    monkeypatch.setenv("REWIND_ORDER", "recorded")

    async def ask(client, text, turns):
        await client.post(f"{server.url}/v1/chat/completions", content=text)
        for _ in range(turns):
            await asyncio.sleep(0)
            time.sleep(0.005)  # noqa: ASYNC251 - on purpose: others are due meanwhile
        return text

    async def program():
        async with httpx2.AsyncClient(trust_env=False) as client:
            asked = [ask(client, "second", 0), ask(client, "first", 2)]
            return [await one for one in asyncio.as_completed(asked)]

    with installed(name="recorded"):
        assert await program() == ["first", "second"]
    for _ in range(3):
        with installed(mode="replay", source="recorded"):
            assert await program() == ["first", "second"]


def test_a_fork_that_leaves_keeps_no_answer_waiting_for_what_will_not_come(server, said, monkeypatch):
    slow = {b"long": 0.2, b"short": 0.0}
    server.on("/v1/chat/completions", lambda seen: [slow.get(seen.body, 0.0), *answer(seen.body.decode())])
    monkeypatch.setenv("REWIND_ORDER", "recorded")

    async def program(*texts):
        async with httpx2.AsyncClient(trust_env=False) as client:
            post = partial(client.post, f"{server.url}/v1/chat/completions")
            return [got.json() for got in await asyncio.gather(*(post(content=text) for text in texts))]

    with installed(name="recorded"):
        asyncio.run(program("long", "short"))
    with installed(mode="fork", source="recorded"):
        assert asyncio.run(program("long", "another")) == ["long", "another"]
    assert said == []


def test_a_call_past_the_cut_is_no_call_that_was_left_out(ask, store_path, said):
    """One line of work is past the cut while another is still before it."""
    with installed(name="recorded"):
        recorded = {text: ask(text) for text in ("a1", "b1", "a2", "a3")}
    with installed(mode="fork", source="recorded@3", name="forked"):
        forked = {text: ask(text) for text in ("a1", "a2", "a3 anew", "b1")}
    assert decisions(store_path, "forked") == ["hit", "miss", "miss", "hit"]
    assert (forked["a1"], forked["b1"]) == (recorded["a1"], recorded["b1"])
    assert said == []


def test_a_session_past_the_cut_takes_no_other_ones_place(ask, store_path):
    with installed(name="recorded"):
        with rewind_auto.session("chat"):
            recorded = ask("before")
        ask("step 1")
    with installed(mode="fork", source="recorded@1", name="forked"):
        ask("step 1")
        with rewind_auto.session("chat"):
            ask("something new")
        with rewind_auto.session("chat"):
            assert ask("before") == recorded


def test_what_a_function_asked_is_its_own_with_ignored_paths_too(ask, monkeypatch):
    monkeypatch.setenv("REWIND_IGNORE", "run")

    @cached_call
    def agent(run):
        return ask(f'{{"run": "{run}"}}')

    def program(run):
        asked = f'{{"run": "{run}"}}'
        return [ask(asked), agent("same"), ask(asked), ask(asked)]

    with installed(name="recorded"):
        recorded = program("monday")
    with installed(mode="replay", source="recorded"):
        assert program("tuesday") == recorded


def test_what_a_function_asked_is_not_to_be_edited(ask, store_path, capsys):
    """A fork would serve the function, and nobody would ask for what was edited."""

    @cached_call
    def agent():
        return ask("hello")

    with installed(name="recorded"):
        agent()
    assert main.run(["edit", "recorded", "--step", "2", "--status", "500"]) == 2
    assert capsys.readouterr().err == "rewind-auto: step 2 is part of step 1: edit what that one gave\n"
