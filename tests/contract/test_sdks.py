"""The official SDKs: identical plain, recorded, and replayed with the provider stopped."""

from __future__ import annotations

import json
import time

import openai
import pytest
from sdk_drivers import (
    ANTHROPIC,
    GEMINI,
    KEY,
    OPENAI,
    SdkDriver,
    attempt,
    collect,
    dumped,
    get,
    said,
)
from sdk_uses import USES
from servers import CUT, HANG, answer, chunked, sse
from tape import Tape
from trial import Trial

from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Decision, Ending


@pytest.fixture
def tape(provider):
    with Tape(provider) as running:
        yield running


@pytest.mark.parametrize(
    ("driver", "use"), USES, ids=[f"{d.id}-{u.__name__.split('_', 2)[2]}" for d, u in USES]
)
def test_the_same_three_times(driver, use, tape, store_path):
    async def scenario():
        async with driver.client(tape.url) as client:
            return await use(client)

    trial = Trial(driver, store_path, tape)
    steps = trial.check(scenario)
    assert {step.library for step in steps} == {"httpx2"}
    # Inferences are described: by whom, what, and what they took.
    for step in steps:
        if step.operation and step.status == 200 and step.complete:
            assert step.model
            assert step.usage or step.stream, step
    assert KEY.encode() not in b"".join(path.read_bytes() for path in store_path.parent.iterdir())


# --- what is kept of a call

CHAT_DONE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5-2026-01-01",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
}
PIECE = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5","choices":[%s]%s}'
DELTA = PIECE % ('{"index":0,"delta":{"content":"hi"}}', "")
LAST = PIECE % ("", ',"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}')
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-1",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 11, "output_tokens": 7},
}
MESSAGE_EVENTS = [
    f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    for event in (
        {"type": "message_start", "message": MESSAGE},
        {"type": "message_stop"},
    )
]
REST = {  # what may come after the last event
    "end": [b"0\r\n\r\n"],
    "silence": [HANG],
    "more": [b"5\r\nabcde\r\n", b"0\r\n\r\n"],
    "cut": [CUT],
}
STREAM_OPTIONS = {"include_usage": True}


async def chat(client, text="hello", **options):
    return await get(client.chat.completions.create(model="gpt-5", messages=said(text), **options))


async def message(client, text="hello", **options):
    return await get(client.messages.create(model="claude-x", max_tokens=9, messages=said(text), **options))


@pytest.fixture
def trial(driver, server, store_path):
    return Trial(driver, store_path, server)


def using(driver, server, work, **options):
    async def scenario():
        async with driver.client(server.url, **options) as client:
            return await work(client)

    return scenario


@pytest.mark.parametrize("driver", OPENAI, ids=repr)
def test_usage_of_a_stream(trial, server, driver):
    server.on("/v1/chat/completions", sse(DELTA, LAST))

    async def work(client):
        stream = await chat(client, stream=True, stream_options=STREAM_OPTIONS)
        return (
            [dumped(chunk) async for chunk in stream] if driver.asynchronous else [dumped(c) for c in stream]
        )

    [step] = trial.check(using(driver, server, work))
    assert (step.operation, step.stream, step.complete) == ("chat", True, True)
    assert step.usage == {"input_tokens": 11, "output_tokens": 7}
    assert step.chunks == 3


@pytest.mark.parametrize("driver", OPENAI, ids=repr)
@pytest.mark.parametrize("rest", REST)
def test_a_stream_is_complete_at_its_last_event(trial, server, driver, rest):
    """The SDK stops there: it closes at once, or drains what is left for a tenth of a second."""
    server.on("/v1/chat/completions", sse(DELTA, LAST, end=REST[rest]))

    async def work(client):
        stream = await chat(client, stream=True)
        if driver.asynchronous:
            return [dumped(chunk) async for chunk in stream], stream.response.is_closed
        return [dumped(chunk) for chunk in stream], stream.response.is_closed

    [step] = trial.check(using(driver, server, work))
    # A fault met while draining is kept as one, since a program that reads on has to meet it again.
    assert step.complete or (rest == "cut" and driver.asynchronous), trial.endings()


@pytest.mark.parametrize("driver", OPENAI, ids=repr)
def test_a_stream_left_early(trial, server, driver):
    server.on("/v1/chat/completions", sse(*[DELTA] * 5))

    async def work(client):
        stream = await chat(client, stream=True)
        first = await anext(aiter(stream)) if driver.asynchronous else next(iter(stream))
        await get(stream.close())
        return dumped(first)

    [step] = trial.check(using(driver, server, work))
    assert trial.endings() == [Ending.CLOSED]
    assert not step.complete


@pytest.mark.parametrize("driver", OPENAI, ids=repr)
def test_a_tolerated_end_without_the_last_event(trial, server, driver):
    server.on("/v1/chat/completions", sse(DELTA, done=False))

    async def work(client):
        stream = await chat(client, stream=True)
        return (
            [dumped(chunk) async for chunk in stream] if driver.asynchronous else [dumped(c) for c in stream]
        )

    trial.check(using(driver, server, work))
    assert trial.endings() == [Ending.EOF]


# --- retries


@pytest.mark.parametrize("driver", OPENAI + ANTHROPIC, ids=repr)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_sdk_tries_again_and_does_not_sleep_on_replay(trial, server, driver, streamed):
    """429 with Retry-After, twice, then an answer: the SDK's own retries, without their waits."""
    too_many = answer({"error": {"message": "slow down"}}, 429, Retry_After="0.25")
    server.on("/v1/chat/completions", too_many, too_many, sse(DELTA) if streamed else answer(CHAT_DONE))
    server.on("/v1/messages", too_many, too_many, chunked(MESSAGE_EVENTS) if streamed else answer(MESSAGE))
    ask = chat if driver.sdk == "openai" else message
    took = []

    async def work(client):
        started = time.perf_counter()
        result = await ask(client, stream=streamed)
        got = [dumped(event) for event in await collect(result)] if streamed else dumped(result)
        took.append(time.perf_counter() - started)
        return got

    steps = trial.check(using(driver, server, work, max_retries=3))
    assert [step.status for step in steps] == [429, 429, 200]
    assert took[1] > 0.45
    assert took[2] < 0.2


@pytest.mark.parametrize("driver", OPENAI + ANTHROPIC, ids=repr)
def test_no_more_tries(trial, server, driver):
    """The error that the SDK raises in the end, with the headers it came with."""
    server.on("", answer({"error": {"message": "busy"}}, 503, Retry_After_Ms="1", X_Request_Id="r1"))
    ask = chat if driver.sdk == "openai" else message
    steps = trial.check(using(driver, server, lambda client: attempt(lambda: ask(client)), max_retries=1))
    assert [step.status for step in steps] == [503, 503]


@pytest.mark.parametrize("driver", OPENAI + ANTHROPIC, ids=repr)
def test_timeouts_and_lost_connections(trial, server, driver):
    """In the SDK's own types, tried again as often, without the waits."""
    server.on("", [CUT], [HANG])
    ask = chat if driver.sdk == "openai" else message
    scenario = using(driver, server, lambda client: attempt(lambda: ask(client)), max_retries=1, timeout=0.3)
    steps = trial.check(scenario)
    assert [step.error.partition(":")[0] for step in steps] == ["RemoteProtocolError", "ReadTimeout"]


# --- strict replay through an SDK


@pytest.mark.parametrize("driver", OPENAI + ANTHROPIC, ids=repr)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_divergence_goes_straight_through(trial, server, driver, streamed):
    """Neither wrapped nor tried again: one refused step, nothing sent, at once."""
    server.on("", answer(CHAT_DONE if driver.sdk == "openai" else MESSAGE))
    ask = chat if driver.sdk == "openai" else message
    trial.record(using(driver, server, lambda client: ask(client, "what was asked")))

    async def work(client):
        with pytest.raises(RewindReplayDivergenceError) as caught:
            await ask(client, "something else", stream=streamed)
        return caught.value

    started = time.perf_counter()
    error = trial.replay(using(driver, server, work, max_retries=5), clean=False)
    assert time.perf_counter() - started < 2
    assert type(error) is RewindReplayDivergenceError
    assert error.__cause__ is None
    changed = {change["path"]: (change["old"], change["new"]) for change in error.diff}
    assert changed["messages[0].content"] == ("what was asked", "something else")
    assert [step.decision for step in trial.steps(trial.replaying)] == [Decision.BLOCKED]


@pytest.mark.parametrize("driver", GEMINI, ids=repr)
def test_a_divergence_goes_through_gemini(trial, server, driver):
    server.on("", answer({"candidates": [{"content": {"parts": [{"text": "hi"}], "role": "model"}}]}))

    def asking(text):
        return using(
            driver, server, lambda c: get(c.models.generate_content(model="gemini-x", contents=text))
        )

    trial.record(asking("what was asked"))
    with pytest.raises(RewindReplayDivergenceError, match="something else"):
        trial.replay(asking("something else"))


# --- over aiohttp


def test_openai_over_aiohttp_is_one_call(server, store_path):
    """Two client libraries work on it; the program made one call."""
    server.on("/v1/chat/completions", answer(CHAT_DONE), sse(DELTA, LAST))
    driver = SdkDriver("openai", asynchronous=True)
    trial = Trial(driver, store_path, server)

    async def scenario():
        client = openai.AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key=KEY, max_retries=0, http_client=openai.DefaultAioHttpClient()
        )
        async with client:
            whole = dumped(await chat(client))
            return whole, [dumped(chunk) async for chunk in await chat(client, stream=True)]

    steps = trial.check(scenario)
    assert [step.complete for step in steps] == [True, True]
