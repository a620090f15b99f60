"""Known failures of recorders in a replay; the rows are those of ``docs/limits.md``."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import ssl
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme
from servers import CUT, HANG, Server, answer, chunked, sse

from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Decision

CHAT = "/v1/chat/completions"


def asking(driver, server, *questions, path=CHAT, manner="buffered", **options):
    """Asks one after the other, each a call of its own."""

    async def scenario():
        async with driver.client() as client:
            url = server.url + path
            return [
                await driver.exchange(client, "POST", url, manner, content=body(question), **options)
                for question in questions
            ]

    return scenario


def body(question):
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": question}]}).encode()


def refused(trial, scenario, match=None):
    """The replay raises, and a server that would answer is not asked. Returns what was decided."""
    [server] = trial.served
    server.forget()
    trial.replaying = uuid.uuid4().hex
    with (
        trial.agent("replay", trial.replaying, source=trial.session),
        pytest.raises(RewindReplayDivergenceError, match=match),
    ):
        trial.driver.run(scenario())
    assert (server.stopping.is_set(), server.connections, server.seen) == (False, 0, [])
    return [step.decision for step in trial.steps(trial.replaying)]


def test_l19_a_mismatch_raises_and_nothing_is_sent(trial, server, driver):
    server.on(CHAT, answer(1))
    trial.record(asking(driver, server, "hello"))
    assert refused(trial, asking(driver, server, "hallo"), "hello.*hallo") == [Decision.BLOCKED]


def test_l34_a_recorded_429_is_a_429_with_its_headers(trial, server, driver):
    told = {"Retry_After": "7", "X_Request_Id": "r1", "X_Ratelimit_Remaining_Requests": "0"}
    server.on(CHAT, answer({"error": {"message": "slow down"}}, 429, **told))
    trial.record(asking(driver, server, "hello"))
    [got] = trial.replay(asking(driver, server, "hello"))
    assert (got.response["status"], json.loads(got.body)) == (429, {"error": {"message": "slow down"}})
    seen = {_text(name).lower(): _text(value) for name, value in got.response["headers"]}
    assert (seen["x-request-id"], seen["x-ratelimit-remaining-requests"]) == ("r1", "0")
    assert seen["retry-after"] == "0"  # it is there, and nobody has to wait


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def test_l35_no_answer_is_given_to_another_question(trial, server, driver):
    """Whatever is left of the recording, in whatever place."""
    server.on(CHAT, lambda seen: answer(json.loads(seen.body)["messages"][0]["content"]))
    trial.record(asking(driver, server, "one", "two", "three"))
    decisions = refused(trial, asking(driver, server, "one", "another", "three"))
    assert decisions == [Decision.HIT, Decision.BLOCKED]
    replayed = trial.replay(asking(driver, server, "three", "one", "two"))
    assert [json.loads(got.body) for got in replayed] == ["three", "one", "two"]


def test_l36_parallel_calls_get_their_own_answers(trial, server, driver):
    """Twenty at once, begun in another order every time, answered in any."""
    delays, orders = random.Random(7), random.Random(8)

    def act(seen):
        return chunked([b"answer to ", seen.body], pause=delays.uniform(0, 0.02))

    server.on(CHAT, act)

    async def scenario():
        numbers = orders.sample(range(20), 20)
        async with driver.client() as client:

            def ask(number):
                return driver.exchange(client, "POST", server.url + CHAT, content=b"%d" % number)

            if driver.asynchronous:
                got = await asyncio.gather(*map(ask, numbers))
            else:
                with ThreadPoolExecutor(20) as pool:
                    got = list(pool.map(lambda number: driver.run(ask(number)), numbers))
        return sorted((number, bytes(one.body)) for number, one in zip(numbers, got, strict=True))

    expected = [(number, b"answer to %d" % number) for number in range(20)]
    assert trial.record(scenario)[0] == expected
    for _ in range(3):
        assert trial.replay(scenario) == expected


def test_l39_a_call_without_a_recording_is_not_sent_again(trial, server, driver):
    """It was seen but not kept, being too large; or not all of it was read."""
    trial.options["max_body"] = 1000
    server.on(CHAT, chunked([b"x" * 500] * 3))
    trial.record(asking(driver, server, "hello"))
    assert [step.decision for step in trial.steps()] == [Decision.BYPASS]
    assert refused(trial, asking(driver, server, "hello")) == [Decision.BLOCKED]


def test_l39_a_stream_that_was_left_is_no_more_than_it_was(trial, server, driver):
    server.on(CHAT, sse("one", "two", "three", pause=0.02))

    def reading(take):
        async def scenario():
            async with driver.client() as client:
                url = server.url + CHAT
                return await driver.exchange(client, "POST", url, "raw", take=take, content=b"{}")

        return scenario

    recorded, _ = trial.record(reading(1))
    assert refused(trial, reading(None), "asks for more of its answer")[0] is Decision.HIT
    assert trial.replay(reading(1)) == recorded


def test_l40_a_replay_writes_nothing_into_what_it_replays(trial, server, driver):
    server.on(CHAT, answer(1))
    trial.record(asking(driver, server, "one", "two"))
    recorded = trial.steps()
    refused(trial, asking(driver, server, "one", "another"))
    assert trial.steps() == recorded
    with trial._reading() as store:
        replay, source = store.sessions()
    assert (replay.parent, replay.steps, source.steps) == (source.id, 2, 2)


def test_l42_past_the_end_nothing_is_sent(trial, server, driver):
    server.on(CHAT, answer(1))
    trial.record(asking(driver, server, "hello"))
    assert refused(trial, asking(driver, server, "hello", "hello")) == [Decision.HIT, Decision.BLOCKED]


def test_l42_an_answer_of_another_kind_is_none(trial, server, driver):
    server.on("", answer(1))
    trial.record(asking(driver, server, "hello"))
    assert refused(trial, asking(driver, server, "hello", path="/v1/embeddings")) == [Decision.BLOCKED]


def test_l47_a_store_that_hangs_holds_nobody_up(trial, server, driver):
    """Thirty calls, at once where the library can, while another process has the store locked."""
    server.on(CHAT, answer(1))
    trial.record(asking(driver, server, "hello"))  # there is a store

    async def scenario():
        if not driver.asynchronous:
            return await asking(driver, server, *"abcdefghij" * 3)()
        async with driver.client() as client:
            ask = lambda n: driver.exchange(client, "POST", server.url + CHAT, content=b"%d" % n)  # noqa: E731
            return await asyncio.gather(*map(ask, range(30)))

    def timed():
        started = time.perf_counter()
        assert [got.body for got in driver.run(scenario())] == [b"1"] * 30
        return time.perf_counter() - started

    plain = timed()
    locked = sqlite3.connect(trial.store, isolation_level=None)
    with locked as other, trial.agent("record", "a" * 32) as agent:
        other.execute("BEGIN IMMEDIATE")
        assert timed() < plain + 1
        other.execute("COMMIT")
        agent.close()
    assert len(trial.steps("a" * 32)) == 30


@pytest.mark.parametrize("trouble", ["refused", "no answer", "breaks off"])
def test_l54_errors_and_timeouts_are_recorded_and_raised_again(trial, server, driver, trouble):
    acts = {"no answer": [HANG], "breaks off": chunked([b"data: one\n\n"], end=[CUT])}
    server.on(CHAT, acts.get(trouble, []))
    if trouble == "refused":
        server.stop()
    manner = "lines" if trouble == "breaks off" else "buffered"
    scenario = asking(driver, server, "hello", manner=manner, timeout=0.3 if trouble == "no answer" else 5)
    [plain] = trial.plain(scenario)[0]
    assert plain.error
    [step] = trial.check(scenario)
    assert driver.names(step.error, plain.error)
    assert not step.complete


def test_l54_a_refused_certificate_is_recorded_and_raised_again(trial, driver, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Server(context) as server:
        trial.served = [server]
        scenario = asking(driver, server, "hello")
        assert trial.plain(scenario)[0][0].error
        assert len(trial.check(scenario)) == 1
