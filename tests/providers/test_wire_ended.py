from __future__ import annotations

import json
from typing import Any

import pytest
from events import lines, sse
from samples import EVENTS, GEMINI_ARRAY, STREAMS
from test_wire_cohere import OLD_EVENTS, OLD_STREAM

from rewind_auto.providers.wire import ended, response_info

# What of a whole stream may be missing although its last event is here: nothing but blanks.
BLANKS = b" \r\n]"


@pytest.mark.parametrize("shape", STREAMS)
def test_a_stream_is_ended_by_its_last_event_and_not_a_byte_before(shape: str) -> None:
    body = STREAMS[shape]
    needed = len(body.rstrip(BLANKS))
    if shape == "openai-chat":
        needed += 1  # the bracket of [DONE]
    verdicts = [ended(shape, body[:length]) for length in range(len(body) + 1)]
    assert verdicts == [length >= needed for length in range(len(body) + 1)]


def test_a_gemini_array_is_ended_by_its_last_element() -> None:
    body = GEMINI_ARRAY
    needed = len(body.rstrip(BLANKS))
    assert not any(ended("gemini", body[:length]) for length in range(0, needed, 7))
    assert ended("gemini", body[:needed])
    assert ended("gemini", body)


@pytest.mark.parametrize("shape", EVENTS)
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_any_line_end_will_do(shape: str, end: str) -> None:
    assert ended(shape, sse(EVENTS[shape], named=shape != "gemini", end=end))
    assert not ended(shape, sse(EVENTS[shape][:-1], named=shape != "gemini", end=end))


@pytest.mark.parametrize(
    "text", ["data: [DONE]", "[DONE]", "\n\ndata: [DONE]\n\n", '{"type": "message_stop"}']
)
def test_the_words_inside_a_message_do_not_end_it(text: str) -> None:
    chat = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    item = {"type": "response.output_text.delta", "delta": text + ' "type": "response.completed"'}
    step = {"candidates": [{"content": {"parts": [{"text": text + ' "finishReason": "STOP"'}]}}]}
    assert not ended("openai-chat", sse([chat]))
    assert not ended("anthropic", sse([delta], named=True))
    assert not ended("openai-responses", sse([item], named=True))
    assert not ended("gemini", sse([step]))
    assert not ended("ollama", json.dumps({"message": {"content": text + '"done": true'}}).encode())
    piece = {"type": "content-delta", "delta": {"message": {"content": {"text": text + '"message-end"'}}}}
    assert not ended("cohere", sse([piece], named=True))
    assert not ended("cohere", lines([{"event_type": "text-generation", "text": text + '"stream-end"'}]))


ERRORS: dict[str, dict[str, Any]] = {
    "openai-chat": {"error": {"message": "no"}},
    "openai-responses": {"type": "error", "code": "no", "message": "no"},
    "anthropic": {"type": "error", "error": {"type": "overloaded_error"}},
    "gemini": {"error": {"code": 503, "status": "UNAVAILABLE"}},
    "gemini-interactions": {"event_type": "error", "error": {"code": "unavailable"}},
    "cohere": {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "no"}},
    "mistral-conversations": {"type": "conversation.response.error", "code": 3001, "message": "no"},
}


@pytest.mark.parametrize(("shape", "error"), ERRORS.items())
def test_nothing_comes_after_an_error(shape: str, error: dict[str, Any]) -> None:
    assert ended(shape, sse([error], named="type" in error))


@pytest.mark.parametrize("last", ["response.completed", "response.failed", "response.incomplete"])
def test_a_response_is_ended_in_three_ways_however_large_it_is(last: str) -> None:
    whole = {"type": last, "response": {"output": "x" * 500_000}}
    late = {"response": {"output": "x" * 500_000}, "type": last}
    deltas = [{"type": "response.output_text.delta", "delta": "x"}] * 100
    assert ended("openai-responses", sse([*deltas, whole], named=True))
    assert ended("openai-responses", sse([*deltas, late]))
    assert not ended("openai-responses", sse([*deltas, whole], named=True)[:-20])


def test_what_comes_after_the_last_event_changes_nothing() -> None:
    assert ended("anthropic", STREAMS["anthropic"] + b": alive\n\n")
    assert ended("anthropic", STREAMS["anthropic"] + b'event: ping\ndata: {"type": "ping"}\n\n')
    assert ended("anthropic", STREAMS["anthropic"] + b"data: [DONE]\n\n")
    assert ended("gemini", STREAMS["gemini"] + b'data: {"usageMetadata": {"totalTokenCount": 9}}\n\n')


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ("openai-images", "image_edit.completed"),
        ("openai-images", "error"),
        ("openai-audio", "speech.audio.done"),
        ("openai-audio", "transcription.done"),
        ("openai-audio", "error"),
    ],
)
def test_media_have_ends_of_their_own(shape: str, last: str) -> None:
    assert ended(shape, sse([{"type": last}], named=True))
    assert not ended(shape, sse([{"type": "image_generation.partial_image"}], named=True))


def test_a_candidate_that_finished_early_does_not_end_the_others() -> None:
    steps = [
        {"candidates": [{"index": 1, "finishReason": "STOP"}]},
        {"candidates": [{"index": 0, "content": {"parts": [{"text": "more"}]}}]},
    ]
    assert not ended("gemini", sse(steps))
    assert not ended("gemini", json.dumps(steps).encode())


def test_an_older_cohere_sends_lines_and_may_send_events() -> None:
    needed = len(OLD_STREAM.rstrip())
    verdicts = [ended("cohere", OLD_STREAM[:length]) for length in range(len(OLD_STREAM) + 1)]
    assert verdicts == [length >= needed for length in range(len(OLD_STREAM) + 1)]
    assert ended("cohere", sse(OLD_EVENTS, named=True))
    assert not ended("cohere", sse(OLD_EVENTS[:-1], named=True))


def test_a_blocked_prompt_is_all_there_is() -> None:
    assert ended("gemini", sse([{"promptFeedback": {"blockReason": "SAFETY"}}]))


@pytest.mark.parametrize("shape", ["", "model", "openai-embeddings", "nobody's"])
def test_nobody_knows_how_another_shape_ends(shape: str) -> None:
    assert not ended(shape, b"data: [DONE]\n\n")


@pytest.mark.parametrize("shape", [*STREAMS, ""])
@pytest.mark.parametrize(
    "body", [b"", b"\n", b"{", b"[", b"data:", b"null", b"[1]", b"\xff\xfe", b"data: null\n\n"]
)
def test_nothing_is_not_ended(shape: str, body: bytes) -> None:
    assert not ended(shape, body)


@pytest.mark.parametrize("body", [b"", b": alive\n\n", b"data: {"])
@pytest.mark.parametrize(
    "shape",
    [
        "openai-chat",
        "openai-completions",
        "openai-responses",
        "anthropic",
        "gemini",
        "gemini-interactions",
        "cohere",
        "mistral-conversations",
    ],
)
def test_a_stream_cut_before_its_first_event_is_a_generation_that_failed(shape: str, body: bytes) -> None:
    assert response_info(shape, body, stream=True).finish_reasons == ("error",)
    assert response_info(shape, body).finish_reasons == ()
    assert response_info("openai-audio", body, stream=True).finish_reasons == ()
    assert response_info("openai-chat", b'{"error": "no"}', stream=True).finish_reasons == ()
