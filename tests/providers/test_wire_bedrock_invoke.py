"""InvokeModel: what each maker's models are asked and answer, in one piece and as a stream.

The documents are those of the Bedrock User Guide, "Inference request parameters and response fields for
foundation models"; Amazon's client carries them, and says nothing of what is in them.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import test_wire_anthropic
import test_wire_bedrock
from anthropic.types import Message
from bedrock_sdk import EVENT_STREAM, bedrock, chunk, event, exception, frame, invoke_stream, texts
from cohere import NonStreamedChatResponse
from events import checked
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from rewind_auto.providers.wire import ended, request_info, response_info

if TYPE_CHECKING:
    from wire_server import WireServer

METRICS = {
    "amazon-bedrock-invocationMetrics": {
        "inputTokenCount": 7,
        "outputTokenCount": 5,
        "invocationLatency": 900,
        "firstByteLatency": 300,
    }
}
COUNTED = {"input_tokens": 7, "output_tokens": 5}
QUESTION = "Say hi"


def said(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "content": text}]


def path_of(model: str, *, stream: bool = False) -> str:
    return f"/model/{quote(model, safe='')}/invoke{'-with-response-stream' if stream else ''}"


@dataclass
class Family:
    """What one maker's models speak.

    Attributes:
        asked: attributes of the request.
        told: attributes of the answer.
        counted: the usage of an answer in one piece.
        counted_in_stream: that of a stream.
    """

    model: str
    request: dict[str, Any]
    answer: dict[str, Any]
    chunks: list[dict[str, Any]]
    asked: dict[str, Any]
    told: dict[str, Any] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    counted_in_stream: dict[str, int] = field(default_factory=lambda: COUNTED)
    parts: list[dict[str, Any]] = field(default_factory=lambda: said("Hi there"))
    input: list[dict[str, Any]] = field(default_factory=lambda: said(QUESTION))
    finish_reason: str = "stop"


TURN = [{"role": "user", "content": QUESTION}]
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "openai.gpt-oss-120b-1:0",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi there"}}
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
}
CHAT_CHUNK = {name: CHAT[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
CHAT_CHUNKS: list[dict[str, Any]] = [
    {**CHAT_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]},
    {**CHAT_CHUNK, "choices": [{"index": 0, "delta": {"content": " there"}}]},
    {**CHAT_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **METRICS},
]
CALL = {"id": "call1", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
CALLED = {"type": "tool_call", "id": "call1", "name": "weather", "arguments": {"city": "Bern"}}

FAMILIES = {
    "anthropic": Family(
        "us.anthropic.claude-sonnet-5-v1:0",
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 9,
            "stop_sequences": ["END"],
            "messages": TURN,
        },
        test_wire_anthropic.MESSAGE,
        [*test_wire_anthropic.EVENTS[:-1], {**test_wire_anthropic.EVENTS[-1], **METRICS}],
        {"gen_ai.request.max_tokens": 9, "gen_ai.request.stop_sequences": ("END",)},
        {"gen_ai.response.model": "claude-sonnet-5", "gen_ai.response.id": "msg_1"},
        test_wire_anthropic.USAGE,
        test_wire_anthropic.USAGE,
        test_wire_anthropic.PARTS,
        finish_reason="tool_call",
    ),
    "anthropic, before Messages": Family(
        "anthropic.claude-v2:1",
        {"prompt": QUESTION, "max_tokens_to_sample": 9, "stop_sequences": ["\n\nHuman:"]},
        {
            "type": "completion",
            "completion": "Hi there",
            "stop_reason": "stop_sequence",
            "stop": "\n\nHuman:",
        },
        [
            {"type": "completion", "completion": "Hi", "stop_reason": None, "stop": None},
            {"type": "completion", "completion": " there", "stop_reason": "stop_sequence", **METRICS},
        ],
        {"gen_ai.request.max_tokens": 9, "gen_ai.request.stop_sequences": ("\n\nHuman:",)},
    ),
    "nova": Family(
        "amazon.nova-lite-v1:0",
        {
            "schemaVersion": "messages-v1",
            "messages": [{"role": "user", "content": [{"text": QUESTION}]}],
            "inferenceConfig": {"max_new_tokens": 9, "topK": 20, "topP": 0.9},
        },
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Hi there"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 4, "outputTokens": 5, "totalTokens": 12, "cacheReadInputTokenCount": 3},
        },
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Hi"}, "contentBlockIndex": 0}},
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"contentBlockDelta": {"delta": {"text": " there"}, "contentBlockIndex": 1}},
            {"contentBlockStop": {"contentBlockIndex": 1}},
            {"messageStop": {"stopReason": "end_turn"}},
            {
                "metadata": {
                    "usage": {"inputTokens": 4, "outputTokens": 5, "cacheReadInputTokenCount": 3},
                    "metrics": {},
                },
                **METRICS,
            },
        ],
        {"gen_ai.request.max_tokens": 9, "gen_ai.request.top_k": 20, "gen_ai.request.top_p": 0.9},
        counted={**COUNTED, "cache_read_input_tokens": 3},
        counted_in_stream={**COUNTED, "cache_read_input_tokens": 3},
    ),
    "titan": Family(
        "amazon.titan-text-express-v1",
        {
            "inputText": QUESTION,
            "textGenerationConfig": {"maxTokenCount": 9, "topP": 0.5, "stopSequences": ["|"]},
        },
        {
            "inputTextTokenCount": 7,
            "results": [{"tokenCount": 5, "outputText": "Hi there", "completionReason": "FINISH"}],
        },
        [
            {"outputText": "Hi", "index": 0, "inputTextTokenCount": 7, "completionReason": None},
            {
                "outputText": " there",
                "index": 0.0,
                "totalOutputTextTokenCount": 6.0,
                "completionReason": "FINISH",
                **METRICS,
            },
        ],
        {
            "gen_ai.request.max_tokens": 9,
            "gen_ai.request.top_p": 0.5,
            "gen_ai.request.stop_sequences": ("|",),
        },
        counted=COUNTED,
        counted_in_stream={"input_tokens": 7, "output_tokens": 6},
    ),
    "llama": Family(
        "meta.llama3-70b-instruct-v1:0",
        {"prompt": QUESTION, "max_gen_len": 9, "temperature": 0.5},
        {
            "generation": "Hi there",
            "prompt_token_count": 7,
            "generation_token_count": 5,
            "stop_reason": "length",
        },
        [
            {"generation": "Hi", "prompt_token_count": 8, "generation_token_count": 1, "stop_reason": None},
            {
                "generation": " there",
                "prompt_token_count": None,
                "generation_token_count": 5,
                "stop_reason": "length",
                **METRICS,
            },
        ],
        {"gen_ai.request.max_tokens": 9, "gen_ai.request.temperature": 0.5},
        counted=COUNTED,
        counted_in_stream={"input_tokens": 8, "output_tokens": 5},
        finish_reason="length",
    ),
    "mistral": Family(
        "mistral.mistral-7b-instruct-v0:2",
        {"prompt": QUESTION, "max_tokens": 9, "top_k": 5, "stop": ["</s>"]},
        {"outputs": [{"text": "Hi there", "stop_reason": "stop"}]},
        [
            {"outputs": [{"text": "Hi", "stop_reason": None}]},
            {"outputs": [{"text": " there", "stop_reason": "stop"}], **METRICS},
        ],
        {
            "gen_ai.request.max_tokens": 9,
            "gen_ai.request.top_k": 5,
            "gen_ai.request.stop_sequences": ("</s>",),
        },
    ),
    "mistral chat": Family(
        "mistral.mistral-large-2407-v1:0",
        {"messages": TURN, "max_tokens": 9},
        {
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "", "tool_calls": [CALL]},
                    "stop_reason": "tool_calls",
                }
            ]
        },
        [
            {"choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "stop_reason": None}]},
            {
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": "", "tool_calls": [CALL]},
                        "stop_reason": "tool_calls",
                    }
                ],
                **METRICS,
            },
        ],
        {"gen_ai.request.max_tokens": 9},
        parts=[CALLED],
        finish_reason="tool_call",
    ),
    "gpt-oss": Family(
        "openai.gpt-oss-120b-1:0",
        {"messages": TURN, "max_completion_tokens": 9, "reasoning_effort": "low"},
        CHAT,
        CHAT_CHUNKS,
        {"gen_ai.request.max_tokens": 9, "gen_ai.request.reasoning.level": "low"},
        {"gen_ai.response.model": CHAT["model"], "gen_ai.response.id": "chatcmpl-1"},
        counted=COUNTED,
    ),
    "deepseek": Family(
        "us.deepseek.r1-v1:0",
        {"prompt": QUESTION, "max_tokens": 9, "temperature": 0.5},
        {"choices": [{"text": "Hi there", "stop_reason": "stop"}]},
        [
            {"choices": [{"text": "Hi", "stop_reason": None}]},
            {"choices": [{"text": " there", "stop_reason": "stop"}], **METRICS},
        ],
        {"gen_ai.request.max_tokens": 9, "gen_ai.request.temperature": 0.5},
    ),
    "jamba": Family(
        "ai21.jamba-1-5-large-v1:0",
        {"messages": TURN, "max_tokens": 9, "n": 2},
        {**CHAT, "model": "jamba-1.5-large"},
        [{**one, "model": "jamba-1.5-large"} for one in CHAT_CHUNKS],
        {"gen_ai.request.max_tokens": 9, "gen_ai.request.choice.count": 2},
        {"gen_ai.response.model": "jamba-1.5-large", "gen_ai.response.id": "chatcmpl-1"},
        counted=COUNTED,
    ),
    "jurassic": Family(
        "ai21.j2-mid-v1",
        {"prompt": QUESTION, "maxTokens": 9, "topP": 0.5, "stopSequences": ["|"]},
        {
            "id": 1234,
            "prompt": {"text": QUESTION, "tokens": []},
            "completions": [
                {"data": {"text": "Hi there", "tokens": []}, "finishReason": {"reason": "endoftext"}}
            ],
        },
        [],  # it does not stream
        {
            "gen_ai.request.max_tokens": 9,
            "gen_ai.request.top_p": 0.5,
            "gen_ai.request.stop_sequences": ("|",),
        },
    ),
    "command": Family(
        "cohere.command-text-v14",
        {"prompt": QUESTION, "max_tokens": 9, "p": 0.5, "k": 3},
        {
            "id": "g-1",
            "generations": [{"id": "g-2", "text": "Hi there", "finish_reason": "MAX_TOKENS"}],
            "prompt": QUESTION,
        },
        [
            {"text": "Hi", "is_finished": False, "index": 0},
            {"text": " there", "is_finished": False, "index": 0},
            {"is_finished": True, "finish_reason": "MAX_TOKENS", "index": 0, "id": "g-1", **METRICS},
        ],
        {"gen_ai.request.max_tokens": 9, "gen_ai.request.top_p": 0.5, "gen_ai.request.top_k": 3},
        {"gen_ai.response.id": "g-1"},
        finish_reason="length",
    ),
    "command-r": Family(
        "cohere.command-r-plus-v1:0",
        {
            "message": QUESTION,
            "chat_history": [{"role": "CHATBOT", "message": "Yes?"}],
            "max_tokens": 9,
            "p": 0.5,
        },
        {
            "response_id": "r-1",
            "text": "Hi there",
            "generation_id": "g-1",
            "chat_history": [],
            "finish_reason": "COMPLETE",
        },
        [
            {"event_type": "text-generation", "text": "Hi", "is_finished": False},
            {"event_type": "text-generation", "text": " there", "is_finished": False},
            {
                "event_type": "stream-end",
                "finish_reason": "COMPLETE",
                "is_finished": True,
                "response": {
                    "response_id": "r-1",
                    "text": "Hi there",
                    "generation_id": "g-1",
                    "finish_reason": "COMPLETE",
                },
                **METRICS,
            },
        ],
        {"gen_ai.request.max_tokens": 9, "gen_ai.request.top_p": 0.5},
        {"gen_ai.response.id": "r-1"},
    ),
    "command, version 2": Family(
        "cohere.command-a-v1:0",
        {"messages": TURN, "max_tokens": 9},
        {
            "id": "c-1",
            "finish_reason": "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi there"}]},
            "usage": {"tokens": {"input_tokens": 7, "output_tokens": 5}},
        },
        [
            {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant"}}},
            {
                "type": "content-start",
                "index": 0,
                "delta": {"message": {"content": {"type": "text", "text": ""}}},
            },
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}},
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": " there"}}}},
            {"type": "content-end", "index": 0},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}, **METRICS},
        ],
        {"gen_ai.request.max_tokens": 9},
        {"gen_ai.response.id": "c-1"},
        counted=COUNTED,
    ),
}
CLAUDE = FAMILIES["anthropic"]
STREAMING = {name: family for name, family in FAMILIES.items() if family.chunks}


@pytest.fixture
def client(wire_server: WireServer) -> Iterator[Any]:
    one = bedrock(wire_server.url)
    yield one
    one.close()


def test_what_has_types_elsewhere_is_of_these_types() -> None:
    checked(Message, FAMILIES["anthropic"].answer)
    checked(ChatCompletion, FAMILIES["gpt-oss"].answer)
    for one in CHAT_CHUNKS:
        checked(ChatCompletionChunk, {"choices": [], **one})
    assert NonStreamedChatResponse(**FAMILIES["command-r"].answer).text == "Hi there"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_request_and_its_answer(family: Family, client: Any, wire_server: WireServer) -> None:
    body = wire_server.answers(json.dumps(family.answer).encode())
    theirs = client.invoke_model(modelId=family.model, body=json.dumps(family.request))
    assert theirs["body"].read() == body

    asked = request_info("bedrock-invoke", wire_server.path, wire_server.request)
    info = response_info("bedrock-invoke", body, "application/json")

    assert (asked.model, asked.stream) == (family.model, False)
    assert asked.attributes() == family.asked
    assert asked.input_messages[-1] == {"role": "user", "parts": family.input}
    assert info.attributes() == {**family.told, "gen_ai.response.finish_reasons": (family.finish_reason,)}
    assert (info.usage, info.error) == (family.counted, None)
    message = {"role": "assistant", "parts": family.parts, "finish_reason": family.finish_reason}
    assert info.output_messages == [message]


@pytest.mark.parametrize("family", STREAMING.values(), ids=STREAMING)
def test_a_stream(family: Family, client: Any, wire_server: WireServer) -> None:
    body = wire_server.answers(invoke_stream(family.chunks), EVENT_STREAM)
    answer = client.invoke_model_with_response_stream(modelId=family.model, body=json.dumps(family.request))
    assert [json.loads(one["chunk"]["bytes"]) for one in answer["body"]] == family.chunks
    assert request_info("bedrock-invoke", wire_server.path, wire_server.request).stream is True

    info = response_info("bedrock-invoke", body, EVENT_STREAM, stream=True)

    assert info.attributes() == {**family.told, "gen_ai.response.finish_reasons": (family.finish_reason,)}
    assert (info.usage, info.error) == (family.counted_in_stream, None)
    message = {"role": "assistant", "parts": family.parts, "finish_reason": family.finish_reason}
    assert info.output_messages == [message]


@pytest.mark.parametrize("family", STREAMING.values(), ids=STREAMING)
def test_a_stream_cut_before_its_end_tells_what_came(family: Family) -> None:
    body = invoke_stream(family.chunks)
    for length in range(0, len(body) - 1, 41):
        info = response_info("bedrock-invoke", body[:length], EVENT_STREAM, stream=True)
        assert info.error is None
        said = "".join(one["content"] for one in family.parts if one["type"] == "text")
        assert said.startswith(info.text)
        assert len(info.finish_reasons) == 1
    assert response_info("bedrock-invoke", body[: len(chunk(family.chunks[0]))]).finish_reasons == ("error",)


@pytest.mark.parametrize("family", STREAMING.values(), ids=STREAMING)
def test_a_stream_that_breaks_with_an_error(family: Family) -> None:
    body = chunk(family.chunks[0]) + exception("modelStreamErrorException", "It broke")
    info = response_info("bedrock-invoke", body, EVENT_STREAM, stream=True)
    assert (info.error, info.finish_reasons) == ("modelStreamErrorException", ("error",))


def test_a_stream_may_begin_with_an_error() -> None:
    info = response_info("bedrock-invoke", exception("validationException", "No"), stream=True)
    assert (info.error, info.finish_reasons) == ("validationException", ("error",))


@pytest.mark.parametrize(
    "body", [b'{"message": "Invalid model"}', b'{"error": {"type": "error", "message": "No"}}']
)
def test_an_error_is_no_answer(body: bytes) -> None:
    info = response_info("bedrock-invoke", body)
    assert (info.error, info.finish_reasons, info.output_messages) == ("error", (), [])


def test_the_model_s_own_count_stands_before_amazons() -> None:
    count = {"inputTokenCount": 1, "outputTokenCount": 2, "cacheWriteInputTokenCount": 4}
    chunks = [{"generation": "Hi", "prompt_token_count": 9, "amazon-bedrock-invocationMetrics": count}]
    usage = response_info("bedrock-invoke", invoke_stream(chunks)).usage
    assert usage == {"input_tokens": 9, "output_tokens": 2, "cache_write_input_tokens": 4}


def counts(**of: Any) -> list[tuple[bytes, bytes]]:
    """Headers of an answer."""
    told = {f"X-Amzn-Bedrock-{name.replace('_', '-')}-Token-Count": str(value) for name, value in of.items()}
    return [(b"content-type", b"application/json"), *((n.encode(), v.encode()) for n, v in told.items())]


@pytest.mark.parametrize("name", ["mistral", "command", "jurassic", "anthropic, before Messages"])
def test_tokens_are_counted_in_headers_where_the_body_has_none(name: str) -> None:
    body = json.dumps(FAMILIES[name].answer).encode()
    headers = counts(Input=7, Output=5, Cache_Read_Input=0, Cache_Write_Input=3)
    told = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 0,
        "cache_write_input_tokens": 3,
    }
    assert response_info("bedrock-invoke", body).usage == {}
    assert response_info("bedrock-invoke", body, headers=headers).usage == told


def test_a_count_in_the_body_stands_before_one_in_the_headers() -> None:
    body = json.dumps(FAMILIES["llama"].answer).encode()
    assert response_info("bedrock-invoke", body, headers=counts(Input=70, Output=50)).usage == COUNTED
    cohere = json.dumps(EMBEDDINGS[2][2]).encode()
    assert response_info("bedrock-data", cohere, headers=counts(Input=7)).usage == {"input_tokens": 7}


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "²", "9" * 5000])
def test_a_header_that_is_no_count_is_none(value: str) -> None:
    assert response_info("bedrock-data", b"{}", headers=counts(Input=value)).usage == {}


def test_several_generations_are_told_apart() -> None:
    chunks = [
        {"text": "A", "index": 1, "is_finished": False},
        {"text": "B", "index": 0, "is_finished": False},
        {"is_finished": True, "finish_reason": "COMPLETE", "index": 1},
    ]
    info = response_info("bedrock-invoke", invoke_stream(chunks))
    assert info.finish_reasons == ("error", "stop")
    assert [message["parts"] for message in info.output_messages] == [said("B"), said("A")]


def test_a_chunk_over_several_lines_is_one() -> None:
    first = chunk({"generation": "A"})
    pretty = json.dumps({"generation": "B", "stop_reason": "stop"}, indent=1).encode()
    body = first + event("chunk", {"bytes": b64encode(pretty).decode()})
    assert response_info("bedrock-invoke", body).text == "AB"


def test_a_payload_may_be_spelled_in_any_way() -> None:
    data = b64encode(b'{"generation":"?\xc3\xbf\xc3\xbf>","stop_reason":"stop"}').decode()
    assert "/" in data
    spelled = data.replace("/", "\\/")
    payload = f'{{ "p": "\\"bytes\\":\\"AAAA\\"", "bytes" : "{spelled}" }}'
    body = frame(texts({":event-type": "chunk"}), payload.encode())
    assert response_info("bedrock-invoke", body).text == "?ÿÿ>"


@pytest.mark.parametrize(
    "payload", [{}, {"bytes": None}, {"bytes": "a"}, {"bytes": "\u20ac"}, {"bytes": "e30="}]
)
def test_a_frame_without_a_chunk_is_passed_over(payload: dict[str, Any]) -> None:
    body = event("chunk", payload) + invoke_stream(FAMILIES["llama"].chunks)
    assert response_info("bedrock-invoke", body).text == "Hi there"
    assert not ended("bedrock-invoke", event("chunk", payload))


@pytest.mark.parametrize("family", STREAMING.values(), ids=STREAMING)
def test_a_stream_is_ended_by_the_chunk_with_the_metrics(family: Family) -> None:
    body = invoke_stream(family.chunks)
    assert not any(ended("bedrock-invoke", body[:length]) for length in range(0, len(body), 17))
    assert not ended("bedrock-invoke", body[:-1])
    assert ended("bedrock-invoke", body)
    assert not ended("bedrock-invoke", invoke_stream(family.chunks[:-1]))
    broken = invoke_stream(family.chunks[:1]) + exception("internalServerException", "No")
    assert ended("bedrock-invoke", broken)


def test_claude_says_by_itself_when_it_stops() -> None:
    assert ended("bedrock-invoke", chunk({"type": "message_stop"}))
    said = {"type": "text_delta", "text": json.dumps({"type": "message_stop", **METRICS})}
    assert not ended("bedrock-invoke", chunk({"type": "content_block_delta", "index": 0, "delta": said}))


EMBEDDINGS = [
    (
        "amazon.titan-embed-text-v2:0",
        {"inputText": "Hi", "dimensions": 256, "embeddingTypes": ["float"]},
        {"embedding": [0.5, -0.5], "inputTextTokenCount": 2},
        (256, ("float",), {"input_tokens": 2}),
    ),
    (
        "amazon.titan-embed-image-v1",
        {"inputText": "Hi", "embeddingConfig": {"outputEmbeddingLength": 384}},
        {"embedding": [0.5] * 20_000, "inputTextTokenCount": 2, "message": None},
        (384, (), {"input_tokens": 2}),
    ),
    (
        "cohere.embed-v4:0",
        {"texts": ["Hi"], "input_type": "search_query", "embedding_types": ["int8"], "output_dimension": 512},
        {"embeddings": {"int8": [[1]]}, "id": "e", "response_type": "embeddings_by_type", "texts": ["Hi"]},
        (512, ("int8",), {}),
    ),
]


@pytest.mark.parametrize(("model", "request_", "answer", "told"), EMBEDDINGS)
def test_embeddings(
    model: str,
    request_: dict[str, Any],
    answer: dict[str, Any],
    told: Any,
    client: Any,
    wire_server: WireServer,
) -> None:
    body = wire_server.answers(json.dumps(answer).encode())
    assert client.invoke_model(modelId=model, body=json.dumps(request_))["body"].read() == body
    asked = request_info("bedrock-data", wire_server.path, wire_server.request)
    info = response_info("bedrock-data", body)
    assert asked.model == model
    assert (asked.dimension_count, asked.encoding_formats, info.usage) == told
    assert (info.finish_reasons, info.error) == ((), None)


def test_messages_of_converse_are_known_by_their_blocks() -> None:
    body = json.dumps({"messages": test_wire_bedrock.REQUEST["messages"]}).encode()
    asked = request_info("bedrock-invoke", path_of("arn:aws:bedrock:us-east-1:1:custom-model/x"), body)
    assert asked.input_messages == [{"role": "user", "parts": said("What is the weather in Bern?")}]
    assert asked.model == "arn:aws:bedrock:us-east-1:1:custom-model/x"
