"""Calls that are too large, and stores that are not to be had: the program does not notice."""

from __future__ import annotations

import asyncio
import sqlite3
import time

import anyio
import pytest
from servers import answer, chunked, head

from rewind_auto import RewindReplayDivergenceError
from rewind_auto.core.model import Decision

BIG = [b"x" * 1000 + b"\n"] * 20


@pytest.fixture(params=["buffered", "raw", "lines"])
def manner(request):
    return request.param


def asking(driver, server, manner="buffered", **options):
    async def scenario():
        async with driver.client() as client:
            made = {name: make() for name, make in options.items()}
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", manner, **made)

    return scenario


def left_alone(trial, scenario):
    """Recorded as plain, with nothing kept but that it was."""
    plain, sent = trial.plain(scenario)
    assert trial.record(scenario) == (plain, sent)
    [step] = trial.steps()
    assert step.decision is Decision.BYPASS
    with trial._reading() as store:
        assert store.recording(trial.session, 1) is None
    return step


def test_an_answer_that_is_too_large(trial, server, driver, manner):
    trial.options["max_body"] = 5000
    server.on("/v1/x", chunked(BIG))
    step = left_alone(trial, asking(driver, server, manner, content=lambda: b"{}"))
    assert "5000" in step.note
    assert trial.store.stat().st_size < 200_000


@pytest.mark.parametrize("streamed", [False, True])
def test_a_request_that_is_too_large(trial, server, driver, manner, streamed):
    trial.options["max_body"] = 5000
    server.on("/v1/x", answer(1))
    content = (lambda: driver.upload(BIG)) if streamed else (lambda: b"".join(BIG))
    left_alone(trial, asking(driver, server, manner, content=content))
    assert server.seen[0].body == b"".join(BIG)


def test_a_call_that_just_fits(trial, server, driver):
    trial.options["max_body"] = 2 + len(b"".join(BIG))
    server.on("/v1/x", chunked(BIG))
    [step] = trial.check(asking(driver, server, content=lambda: b"{}"))
    assert step.decision is Decision.RECORD


def test_calls_around_a_large_one(trial, server, driver):
    """Numbers go on, and the replay says what is missing."""
    trial.options["max_body"] = 5000
    server.on("/v1/x", answer(1), chunked(BIG), answer(3))

    async def scenario():
        return [await asking(driver, server, content=lambda n=n: b"%d" % n)() for n in range(3)]

    trial.record(scenario)
    assert [step.decision for step in trial.steps()] == [Decision.RECORD, Decision.BYPASS, Decision.RECORD]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_replay_says_that_a_request_is_too_large(trial, server, driver, streamed):
    trial.options["max_body"] = 5000
    server.on("/v1/x", answer(1))
    content = (lambda: driver.upload(BIG)) if streamed else (lambda: b"".join(BIG))
    scenario = asking(driver, server, content=content)
    trial.record(scenario)
    with pytest.raises(RewindReplayDivergenceError, match="request is larger than 5000 bytes"):
        trial.replay(scenario, clean=False)


def test_a_replay_says_that_an_answer_was_too_large(trial, server, driver):
    trial.options["max_body"] = 5000
    server.on("/v1/x", answer(1), chunked(BIG))

    async def scenario():
        return [await asking(driver, server, content=lambda n=n: b"%d" % n)() for n in range(2)]

    trial.record(scenario)
    with pytest.raises(
        RewindReplayDivergenceError, match=r"recorded step 2 asked the same, .* larger than 5000 bytes"
    ):
        trial.replay(scenario, clean=False)


def test_an_answer_in_very_many_pieces(trial, server, driver):
    """A piece takes memory, however little is in it."""
    if driver.library == "aiohttp":
        pytest.skip("the library puts pieces together that come at once")
    trial.options["max_body"] = 5000
    events = b"".join(b"1\r\n%d\r\n" % (number % 10) for number in range(2000))
    server.on("/v1/x", [head(200, [("Transfer-Encoding", "chunked")]), events, b"0\r\n\r\n"])
    step = left_alone(trial, asking(driver, server, "raw", content=lambda: b"{}"))
    assert step.note == "in too many pieces"


@pytest.mark.parametrize("broken", ["a directory", "foreign", "not writable"])
def test_a_store_that_cannot_be_used(trial, server, driver, broken, manner, monkeypatch, capsys):
    from rewind_auto.core import guard

    monkeypatch.setattr(guard, "_seen", set())
    if broken == "a directory":
        trial.store.mkdir(parents=True)
    elif broken == "foreign":
        trial.store.parent.mkdir(parents=True)
        trial.store.write_bytes(b"SQLite format 3\x00 or so it says" * 100)
    else:
        trial.store = trial.store.parent.parent / "file" / "rewind.db"
        trial.store.parent.write_bytes(b"")
    before = trial.store.read_bytes() if broken == "foreign" else None
    server.on("/v1/x", chunked(BIG))

    async def scenario():
        return [await asking(driver, server, manner, content=lambda: b"{}")() for _ in range(2)]

    plain, sent = trial.plain(scenario)
    assert trial.record(scenario) == (plain, sent)
    told = capsys.readouterr().err
    assert told.count("nothing is recorded") == 1, told
    assert before is None or trial.store.read_bytes() == before


def test_a_store_that_another_process_has_locked(trial, server, driver, manner):
    """Calls go on at their own pace; what was recorded is written once the lock is gone."""
    server.on("/v1/x", chunked(BIG))

    async def calls(number):
        return [await asking(driver, server, manner, content=lambda n=n: b"%d" % n)() for n in range(number)]

    trial.record(lambda: calls(1))  # there is a store
    plain, _ = trial.plain(lambda: calls(5))
    with (
        sqlite3.connect(trial.store, isolation_level=None) as other,
        trial.agent("record", "a" * 32) as agent,
    ):
        other.execute("BEGIN IMMEDIATE")
        started = time.perf_counter()
        assert driver.run(calls(5)) == plain
        assert (
            time.perf_counter() - started < 1.0
        )  # five calls that waited their turn would take many seconds
        with trial._reading() as store:
            assert "a" * 32 not in {known.id for known in store.sessions()}
        other.execute("COMMIT")
        agent.close()
    assert [step.decision for step in trial.steps("a" * 32)] == [Decision.RECORD] * 5
    bodies = {trial.recording(number, "a" * 32).request.body for number in range(1, 6)}
    assert bodies == {b"0", b"1", b"2", b"3", b"4"}


def test_a_program_that_has_replaced_sleep(trial, server, driver, monkeypatch):
    """As the tests of openai do, to see what it sleeps: our waits for the store are not the program's."""
    server.on("/v1/x", answer(1))
    ask = asking(driver, server, content=lambda: b"{}")
    trial.record(ask)  # there is a store
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    with (
        sqlite3.connect(trial.store, isolation_level=None) as other,
        trial.agent("record", "a" * 32) as agent,
    ):
        other.execute("BEGIN IMMEDIATE")
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", slept.append)
            patch.setattr(asyncio, "sleep", sleep)
            patch.setattr(anyio, "sleep", sleep)
            driver.run(ask())
            agent.runtime().behind.flush(0.2)
        other.execute("COMMIT")
        agent.close()
    assert slept == []
    assert len(trial.steps("a" * 32)) == 1
