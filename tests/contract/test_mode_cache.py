"""Cache mode: recorded successes of any session are served, everything else goes out."""

from __future__ import annotations

import json
import time

import pytest
import urllib3
from servers import CUT, answer, chunked, head, sse

from rewind_auto.core.model import Decision, Kind, Match, Mode

CHAT = "/v1/chat/completions"


def asking(driver, server, *bodies, path=CHAT, method="POST", manner="buffered"):
    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}{path}"
            return [await driver.exchange(client, method, url, manner, content=body) for body in bodies]

    return scenario


def decisions(steps):
    return [step.decision.value for step in steps]


def test_what_another_session_recorded_is_served(trial, server, driver):
    server.on(CHAT, lambda seen: sse(f'{{"asked":{seen.body.decode()}}}', "{}"))
    scenario = asking(driver, server, b"1", b"2", manner="lines")
    live, _ = trial.record(scenario)
    recorded = trial.session
    server.stop()
    cached, steps = trial.run_as(Mode.CACHE, scenario)
    assert cached == live
    assert decisions(steps) == ["hit", "hit"]
    assert [(step.source.session, step.source.step, step.match) for step in steps] == [
        (recorded, 1, Match.EXACT),
        (recorded, 2, Match.EXACT),
    ]


def test_a_miss_is_recorded_and_served_from_then_on(trial, server, driver):
    server.on(CHAT, lambda _: answer(len(server.seen)))
    scenario = asking(driver, server, b"{}", b"{}", b"{}")
    live, steps = trial.run_as(Mode.CACHE, scenario)
    assert decisions(steps) == ["miss", "hit", "hit"]
    assert [got.body for got in live] == [live[0].body] * 3
    first = trial.session
    again, steps = trial.run_as(Mode.CACHE, scenario)
    assert (again, decisions(steps)) == (live, ["hit"] * 3)
    assert {(step.source.session, step.source.step) for step in steps} == {(first, 1)}


def test_the_newest_answer_counts(trial, server, driver):
    scenario = asking(driver, server, b"{}")
    for text in ("old", "new"):
        server.on(CHAT, answer(text))
        trial.record(scenario)
    (got,), _ = trial.run_as(Mode.CACHE, scenario)
    assert got.body == b'"new"'


def test_the_same_content_in_other_bytes(trial, server, driver):
    server.on(CHAT, answer(1))
    trial.record(asking(driver, server, json.dumps({"a": 1, "b": 2}).encode()))
    _, (step,) = trial.run_as(Mode.CACHE, asking(driver, server, json.dumps({"b": 2, "a": 1}).encode()))
    assert (step.decision, step.match) == (Decision.HIT, Match.RENAMED)


@pytest.mark.parametrize("bad", [answer("no", 500), answer("slow down", 429), answer("no such model", 404)])
def test_an_error_is_never_served(trial, server, driver, bad):
    scenario = asking(driver, server, b"{}")
    server.on(CHAT, bad)
    trial.record(scenario)
    server.on(CHAT, answer("well"))
    (got,), steps = trial.run_as(Mode.CACHE, scenario)
    assert (got.body, decisions(steps)) == (b'"well"', ["miss"])


def test_half_an_answer_is_never_served(trial, server, driver):
    scenario = asking(driver, server, b"{}")
    server.on(CHAT, [head(200, [("Content-Length", "100")]), b"half", CUT])
    (plain,), _ = trial.record(scenario)
    if driver.id == "requests" and urllib3.__version__ < "2":
        pytest.skip("urllib3 1 takes it for a whole one, and so does the program")
    assert plain.error
    server.on(CHAT, chunked([b"whole"]))
    (got,), steps = trial.run_as(Mode.CACHE, scenario)
    assert (got.body, decisions(steps)) == (b"whole", ["miss"])


def test_what_is_no_inference_goes_out_every_time(trial, server, driver):
    scenario = asking(driver, server, b"", path="/v1/batches/1", method="GET")
    server.on("/v1/batches/1", answer("running"))
    trial.record(scenario)
    server.on("/v1/batches/1", answer("done"))
    (got,), (step,) = trial.run_as(Mode.CACHE, scenario)
    assert got.body == b'"done"'
    assert (step.kind, step.decision) == (Kind.HTTP, Decision.RECORD)


def test_an_answer_that_is_too_old_is_not_served(trial, server, driver):
    scenario = asking(driver, server, b"{}")
    server.on(CHAT, answer("old"))
    trial.record(scenario)
    time.sleep(0.2)
    server.on(CHAT, answer("new"))
    (got,), steps = trial.run_as(Mode.CACHE, scenario, cache_ttl=0.1)
    assert (got.body, decisions(steps)) == (b'"new"', ["miss"])
    (got,), steps = trial.run_as(Mode.CACHE, scenario, cache_ttl=60)
    assert (got.body, decisions(steps)) == (b'"new"', ["hit"])


def test_a_cached_run_can_be_replayed(trial, server, driver):
    server.on(CHAT, lambda seen: answer(seen.body.decode()))
    trial.record(asking(driver, server, b"1"))
    scenario = asking(driver, server, b"1", b"2", b"1")
    cached, steps = trial.run_as(Mode.CACHE, scenario)
    assert decisions(steps) == ["hit", "miss", "hit"]
    assert trial.replay(scenario) == cached


def test_without_a_store_every_call_goes_out(trial, server, driver, capfd):
    server.on(CHAT, lambda _: answer(len(server.seen)))
    trial.store.parent.mkdir()
    trial.store.write_bytes(b"not a store")
    with trial.agent(Mode.CACHE, "f" * 32):
        first, second = trial.driver.run(asking(driver, server, b"{}", b"{}")())
    assert (first.body, second.body) == (b"1", b"2")
    assert trial.store.read_bytes() == b"not a store"
    assert capfd.readouterr().err.count("\n") <= 2
