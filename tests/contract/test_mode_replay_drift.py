"""An agent whose fifth tool result is another one now: strict says so, ``--match aligned`` goes on."""

from __future__ import annotations

import json

import pytest
from servers import answer

from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Match, Mode

CHAT = "/v1/chat/completions"
TURNS, CHANGED = 8, 5


def agent(driver, server, result=lambda turn: f"result {turn}", turns=TURNS):
    """Asks, is told to call a tool, and says what came out of it, again and again."""

    async def scenario():
        messages, said = [{"role": "user", "content": "go"}], []
        async with driver.client() as client:
            for turn in range(1, turns + 1):
                body = json.dumps({"model": "m", "messages": messages}).encode()
                got = await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=body)
                if got.error:
                    raise RuntimeError(got.error)
                said.append(json.loads(got.body))
                messages.append({"role": "assistant", "content": said[-1]})
                messages.append({"role": "tool", "tool_call_id": f"call_{turn}", "content": result(turn)})
        return said

    return scenario


def changed(turn):
    return "another" if turn == CHANGED else f"result {turn}"


@pytest.fixture(autouse=True)
def numbered(server):
    server.on(CHAT, lambda seen: answer(f"answer {len(server.seen)} to {len(seen.body)} bytes"))


def test_strict_names_the_step_and_the_message(trial, server, driver):
    trial.record(agent(driver, server))
    server.forget()
    with (
        trial.agent(Mode.REPLAY, "f" * 32, source=trial.session),
        pytest.raises(RewindReplayDivergenceError) as raised,
    ):
        driver.run(agent(driver, server, changed)())
    error, steps = raised.value, trial.steps("f" * 32)
    assert (error.step, error.source_step) == (CHANGED + 1, CHANGED + 1)
    assert error.diff == ({"path": "messages[10].content", "old": "result 5", "new": "another"},)
    assert error.ignore == "REWIND_IGNORE='messages[10].content'"
    assert error.fork == trial.session[:12]
    assert "role tool, tool_call_id call_5" in str(error)
    assert ".py:" in error.call_site
    assert error.source_call_site == error.call_site
    assert [step.decision.value for step in steps] == ["hit"] * CHANGED + ["blocked"]
    assert steps[-1].detail["diff"] == list(error.diff)
    assert server.seen == []


def test_a_fork_goes_on_from_there(trial, server, driver):
    trial.record(agent(driver, server))
    _, steps = trial.run_as(Mode.FORK, agent(driver, server, changed), source=trial.session)
    live = TURNS - CHANGED
    assert [step.decision.value for step in steps] == ["hit"] * CHANGED + ["miss"] + ["record"] * (live - 1)


def test_aligned_goes_on_and_says_what_is_downstream(trial, server, driver):
    recorded, _ = trial.record(agent(driver, server))
    source = trial.session
    server.forget()
    said, steps = trial.run_as(
        Mode.REPLAY, agent(driver, server, changed), source=source, match=Match.ALIGNED
    )
    assert said == recorded
    assert server.seen == []
    assert [step.match for step in steps] == [Match.EXACT] * CHANGED + [Match.ALIGNED] * (TURNS - CHANGED)
    assert [step.source.step for step in steps] == list(range(1, TURNS + 1))
    first, *later = steps[CHANGED:]
    assert first.detail == {"drift": [{"path": "messages[10].content", "old": "result 5", "new": "another"}]}
    assert first.note.startswith("takes the place of recorded step 6: messages[10].content (role tool")
    assert [step.detail["downstream_of"] for step in later] == [first.step] * len(later)
    assert [step.detail for step in steps[:CHANGED]] == [{}] * CHANGED
    with trial._reading() as store:
        assert [step.step for step in store.verdict(trial.session).drifted] == list(range(6, TURNS + 1))
    again, steps = trial.run_as(Mode.REPLAY, agent(driver, server, changed), source=trial.session)
    assert again == said
    assert {step.match for step in steps} == {Match.EXACT}


def test_aligned_does_not_make_up_answers(trial, server, driver):
    trial.record(agent(driver, server, turns=2))
    with (
        trial.agent(Mode.REPLAY, "f" * 32, source=trial.session, match=Match.ALIGNED),
        pytest.raises(RewindReplayDivergenceError) as raised,
    ):
        driver.run(agent(driver, server, turns=3)())
    assert raised.value.step == 3


def test_aligned_passes_over_a_call_that_is_left_out(trial, server, driver):
    async def asking(*bodies):
        async with driver.client() as client:
            url = f"{server.url}{CHAT}"
            return [(await driver.exchange(client, "POST", url, content=body)).body for body in bodies]

    one, two, three, four = (json.dumps({"model": "m", "prompt": text, "n": 1}).encode() for text in "abcd")
    recorded, _ = trial.record(lambda: asking(one, two, three))
    said, steps = trial.run_as(
        Mode.REPLAY, lambda: asking(one, four), source=trial.session, match=Match.ALIGNED
    )
    assert [step.match for step in steps] == [Match.EXACT, Match.ALIGNED]
    assert said == [recorded[0], recorded[1]]


def test_exact_only(trial, server, driver):
    trial.record(agent(driver, server, turns=1))

    async def reordered():
        async with driver.client() as client:
            body = json.dumps({"messages": [{"content": "go", "role": "user"}], "model": "m"}).encode()
            return (await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=body)).body

    source = trial.session
    _, (step,) = trial.run_as(Mode.REPLAY, reordered, source=source)
    assert step.match is Match.RENAMED
    with (
        trial.agent(Mode.REPLAY, "f" * 32, source=source, match=Match.EXACT),
        pytest.raises(RewindReplayDivergenceError),
    ):
        driver.run(reordered())


def test_a_later_divergence_may_follow_from_the_first(trial, server, driver):
    trial.record(agent(driver, server))

    async def swallowing():
        async with driver.client() as client:
            for text in ("no such", "nor such"):
                try:
                    await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=text.encode())
                except RewindReplayDivergenceError as error:
                    seen.append(error)

    seen = []
    with trial.agent(Mode.REPLAY, "f" * 32, source=trial.session):
        driver.run(swallowing())
    assert [error.cause for error in seen] == [None, 1]
    assert seen[0].fork
    assert seen[1].fork is None
