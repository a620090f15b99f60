"""``with rewind_auto.session(…)``: calls inside are a session of their own."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

import rewind_auto
from rewind_auto import inner
from rewind_auto.core.errors import RewindReplayDivergenceError, UnknownReferenceError
from rewind_auto.core.model import Mode
from rewind_auto.settings import SettingsError


def decisions(steps):
    return [step.decision.value for step in steps]


@contextmanager
def installed(**options):
    rewind_auto.install(**options)
    try:
        yield
    finally:
        rewind_auto.uninstall()


def test_only_what_is_inside_is_recorded(ask, kept):
    ask("before")
    with rewind_auto.session("mine") as own:
        assert rewind_auto.is_installed()
        ask("one")
        ask("two")
    ask("after")
    assert not rewind_auto.is_installed()
    ((session, steps),) = kept().values()
    assert (session.id, session.name, session.outer, session.status) == (own.id, "mine", None, "completed")
    assert len(steps) == 2


def test_names_that_are_none():
    with pytest.raises(TypeError, match=r"^name must be a str, not int$"):
        rewind_auto.session(3)
    with pytest.raises(SettingsError, match=r"^REWIND_SESSION_NAME='': is empty$"):
        rewind_auto.session("")


def test_no_state_is_left(ask):
    environment, client = dict(os.environ), ask.__globals__["httpx2"].Client._transport_for_url
    with pytest.raises(ZeroDivisionError), rewind_auto.session("mine"):
        ask(1 / 0)
    assert inner.current() is None
    assert not inner._opened
    assert dict(os.environ) == environment
    assert ask.__globals__["httpx2"].Client._transport_for_url is client


def test_recorded_and_replayed(ask, server, kept):
    with rewind_auto.session("mine"):
        said = [ask("one"), ask("two")]
    server.stop()
    with rewind_auto.session("again", mode="replay", source="mine"):
        assert [ask("one"), ask("two")] == said
        with pytest.raises(RewindReplayDivergenceError):
            ask("three")
    session, steps = kept()["again"]
    assert session.parent == kept()["mine"][0].id
    assert session.status == "diverged"
    assert decisions(steps) == ["hit", "hit", "blocked"]


def test_forked_and_cached(ask, kept):
    with rewind_auto.session("mine"):
        assert ask("one") == "1: one"
        ask("two")
    with rewind_auto.session("forked", mode="fork", source="mine@2"):
        assert [ask("one"), ask("two")] == ["1: one", "3: two"]
    with rewind_auto.session("cached", mode="cache"):
        assert [ask("two"), ask("three")] == ["3: two", "4: three"]
    assert decisions(kept()["forked"][1]) == ["hit", "record"]
    assert decisions(kept()["cached"][1]) == ["hit", "miss"]


def test_nested(ask, kept):
    with rewind_auto.session("outer") as outer:
        ask("1")
        with rewind_auto.session("inner") as nested:
            ask("2")
        ask("3")
    found = kept()
    assert [len(found[name][1]) for name in ("outer", "inner")] == [2, 1]
    assert found["inner"][0].outer == outer.id
    assert nested.id == found["inner"][0].id


def test_inside_an_installed_agent(ask, kept):
    with installed(name="process"):
        ask("1")
        with rewind_auto.session("inner"):
            ask("2")
        with rewind_auto.session(mode="off"):
            ask("not kept")
        ask("3")
    found = kept()
    assert found.keys() == {"process", "inner"}
    assert [len(found[name][1]) for name in ("process", "inner")] == [2, 1]
    assert found["inner"][0].outer == found["process"][0].id


def test_an_agent_installed_inside_stays(ask, kept):
    with rewind_auto.session("mine"):
        rewind_auto.install(name="program")
        ask("inside")
    assert rewind_auto.is_installed()
    ask("after")
    rewind_auto.uninstall()
    assert {name: len(steps) for name, (_, steps) in kept().items()} == {"mine": 1, "program": 1}


async def test_each_task_has_its_own(aask, kept):
    async def work(name):
        async with rewind_auto.session(name):
            await aask(name)
            await asyncio.gather(aask(name), aask(name))

    await asyncio.gather(*(work(f"task {number}") for number in range(5)))
    found = kept()
    assert found.keys() == {f"task {number}" for number in range(5)}
    for name, (_, steps) in found.items():
        assert len(steps) == 3, name


def test_each_thread_has_its_own(ask, kept):
    together = threading.Barrier(4)

    def work(name):
        with rewind_auto.session(name):
            together.wait(10)
            ask(name)
            together.wait(10)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, ["a", "b", "c", "d"]))
    assert {name: len(steps) for name, (_, steps) in kept().items()} == dict.fromkeys("abcd", 1)


def test_a_thread_started_inside_belongs_to_it(ask, kept):
    waiting, go = threading.Event(), threading.Event()

    def stranger():
        waiting.set()
        go.wait(10)
        ask("not kept")

    outside = threading.Thread(target=stranger)
    outside.start()
    waiting.wait(10)
    with rewind_auto.session("mine"), rewind_auto.session("inside"):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ask, ["1", "2", "3"]))
        go.set()
        outside.join(10)
    assert {name: len(steps) for name, (_, steps) in kept().items()} == {"inside": 3, "mine": 0}


def test_a_thread_started_elsewhere_does_not(ask, kept):
    """As a server does that has a thread for each request: one of them has a session open."""
    entered, done = threading.Event(), threading.Event()

    def with_session():
        with rewind_auto.session("mine"):
            entered.set()
            done.wait(10)
            ask("mine")

    def without():
        ask("not kept")

    first = threading.Thread(target=with_session)
    first.start()
    entered.wait(10)
    second = threading.Thread(target=without)
    second.start()
    second.join(10)
    done.set()
    first.join(10)
    assert {name: len(steps) for name, (_, steps) in kept().items()} == {"mine": 1}


def test_threads_are_started_as_ever_afterwards():
    before = threading.Thread.start
    with rewind_auto.session("one"), rewind_auto.session("two"):
        assert threading.Thread.start is not before
    assert threading.Thread.start is before


def test_threads_are_started_where_another_tool_wraps_the_start(monkeypatch):
    with rewind_auto.session("one"):
        ours = threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", lambda thread: [ours(thread)][0])
    with rewind_auto.session("two"):
        seen = []
        thread = threading.Thread(target=lambda: seen.append(inner.current()))
        thread.start()
        thread.join(10)
        assert seen == [inner.current()]


async def test_one_session_object_in_two_tasks(aask, server):
    """The first to leave it leaves its own: the other one is still in a strict replay."""
    async with rewind_auto.session("mine"):
        await aask("one")
    server.forget()
    shared = rewind_auto.session(mode="replay", source="mine")
    entered, left = asyncio.Event(), asyncio.Event()

    async def first():
        async with shared:
            await entered.wait()
        left.set()

    async def second():
        async with shared:
            entered.set()
            await left.wait()
            with pytest.raises(RewindReplayDivergenceError):
                await aask("two")

    await asyncio.gather(first(), second())
    assert server.seen == []


def test_a_program_with_sessions_replays_whole(ask, server, kept):
    """Sessions of one name too: each is found by what it asks."""

    def program():
        said = [ask("start")]
        for text in ("x", "y"):
            with rewind_auto.session("chat"):
                said += [ask(text), ask("then")]
                with rewind_auto.session("deep"):
                    said.append(ask(f"deep {text}"))
        return said

    with installed(name="recorded"):
        said = program()
    server.stop()
    with installed(mode="replay", source="recorded", name="replayed"):
        assert program() == said


def test_sessions_of_one_name_in_another_order(ask, server):
    def program(texts):
        said = {}
        for text in texts:
            with rewind_auto.session("chat"):
                said[text] = [ask(text), ask("then")]
        return said

    with installed(name="recorded"):
        said = program("xyz")
    server.stop()
    with installed(mode="replay", source="recorded"):
        assert program("zxy") == said


def test_a_strict_replay_lets_no_session_out(ask, server):
    with installed(name="recorded"):
        ask("one")
        with rewind_auto.session("free", mode="off"):
            ask("two")
    server.forget()
    with installed(mode="replay", source="recorded"):
        fork = {"mode": "fork", "source": "recorded"}
        for options in ({"mode": "off"}, {"mode": "record"}, {"mode": "cache"}, fork, {}):
            with rewind_auto.session("free", **options), pytest.raises(RewindReplayDivergenceError):
                ask("two")
    assert server.seen == []


def test_what_makes_no_sense(ask, kept):
    for wrong in ({"mode": "both"}, {"mode": "replay"}, {"mode": "fork", "source": "x@0"}, {"speed": -1}):
        with pytest.raises(SettingsError):
            rewind_auto.session("mine", **wrong)
    with rewind_auto.session("mine"):
        ask("one")
    with pytest.raises(UnknownReferenceError), rewind_auto.session(mode="replay", source="nosuch"):
        pass
    assert not rewind_auto.is_installed()


def test_switched_off_by_the_operator(ask, monkeypatch, store_path):
    monkeypatch.setenv("REWIND_MODE", "off")
    with rewind_auto.session("mine"):
        ask("one")
    assert not store_path.exists()


@pytest.mark.parametrize("by", ["trace", "header:x-chat"])
def test_a_server_has_a_session_for_each_conversation(ask, server, kept, monkeypatch, by):
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("server")
    monkeypatch.setenv("REWIND_SESSION_BY", by)
    ready = threading.Barrier(3)

    def conversation(name):
        with tracer.start_as_current_span("request"):
            said = []
            for turn in range(3):
                ready.wait(10)
                said.append(ask(f"{name} {turn}", **{"x-chat": name}))
            return said

    def serve():
        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(conversation, ["ann", "bob", "cyd"]))

    with installed(name="server"):
        said = serve()
    sessions = [(session, steps) for session, steps in kept().values() if session.outer]
    assert len(sessions) == 3
    if by != "trace":
        assert {session.name for session, _ in sessions} == {"ann", "bob", "cyd"}
    for _, steps in sessions:
        assert len(steps) == 3
    server.stop()
    monkeypatch.delenv("REWIND_SESSION_BY")  # the recording says
    with installed(mode="replay", source="server", name="again"):
        assert serve() == said


def test_without_a_key_a_call_is_the_process_s(ask, kept, monkeypatch):
    monkeypatch.setenv("REWIND_SESSION_BY", "header:x-chat")
    with installed(name="server"):
        ask("startup")
        ask("hello", **{"X-Chat": "ann"})
    assert {name: len(steps) for name, (_, steps) in kept().items()} == {"server": 1, "ann": 1}


def test_the_modes_are_those_of_the_settings():
    assert {mode.value for mode in Mode} == {"record", "cache", "replay", "fork", "off"}
