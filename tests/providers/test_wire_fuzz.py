"""Bodies that are cut, broken or of another shape tell less, raise nothing and never break the schema."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
import test_wire_anthropic
import test_wire_bedrock
import test_wire_cohere
import test_wire_gemini
import test_wire_gemini_interactions
import test_wire_mistral
import test_wire_ollama
import test_wire_openai_chat
import test_wire_openai_responses
from bedrock_sdk import frame, texts
from conventions import check_value
from events import sse
from genai_schema import check_messages, check_parts, check_tools
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import GEMINI_ARRAY, STREAMS
from test_wire_bedrock_invoke import FAMILIES

from rewind_auto.providers.reading import MODALITIES
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
    "gemini-interactions",
    "vertex-embeddings",
    "cohere",
    "cohere-embeddings",
    "rerank",
    "mistral-conversations",
    "ollama",
    "ollama-embeddings",
    "model",
    "bedrock-converse",
    "bedrock-invoke",
    "bedrock-data",
    "",
]
PATHS = [
    "",
    "/",
    "/v1/chat/completions",
    "/v1/conversations/%ff?a",
    "/model/x/invoke",
    "/model/%ff%2F/converse-stream",
    "/openai/deployments/%ff/c",
    "/m/%zz:generateContent?a",
]
TOKENS = {
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
    *(f"{kind}_{side}_tokens" for kind in MODALITIES for side in ("input", "cache_read_input", "output")),
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
        check_value(name, value)
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
    (
        "gemini-interactions",
        {
            "model": "m",
            "system_instruction": "s",
            "response_modalities": ["image"],
            "response_format": [{"type": "text", "schema": {}, "mime_type": "a/b"}],
            "generation_config": {"stop_sequences": ["a"], "thinking_level": "low"},
            "tools": [{"type": "function", "name": "f", "parameters": {}}, {"type": "google_search"}],
            "input": [
                {
                    "type": "user_input",
                    "content": [
                        {"type": "text", "text": "t"},
                        {"type": "image", "data": "d", "mime_type": "a/b"},
                        {"type": "document", "uri": "u"},
                    ],
                },
                *test_wire_gemini_interactions.ANSWER["steps"],
                {"type": "function_result", "call_id": "c", "result": "r", "is_error": True},
            ],
        },
    ),
    ("vertex-embeddings", {"instances": [], "parameters": {"outputDimensionality": 1}}),
    (
        "cohere",
        {
            "model": "m",
            "response_format": {"type": "text"},
            "stop_sequences": ["a"],
            "documents": ["d", {"data": {}}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]},
                {**test_wire_cohere.ANSWER["message"]},
                {"role": "tool", "tool_call_id": "i", "content": [{"type": "document", "document": {}}]},
            ],
        },
    ),
    (
        "cohere",
        {
            "message": "m",
            "preamble": "p",
            "conversation_id": "c",
            "documents": [{"text": "t"}],
            "connectors": [{"id": "web-search"}],
            "tools": [{"name": "f", "description": "d", "parameter_definitions": {}}],
            "tool_results": [{"call": {"name": "f", "parameters": {}}, "outputs": [{}]}],
            "chat_history": [
                {"role": "CHATBOT", "message": "m", "tool_calls": [{"name": "f", "parameters": {}}]},
                {"role": "TOOL", "tool_results": [{"outputs": [{}]}]},
            ],
        },
    ),
    ("cohere", {"prompt": "p", "end_sequences": ["a"], "num_generations": 2}),
    ("cohere-embeddings", {"model": "m", "embedding_types": ["float"], "output_dimension": 1}),
    ("rerank", {"model": "m", "documents": ["d"]}),
    (
        "mistral-conversations",
        {
            "agent_id": "a",
            "instructions": "i",
            "completion_args": {"stop": ["a"], "response_format": {"type": "text"}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}, {"type": "t"}],
            "inputs": [
                {"role": "user", "content": [{"type": "document_url", "document_url": "u"}]},
                {"role": "user", "content": [{"type": "input_audio", "input_audio": "https://u"}]},
                {"type": "function.result", "tool_call_id": "c", "result": "r"},
                {"type": "agent.handoff", "next_agent_id": "a"},
                *test_wire_mistral.ANSWER["outputs"],
            ],
        },
    ),
    (
        "ollama",
        {
            "model": "m",
            "system": "s",
            "format": {"type": "object"},
            "options": {"stop": ["a"], "num_predict": 1},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "messages": [
                {"role": "user", "content": "c", "images": ["i"]},
                test_wire_ollama.ANSWER["message"],
                {"role": "tool", "tool_name": "f", "tool_call_id": "i", "content": "c"},
            ],
        },
    ),
    ("ollama", {"model": "m", "prompt": "p", "images": ["i"]}),
    ("ollama-embeddings", {"model": "m", "dimensions": 1}),
    ("model", {"model": "m", "model_id": "m"}),
    (
        "bedrock-converse",
        {
            "system": [{"text": "s"}],
            "inferenceConfig": {"maxTokens": 1, "stopSequences": ["a"]},
            "additionalModelRequestFields": {"top_k": 1, "inferenceConfig": {"topK": 1}},
            "outputConfig": {"effort": "low", "textFormat": {}},
            "guardrailConfig": {"guardrailIdentifier": "g"},
            "toolConfig": {
                "tools": [
                    {"toolSpec": {"name": "n", "inputSchema": {"json": {}}}},
                    {"systemTool": {"name": "n"}},
                ]
            },
            "messages": [
                test_wire_bedrock.ANSWER["output"]["message"],
                {
                    "role": "user",
                    "content": [
                        {"toolResult": {"toolUseId": "t", "content": [{"text": "r"}], "status": "error"}},
                        {"toolResult": {"toolUseId": "t", "type": "n_result"}},
                        {"toolUse": {"toolUseId": "t", "name": "n", "type": "server_tool_use"}},
                        {"reasoningContent": {"redactedContent": "eA=="}},
                        {"image": {"format": "png", "source": {"bytes": "aWk="}}},
                        {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://b/k"}}}},
                        {"document": {"format": "pdf", "source": {"content": [{"text": "t"}]}}},
                        {"guardContent": {"text": {"text": "g"}}},
                        {"citationsContent": {"content": [{"text": "c"}]}},
                        {"cachePoint": {"type": "default"}},
                        {"searchResult": {"title": "t"}},
                    ],
                },
            ],
        },
    ),
    *(("bedrock-invoke", family.request) for family in FAMILIES.values()),
    ("bedrock-data", {"dimensions": 1, "embeddingTypes": ["float"], "embeddingConfig": {}}),
    ("openai-embeddings", {"model": "m", "dimensions": 1, "encoding_format": "float"}),
]
ANSWERS: list[tuple[str, Any]] = [
    ("openai-chat", test_wire_openai_chat.ANSWER),
    ("openai-responses", test_wire_openai_responses.RESPONSE),
    ("anthropic", test_wire_anthropic.MESSAGE),
    ("gemini", test_wire_gemini.ANSWER),
    ("gemini-interactions", {**test_wire_gemini_interactions.ANSWER, "errors": [{"code": "c"}]}),
    ("vertex-embeddings", {"predictions": [{"embeddings": {"statistics": {"token_count": 1}}}]}),
    ("cohere", test_wire_cohere.ANSWER),
    ("cohere", test_wire_cohere.OLD_ANSWER),
    ("cohere", test_wire_cohere.GENERATION),
    ("cohere-embeddings", {"meta": {"billed_units": {"image_tokens": 1}}}),
    ("rerank", {"model": "m", "usage": {"total_tokens": 1}}),
    ("mistral-conversations", test_wire_mistral.ANSWER),
    ("ollama", test_wire_ollama.ANSWER),
    ("ollama", test_wire_ollama.GENERATION),
    ("ollama-embeddings", {"model": "m", "prompt_eval_count": 1}),
    ("model", {"model": "m", "usage": {"input_tokens": 1}}),
    ("openai-embeddings", {"model": "m", "usage": {"prompt_tokens": 1}}),
    ("bedrock-converse", test_wire_bedrock.ANSWER),
    *(("bedrock-invoke", family.answer) for family in FAMILIES.values()),
    ("bedrock-data", {"embedding": [0.5], "inputTextTokenCount": 1, "message": None}),
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
    ("gemini-interactions", test_wire_gemini_interactions.EVENTS),
    ("cohere", test_wire_cohere.EVENTS),
    ("cohere", test_wire_cohere.OLD_EVENTS),
    ("cohere", test_wire_cohere.OLD_EVENTS[:-1]),
    ("cohere", test_wire_cohere.GENERATION_EVENTS),
    ("mistral-conversations", test_wire_mistral.EVENTS),
    ("ollama", test_wire_ollama.STEPS),
    ("bedrock-converse", [list(one) for one in test_wire_bedrock.EVENTS]),
    *(("bedrock-invoke", family.chunks) for family in FAMILIES.values() if family.chunks),
]


def streamed(shape: str, pieces: Any) -> bytes:
    """A stream of these, whatever they are, on the wire of the shape."""
    if shape == "ollama":
        return "".join(f"{json.dumps(one)}\n" for one in pieces).encode()
    if not shape.startswith("bedrock-"):
        return "".join(f"data: {json.dumps(one)}\n\n" for one in pieces).encode()
    frames = []
    for one in pieces:
        named = isinstance(one, list) and len(one) == 2
        name = str(one[0]).encode(errors="replace")[:99].decode() if named else "chunk"
        document = one[1] if named else {"bytes": b64encode(json.dumps(one).encode()).decode()}
        frames.append(frame(texts({":event-type": name}), json.dumps(document).encode()))
    return b"".join(frames)


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
    check(shape, "", streamed(shape, changed))
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


@given(
    st.sampled_from([shape for shape in SHAPES if shape.startswith("bedrock-")]),
    st.dictionaries(
        st.sampled_from([":event-type", ":message-type", ":exception-type", ":error-code", "x"]),
        st.sampled_from(["chunk", "messageStart", "contentBlockDelta", "metadata", "exception", "error", ""]),
    ),
    st.binary(max_size=40) | WRONG.map(lambda value: json.dumps({"bytes": value}).encode()),
    st.binary(max_size=40),
)
@settings(max_examples=500, deadline=None)
def test_any_frame_at_all(shape: str, headers: dict[str, str], payload: bytes, block: bytes) -> None:
    check(shape, "", frame(texts(headers), payload))
    check(shape, "", frame(texts(headers) + block, payload) + frame(block, payload))


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
