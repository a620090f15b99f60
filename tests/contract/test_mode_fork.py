"""Fork mode: the source's steps before the cut, live from there."""

from __future__ import annotations

import asyncio

import pytest
from drivers import ASYNC_DRIVERS
from servers import answer, chunked

from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Mode

CHAT = "/v1/chat/completions"
TURNS = 5


def agent(driver, server, turns=TURNS, said="hello"):
    """Each question has in it what was answered before, as an agent's have."""

    async def scenario():
        seen, last = [], said
        async with driver.client() as client:
            for number in range(turns):
                body = f"{number}: {last}".encode()
                got = await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=body)
                last = got.body.decode()
                seen.append(last)
        return seen

    return scenario


def telling(server, name):
    server.on(CHAT, lambda seen: answer(f"{name} to [{seen.body.decode()}]"))


def decisions(steps):
    return [step.decision.value for step in steps]


@pytest.mark.parametrize("cut", range(1, TURNS + 2))
def test_at_every_step(trial, server, driver, cut):
    telling(server, "first")
    scenario = agent(driver, server)
    recorded, _ = trial.record(scenario)
    source = trial.session
    telling(server, "second")
    forked, steps = trial.run_as(Mode.FORK, scenario, source=f"{source}@{cut}")
    before, live = cut - 1, TURNS - cut + 1
    assert forked[:before] == recorded[:before]
    assert all(text.startswith('"second') for text in forked[before:])
    assert len(server.seen) == live
    assert decisions(steps) == ["hit"] * before + ["record"] * live
    assert [(step.source.session, step.source.step) for step in steps[:before]] == [
        (source, number) for number in range(1, cut)
    ]
    session = of(trial)
    assert (session.mode, session.parent, session.fork_step) == (Mode.FORK, source, cut)
    assert trial.replay(scenario) == forked


def of(trial, session=""):
    with trial._reading() as store:
        return store.resolve(session or trial.session)


def test_without_a_step_it_leaves_at_the_first_change(trial, server, driver):
    telling(server, "first")
    trial.record(agent(driver, server))
    source = trial.session
    server.forget()

    async def changed():
        seen = []
        async with driver.client() as client:
            for body in (b"0: hello", b'1: "first to [0: hello]"', b"2: something else", b"0: hello"):
                got = await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=body)
                seen.append(got.body)
        return seen

    telling(server, "second")
    seen, steps = trial.run_as(Mode.FORK, changed, source=source)
    assert decisions(steps) == ["hit", "hit", "miss", "record"]
    assert seen[2:] == [b'"second to [2: something else]"', b'"second to [0: hello]"']
    assert of(trial).fork_step == 3


def test_without_a_step_and_without_a_change_nothing_goes_out(trial, server, driver):
    telling(server, "first")
    recorded, _ = trial.record(agent(driver, server))
    server.stop()
    forked, steps = trial.run_as(Mode.FORK, agent(driver, server), source=trial.session)
    assert (forked, decisions(steps)) == (recorded, ["hit"] * TURNS)
    assert of(trial).fork_step is None


def test_more_calls_than_recorded(trial, server, driver):
    telling(server, "first")
    trial.record(agent(driver, server, turns=2))
    telling(server, "second")
    seen, steps = trial.run_as(Mode.FORK, agent(driver, server, turns=4), source=trial.session)
    assert decisions(steps) == ["hit", "hit", "miss", "record"]
    assert [text.split(" ")[0] for text in seen] == ['"first', '"first', '"second', '"second']


def test_a_fork_of_a_fork_of_a_fork(trial, server, driver):
    scenario = agent(driver, server)
    telling(server, "a")
    trial.record(scenario)
    chain, seen = [trial.session], []
    for name, cut in (("b", 4), ("c", 3), ("d", 5)):
        telling(server, name)
        seen, steps = trial.run_as(Mode.FORK, scenario, source=f"{trial.session}@{cut}")
        assert decisions(steps) == ["hit"] * (cut - 1) + ["record"] * (TURNS - cut + 1)
        chain.append(trial.session)
    assert [text[1] for text in seen] == list("aaccd")
    assert [of(trial, session).parent for session in chain] == [None, *chain[:-1]]
    steps = trial.steps()
    assert [step.step for step in steps] == [1, 2, 3, 4, 5]
    assert [step.source and step.source.session for step in steps] == [chain[2]] * 4 + [None]
    assert trial.recording(1).body.startswith(b'"a to')
    assert trial.replay(scenario) == seen


def test_equal_requests_before_the_cut(trial, server, driver):
    server.on(CHAT, *(answer(number) for number in range(4)))

    async def scenario():
        async with driver.client() as client:
            url = f"{server.url}{CHAT}"
            return [(await driver.exchange(client, "POST", url, content=b"{}")).body for _ in range(4)]

    trial.record(scenario)
    server.on(CHAT, answer("live"))
    seen, steps = trial.run_as(Mode.FORK, scenario, source=f"{trial.session}@3")
    assert seen == [b"0", b"1", b'"live"', b'"live"']
    assert decisions(steps) == ["hit", "hit", "record", "record"]


def test_a_change_before_the_cut_is_said_and_goes_out(trial, server, driver, capfd):
    telling(server, "first")
    trial.record(agent(driver, server))

    async def changed():
        async with driver.client() as client:
            for body in (b"something else", b"0: hello"):
                await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=body)

    _, steps = trial.run_as(Mode.FORK, changed, source=f"{trial.session}@4")
    assert decisions(steps) == ["miss", "hit"]
    said = capfd.readouterr().err
    assert "fork: step 1 is not one of the recorded steps" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
@pytest.mark.parametrize(("cut", "real"), [(1, 1), (2, 2), (3, 2), (4, 2), (5, 5)])
def test_a_cut_through_calls_under_way_goes_back_to_where_they_began(trial, server, driver, cut, real, capfd):
    """Step 1, then 2, 3 and 4 at once, then 5."""
    server.on(CHAT, lambda seen: chunked([seen.body, b" answered"], pause=0.1))

    async def scenario():
        async with driver.client() as client:

            async def ask(body):
                return (await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=body)).body

            first = [await ask(b"1")]
            return first + list(await asyncio.gather(ask(b"2"), ask(b"3"), ask(b"4"))) + [await ask(b"5")]

    recorded, _ = trial.record(scenario)
    forked, steps = trial.run_as(Mode.FORK, scenario, source=f"{trial.session}@{cut}")
    assert forked == recorded
    assert of(trial).fork_step == real
    assert decisions(steps) == ["hit"] * (real - 1) + ["record"] * (5 - real + 1)
    assert ("under way when step" in capfd.readouterr().err) == (cut != real)


def test_a_fork_of_nothing_sends_nothing(trial, server, driver):
    with trial.agent(Mode.FORK, "f" * 32, source="nosuch@2"), pytest.raises(RewindReplayDivergenceError):
        trial.driver.run(agent(driver, server)())
    assert server.seen == []
