"""Known failures of recorders with streams; the rows are those of ``docs/limits.md``."""

from __future__ import annotations

import json
import threading
import time

import pytest
from drivers import HTTPX_DRIVERS
from servers import answer, chunked, head, sse

from rewind_auto.predicates import LLMRequest

CHAT = "/v1/chat/completions"
EVENTS = [
    '{"model":"gpt-5","choices":[{"index":0,"delta":{"content":"Hello"}}]}',
    '{"model":"gpt-5","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    '{"model":"gpt-5","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7}}',
]
ASKED = {"model": "gpt-5", "messages": [{"role": "user", "content": "hello"}], "stream": True}


def asking(driver, server, manner, method="POST", **options):
    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, method, f"{server.url}{CHAT}", manner, **options)

    return scenario


def test_l01_a_stream_is_recorded_whole_with_its_tokens(trial, server, driver):
    server.on(CHAT, sse(*EVENTS))
    [step] = trial.check(asking(driver, server, "lines", json=ASKED))
    assert (step.model, step.stream, step.complete) == ("gpt-5", True, True)
    assert step.usage == {"input_tokens": 11, "output_tokens": 7}
    sent = "".join(f"data: {event}\n\n" for event in [*EVENTS, "[DONE]"])
    assert trial.recording().body == sent.encode()


def test_l02_a_replayed_stream_has_the_chunks_and_the_times_of_the_recorded_one(trial, server, driver):
    chunks = [b"data: one\n\n", b"data: t", b"wo\n\n", b"data: [DONE]\n\n"]
    server.on(CHAT, chunked(chunks, pause=0.08))
    scenario = asking(driver, server, "raw", json=ASKED)
    assert trial.record(scenario)[0].pieces == chunks
    for speed, least, most in ((0.0, 0.0, 0.2), (1.0, 0.24, 5.0)):
        trial.options["speed"] = speed
        started = time.perf_counter()
        assert trial.replay(scenario).pieces == chunks
        assert least <= time.perf_counter() - started < most


def arrives_in_pieces(trial, server, driver, **options):
    """The server sends the rest when the program has the beginning. Returns the recorded step."""
    arrived, held_back = threading.Event(), []

    def serve(connection):
        told = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
        connection.sendall(head(200, told) + b"d\r\ndata: first\n\n\r\n")
        held_back.append(not arrived.wait(2))
        connection.sendall(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    server.on(CHAT, [serve])

    async def scenario():
        arrived.clear()
        async with (
            driver.client() as client,
            driver.opened(client, "POST", f"{server.url}{CHAT}", **options) as following,
        ):
            first = await following()
            arrived.set()
            return first, await following(), await following()

    assert trial.record(scenario)[0] == (b"data: first\n\n", b"data: [DONE]\n\n", None)
    assert held_back == [False]
    trial.replay(scenario)
    return trial.steps()[0]


def test_l17_the_program_has_a_piece_before_the_next_is_sent(trial, server, driver):
    arrives_in_pieces(trial, server, driver, json=ASKED, headers={"Accept": "text/event-stream"})


def test_l18_a_stream_asked_for_in_the_body_alone(trial, server, driver):
    step = arrives_in_pieces(trial, server, driver, json=ASKED, headers={"Accept": "application/json"})
    assert step.stream


def test_l30_a_stream_that_nothing_announces_reaches_the_program(trial, server, driver):
    chunks = [b"piece %d\n" % number for number in range(6)]
    server.on(CHAT, chunked(chunks, [("Content-Type", "application/octet-stream")], pause=0.01))
    scenario = asking(driver, server, "raw", "GET")
    assert trial.record(scenario)[0].pieces == chunks
    assert len(trial.check(scenario)) == 1


def test_l31_a_stream_asked_for_behind_a_long_prompt(trial, server, driver):
    """As the SDKs do it: ``stream`` comes after the messages, and ``Accept`` asks for JSON."""
    long = {**ASKED, "messages": [{"role": "user", "content": "so it goes " * 3000}]}
    assert list(long)[-1] == "stream"
    step = arrives_in_pieces(trial, server, driver, json=long, headers={"Accept": "application/json"})
    assert step.stream


def test_l32_a_stream_in_the_metadata_is_none(trial, server, driver):
    server.on(CHAT, answer({"model": "gpt-5", "choices": []}))
    asked = {"model": "gpt-5", "messages": [], "metadata": {"stream": True}}
    scenario = asking(driver, server, "buffered", json=asked)
    [step] = trial.check(scenario)
    assert not step.stream
    assert not LLMRequest.of(trial.recording().request).stream
    assert json.loads(trial.replay(scenario).body)["model"] == "gpt-5"


def test_l43_plain_json_that_is_downloaded_as_a_stream(trial, server, driver):
    server.on(CHAT, answer({"choices": [{"message": {"content": "Où ça ? ☃"}}]}))

    async def scenario():
        async with (
            driver.client() as client,
            driver.streaming(client, "POST", f"{server.url}{CHAT}", json=ASKED) as response,
        ):
            whole = json.loads(await driver.read(response))
            return whole, await driver.call(response.json) if driver.library == "aiohttp" else response.json()

    assert len(trial.check(scenario)) == 1


@pytest.mark.parametrize("driver", HTTPX_DRIVERS, ids=repr)
def test_l44_the_raw_stream_is_still_to_be_read(trial, server, driver):
    server.on(CHAT, sse(*EVENTS))
    scenario = asking(driver, server, "raw", json=ASKED)
    plain, _ = trial.plain(scenario)
    assert (plain.error, len(plain.pieces)) == (None, 4)
    assert len(trial.check(scenario)) == 1
