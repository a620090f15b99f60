"""An agent's own HTTP tools: recorded and replayed as its LLM calls are, when asked for."""

from __future__ import annotations

import pytest
from servers import Server, answer

from rewind_auto.core import guard
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Kind, Mode

CHAT = "/v1/chat/completions"


@pytest.fixture
def tool():
    with Server() as running:
        running.on("/weather", lambda _: answer(f"sunny {len(running.seen)}"))
        yield running


@pytest.fixture
def trial(trial, server, tool):
    server.on(CHAT, answer("what is the weather?"))
    trial.served.append(tool)
    trial.options = {"llm_hosts": (f"127.0.0.1:{server.port}",), "tool_hosts": (f"127.0.0.1:{tool.port}",)}
    return trial


def agent(driver, server, tool, *, weather="/weather?city=Ulm"):
    async def scenario():
        async with driver.client() as client:
            return [
                await driver.exchange(client, "POST", f"{server.url}{CHAT}", content=b"{}"),
                await driver.exchange(client, "GET", f"{tool.url}{weather}"),
                await driver.exchange(client, "GET", f"{tool.url}{weather}"),
            ]

    return scenario


def test_a_whole_run_is_offline(trial, server, tool, driver):
    steps = trial.check(agent(driver, server, tool))
    assert [step.kind for step in steps] == [Kind.LLM, Kind.TOOL, Kind.TOOL]
    assert [(step.provider, step.operation, step.model) for step in steps[1:]] == [(None, None, None)] * 2
    assert trial.recording(2).body == b'"sunny 1"'


def test_a_strict_replay_holds_tools_back_too(trial, server, tool, driver):
    trial.record(agent(driver, server, tool))
    tool.forget()
    with (
        trial.agent(Mode.REPLAY, "f" * 32, source=trial.session),
        pytest.raises(RewindReplayDivergenceError) as raised,
    ):
        driver.run(agent(driver, server, tool, weather="/weather?city=Rome")())
    assert raised.value.step == 2
    assert "city=Rome" in str(raised.value)
    assert tool.seen == []


def test_a_fork_serves_them_up_to_its_cut(trial, server, tool, driver):
    trial.record(agent(driver, server, tool))
    seen, steps = trial.run_as(Mode.FORK, agent(driver, server, tool), source=f"{trial.session}@3")
    assert [step.decision.value for step in steps] == ["hit", "hit", "record"]
    assert len(tool.seen) == 1
    assert seen[1].body == b'"sunny 1"'


def test_a_cache_leaves_them_alone(trial, server, tool, driver):
    trial.record(agent(driver, server, tool))
    _, steps = trial.run_as(Mode.CACHE, agent(driver, server, tool))
    assert [step.decision.value for step in steps] == ["hit", "record", "record"]


def test_all_hosts(trial, server, tool, driver):
    trial.options["tool_hosts"] = ("all",)
    steps = trial.check(agent(driver, server, tool))
    assert [step.kind for step in steps] == [Kind.LLM, Kind.TOOL, Kind.TOOL]


def test_not_asked_for_they_are_not_seen(trial, server, tool, driver):
    trial.options["tool_hosts"] = ()
    trial.record(agent(driver, server, tool))
    assert [step.kind for step in trial.steps()] == [Kind.LLM]


def test_chosen_by_a_predicate(trial, server, tool, driver):
    class Weather:
        def is_llm_call(self, _):
            return False

        def is_tool_call(self, request):
            return request.method == "GET" and request.url.startswith(tool.url)

    trial.options["tool_hosts"] = ()
    trial.predicates = Weather()
    steps = trial.check(agent(driver, server, tool))
    assert [step.kind for step in steps] == [Kind.LLM, Kind.TOOL, Kind.TOOL]


def test_a_predicate_that_raises_counts_as_false(trial, server, tool, driver, capfd, monkeypatch):
    monkeypatch.setattr(guard, "_seen", set())

    class Broken:
        def is_llm_call(self, _):
            return False

        def is_tool_call(self, _):
            raise ValueError("mistake")

    trial.options["tool_hosts"] = ()
    trial.predicates = Broken()
    trial.record(agent(driver, server, tool))
    assert [step.kind for step in trial.steps()] == [Kind.LLM]
    assert "mistake" in capfd.readouterr().err
