"""Bodies that are cut, broken or of another shape tell less, raise nothing and never break the schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
import test_wire_anthropic
import test_wire_gemini
import test_wire_openai_chat
import test_wire_openai_responses
from events import sse
from genai_schema import check_messages, check_parts, check_tools
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import GEMINI_ARRAY, STREAMS

from rewind_auto.providers.wire import RequestInfo, ResponseInfo, ended, request_info, response_info
from rewind_auto.telemetry import names

SHAPES = [
    "openai-chat",
    "openai-completions",
    "openai-responses",
    "openai-embeddings",
    "openai-images",
    "openai-audio",
    "anthropic",
    "gemini",
    "gemini-embeddings",
    "bedrock",
    "",
]
PATHS = [
    "",
    "/",
    "/v1/chat/completions",
    "/model/x/invoke",
    "/openai/deployments/%ff/c",
    "/m/%zz:generateContent?a",
]
TOKENS = {
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
}
NAMES = {value for name, value in vars(names).items() if name.isupper()}


def check_request(info: RequestInfo) -> None:
    check_attributes(info)
    check_messages(info.input_messages)
    check_parts(info.system_instructions)
    check_tools(info.tool_definitions)


def check_response(info: ResponseInfo) -> None:
    check_attributes(info)
    assert set(info.usage) <= TOKENS
    assert all(type(count) is int and 0 <= count < 2**63 for count in info.usage.values())
    check_messages(info.output_messages, output=True)
    check_parts(info.tool_calls)
    info.text.encode()


def check_attributes(info: RequestInfo | ResponseInfo) -> None:
    for name, value in info.attributes().items():
        assert name in NAMES
        for one in value if isinstance(value, tuple) else [value]:
            assert isinstance(one, str | int | float)
            str(one).encode()  # an exporter refuses a lone surrogate
    (info.model or "").encode()


def check(shape: str, path: str, body: bytes) -> None:
    check_request(request_info(shape, path, body))
    check_response(response_info(shape, body))
    assert ended(shape, body) in (True, False)


# One value for every field that is read somewhere, and the kinds of value that do not belong there.
WRONG: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        [10**400, "\ud800", "data:x,y", "data:", '{"a": ', "[" * 50, "user", "text", "tool_call"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id"]), inner)
    ),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [at, *(place for key, child in children for place in places(child, (*at, key)))]


def replaced(value: Any, at: tuple[Any, ...], wrong: Any) -> Any:
    if not at:
        return wrong
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[at[0]] = replaced(value[at[0]], at[1:], wrong)
    return changed


REQUESTS: list[tuple[str, Any]] = [
    (
        "openai-chat",
        {
            "model": "m",
            "stop": ["a"],
            "n": 1,
            "modalities": ["text"],
            "response_format": {"type": "text"},
            "reasoning": {"effort": "low"},
            "messages": [
                {"role": "user", "name": "n", "content": "c"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "t"},
                        {"type": "image_url", "image_url": {"url": "u"}},
                        {"type": "input_audio", "input_audio": {"data": "d", "format": "wav"}},
                        {"type": "file", "file": {"file_data": "data:a/b;base64,c"}},
                        {"type": "refusal", "refusal": "r"},
                        {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
                        {"type": "video", "x": 1},
                    ],
                },
                {
                    "role": "assistant",
                    "reasoning": "r",
                    "tool_calls": [{"id": "i", "function": {"name": "f", "arguments": "{}"}}],
                    "function_call": {"name": "f", "arguments": "{}"},
                    "audio": {"data": "d", "transcript": "t"},
                },
                {"role": "tool", "tool_call_id": "i", "content": [{"type": "text", "text": "t"}]},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}, {"type": "t"}],
            "functions": [{"name": "f", "description": "d"}],
        },
    ),
    ("openai-completions", {"prompt": ["a", "b"]}),
    (
        "openai-responses",
        {
            "conversation": {"id": "c"},
            "text": {"format": {"type": "json_object"}},
            "tools": [{"type": "function", "name": "f", "parameters": {}}, {"type": "mcp"}],
            "input": [
                {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
                {"role": "user", "content": [{"type": "input_file", "file_url": "u"}]},
                test_wire_openai_responses.REASONING,
                test_wire_openai_responses.SEARCH,
                test_wire_openai_responses.CALL,
                {"type": "function_call_output", "call_id": "c", "output": "o"},
                {"type": "compaction", "id": "c"},
                {"type": "item_reference", "id": "i"},
            ],
        },
    ),
    (
        "anthropic",
        {
            "system": [{"type": "text", "text": "s"}],
            "output_config": {"effort": "low", "format": {"type": "json_schema"}},
            "tools": [{"name": "n", "description": "d", "input_schema": {}}, {"type": "t", "name": "n"}],
            "messages": [
                {"role": "assistant", "content": test_wire_anthropic.MESSAGE["content"]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t", "content": "c", "is_error": True},
                        {"type": "image", "source": {"type": "base64", "media_type": "a/b", "data": "d"}},
                        {"type": "document", "source": {"type": "content", "content": [{"type": "text"}]}},
                        {"type": "document", "source": {"type": "file", "file_id": "f"}},
                        {"type": "compaction", "content": "c"},
                        {"type": "search_result", "content": []},
                    ],
                },
            ],
        },
    ),
    (
        "gemini",
        {
            "systemInstruction": {"parts": [{"text": "s"}]},
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": {}}]}, {"googleSearch": {}}],
            "generationConfig": {"responseModalities": ["TEXT"], "thinkingConfig": {"thinkingLevel": "LOW"}},
            "contents": [
                *(candidate["content"] for candidate in test_wire_gemini.ANSWER["candidates"]),
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"id": "i", "response": {}}},
                        {"fileData": {"fileUri": "u", "mimeType": "a/b"}},
                        {"toolCall": {"toolType": "T", "args": {}}},
                        {"toolResponse": {"toolType": "T", "response": {}}},
                    ],
                },
            ],
        },
    ),
    ("gemini-embeddings", {"requests": [{"outputDimensionality": 1}]}),
    ("openai-embeddings", {"model": "m", "dimensions": 1, "encoding_format": "float"}),
]
ANSWERS: list[tuple[str, Any]] = [
    ("openai-chat", test_wire_openai_chat.ANSWER),
    ("openai-responses", test_wire_openai_responses.RESPONSE),
    ("anthropic", test_wire_anthropic.MESSAGE),
    ("gemini", test_wire_gemini.ANSWER),
    ("openai-embeddings", {"model": "m", "usage": {"prompt_tokens": 1}}),
]
CHAT_CHUNKS = [
    json.loads(line[6:]) for line in STREAMS["openai-chat"].splitlines() if line.startswith(b"data: {")
]
STREAMED: list[tuple[str, list[Any]]] = [
    ("openai-chat", CHAT_CHUNKS),
    ("openai-responses", test_wire_openai_responses.EVENTS),
    ("openai-responses", test_wire_openai_responses.EVENTS[:-1]),
    ("anthropic", test_wire_anthropic.EVENTS),
    ("gemini", test_wire_gemini.STEPS),
]


@pytest.mark.parametrize(("shape", "document"), REQUESTS + ANSWERS)
def test_the_samples_themselves_fit(shape: str, document: Any) -> None:
    check(shape, "", json.dumps(document).encode())


@given(st.sampled_from(REQUESTS + ANSWERS), WRONG, st.data(), st.sampled_from(PATHS))
@settings(max_examples=1000, deadline=None)
def test_a_wrong_value_anywhere(sample: tuple[str, Any], wrong: Any, data: st.DataObject, path: str) -> None:
    shape, document = sample
    at = data.draw(st.sampled_from(places(document)))
    check(shape, path, json.dumps(replaced(document, at, wrong)).encode())


@given(st.sampled_from(STREAMED), WRONG, st.data())
@settings(max_examples=1000, deadline=None)
def test_a_wrong_value_anywhere_in_a_stream(
    sample: tuple[str, list[Any]], wrong: Any, data: st.DataObject
) -> None:
    shape, events = sample
    at = data.draw(st.sampled_from(places(events)[1:]))
    changed = replaced(events, at, wrong)
    check(shape, "", "".join(f"data: {json.dumps(event)}\n\n" for event in changed).encode())
    check(shape, "", json.dumps(changed).encode())


BODIES = [
    *STREAMS.values(),
    GEMINI_ARRAY,
    *(json.dumps(document).encode() for _, document in REQUESTS + ANSWERS),
]


@given(st.sampled_from(SHAPES), st.sampled_from(BODIES), st.data(), st.sampled_from(PATHS))
@settings(max_examples=1000, deadline=None)
def test_broken_bytes(shape: str, body: bytes, data: st.DataObject, path: str) -> None:
    at = data.draw(st.integers(0, len(body)))
    until = data.draw(st.sampled_from([at, at + 1, at + 20, len(body)]))
    check(shape, path, body[:at] + data.draw(st.binary(max_size=4)) + body[until:])


@given(st.sampled_from(SHAPES), WRONG)
@settings(deadline=None)
def test_any_json_at_all(shape: str, value: Any) -> None:
    check(shape, "", json.dumps(value).encode())
    check(shape, "", b"data: " + json.dumps(value).encode() + b"\n\n")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"messages":' + b"[" * 100_000,
        b'{"n": ' + b"9" * 10_000 + b"}",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"\x00" * 1000,
    ],
    ids=range(8),
)
def test_what_a_parser_refuses(shape: str, body: bytes) -> None:
    check(shape, "", body)


def test_a_large_body_takes_time_in_proportion() -> None:
    piece = {"index": 0, "delta": {"content": ["x", {"type": "text", "text": "y"}]}}
    body = sse([{"choices": [piece]}] * 20_000)
    assert len(response_info("openai-chat", body).text) == 40_000
