"""Known failures of recorders with the official SDKs; the rows are those of ``docs/limits.md``."""

from __future__ import annotations

import time
import uuid

import openai
import pytest
from sdk_drivers import ANTHROPIC, GEMINI, OPENAI, attempt, get, said
from sdk_uses import USES
from tape import Tape
from trial import Trial

from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Decision


@pytest.fixture
def tape(provider):
    with Tape(provider) as running:
        yield running


@pytest.fixture
def trial(driver, tape, store_path):
    return Trial(driver, store_path, tape)


def using(driver, tape, work, **options):
    async def scenario():
        async with driver.client(tape.url, **options) as client:
            return await work(client)

    return scenario


def ask(driver, client, text):
    if driver.sdk == "openai":
        return get(client.chat.completions.create(model="gpt-5", messages=said(text)))
    if driver.sdk == "anthropic":
        return get(client.messages.create(model="claude-x", max_tokens=9, messages=said(text)))
    return get(client.models.generate_content(model="gemini-x", contents=text))


STREAMED = [
    (driver, use) for driver, use in USES if "stream" in use.__name__ and "broken" not in use.__name__
]


@pytest.mark.parametrize(("driver", "use"), STREAMED, ids=[f"{d}{u.__name__}" for d, u in STREAMED])
def test_l33_a_replayed_stream_is_one_to_the_sdk(trial, tape, driver, use):
    """Deltas, events, the helpers that put them together, and the final object: as they were live."""
    steps = trial.check(using(driver, tape, use))
    assert {(step.library, step.status) for step in steps} == {("httpx2", 200)}
    assert all(step.complete for step in steps)


@pytest.mark.parametrize("driver", OPENAI + ANTHROPIC, ids=repr)
def test_l34_a_recorded_429_is_a_rate_limit_to_the_sdk(trial, tape, driver):
    """Of which it makes its own error, or its own second try, without the wait."""
    last = using(driver, tape, lambda client: attempt(lambda: ask(driver, client, "[fail=9] hello")))
    recorded, _ = trial.record(last)
    assert (recorded["type"].__name__, recorded["status"]) == ("RateLimitError", 429)
    assert trial.replay(last)["type"] is recorded["type"]


@pytest.mark.parametrize("driver", OPENAI + ANTHROPIC, ids=repr)
def test_l34_each_try_of_the_sdk_is_replayed_as_it_was(trial, tape, driver):
    work = lambda client: attempt(lambda: ask(driver, client, "[fail=1][retry_after=0.6] hello"))  # noqa: E731
    trying = using(driver, tape, work, max_retries=2)
    recorded, _ = trial.record(trying)
    assert [step.status for step in trial.steps()] == [429, 200]
    started = time.perf_counter()
    assert trial.replay(trying) == recorded
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("driver", OPENAI + ANTHROPIC + GEMINI, ids=repr)
def test_l37_the_divergence_is_what_the_program_can_catch(trial, tape, driver):
    """The SDK neither takes it for a lost connection nor tries again."""
    options = {} if driver in GEMINI else {"max_retries": 5}
    trial.record(using(driver, tape, lambda client: ask(driver, client, "one")))
    tape.forget()
    session = uuid.uuid4().hex
    with (
        trial.agent("replay", session, source=trial.session),
        pytest.raises(RewindReplayDivergenceError) as caught,
    ):
        driver.run(using(driver, tape, lambda client: ask(driver, client, "another"), **options)())
    assert not isinstance(caught.value, openai.OpenAIError)
    assert (caught.value.__cause__, tape.seen) == (None, [])
    assert [step.decision for step in trial.steps(session)] == [Decision.BLOCKED]
