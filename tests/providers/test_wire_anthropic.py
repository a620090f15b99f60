from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from events import checked, sse
from pydantic import TypeAdapter

from rewind_auto.providers.wire import request_info, response_info

if TYPE_CHECKING:
    import anthropic
    from wire_server import WireServer

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5",
    "content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "text", "text": "Looking ", "citations": None},
        {"type": "text", "text": "it up."},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "Bern"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 200,
        "cache_read_input_tokens": 3000,
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 25},
        "service_tier": "standard",
    },
}
PARTS = [
    {"type": "reasoning", "content": "Let me see."},
    {"type": "text", "content": "Looking "},
    {"type": "text", "content": "it up."},
    {
        "type": "server_tool_call",
        "id": "srv_1",
        "name": "web_search",
        "server_tool_call": {"type": "web_search", "input": {"query": "Bern"}},
    },
    {
        "type": "server_tool_call_response",
        "id": "srv_1",
        "server_tool_call_response": {"type": "web_search", "content": []},
    },
    {"type": "tool_call", "id": "toolu_1", "name": "weather", "arguments": {"city": "Bern"}},
]
USAGE = {
    "input_tokens": 3210,
    "output_tokens": 40,
    "cache_read_input_tokens": 3000,
    "cache_write_input_tokens": 200,
    "reasoning_output_tokens": 25,
}


def delta(index: int, kind: str, name: str, value: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: value}}


def started(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            **MESSAGE,
            "content": [],
            "stop_reason": None,
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 200,
                "cache_read_input_tokens": 3000,
                "output_tokens": 1,
            },
        },
    },
    started(0, {"type": "thinking", "thinking": "", "signature": ""}),
    delta(0, "thinking_delta", "thinking", "Let me "),
    delta(0, "thinking_delta", "thinking", "see."),
    delta(0, "signature_delta", "signature", "c2ln"),
    stopped(0),
    started(1, {"type": "text", "text": ""}),
    delta(1, "text_delta", "text", "Look"),
    delta(1, "text_delta", "text", "ing "),
    stopped(1),
    started(2, {"type": "text", "text": ""}),
    delta(2, "text_delta", "text", "it up."),
    stopped(2),
    started(3, {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}),
    delta(3, "input_json_delta", "partial_json", '{"query": "Bern"}'),
    stopped(3),
    started(4, {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}),
    stopped(4),
    started(5, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}),
    delta(5, "input_json_delta", "partial_json", ""),
    delta(5, "input_json_delta", "partial_json", '{"city": "B'),
    delta(5, "input_json_delta", "partial_json", 'ern"}'),
    stopped(5),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {
            "output_tokens": 40,
            "input_tokens": None,
            "output_tokens_details": {"thinking_tokens": 25},
        },
    },
    {"type": "message_stop"},
]
PING = 'event: ping\ndata: {"type": "ping"}\n\n'
STREAM = PING.encode() + sse(EVENTS, named=True)


def test_the_sdk_knows_every_event_of_the_stream() -> None:
    kinds: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    for event in EVENTS:
        kinds.validate_python(event)


def test_a_request_of_the_sdk(anthropic_client: anthropic.Anthropic, wire_server: WireServer) -> None:
    wire_server.answers(checked(Message, MESSAGE))
    anthropic_client.messages.create(
        model="claude-sonnet-5",
        max_tokens=1024,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        extra_body={"temperature": 1.0, "top_p": 0.9, "top_k": 40},  # no arguments of the SDK's any more
        stop_sequences=["END"],
        output_config={"effort": "high"},
        tools=[
            {"name": "weather", "description": "Weather", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        messages=[
            {"role": "user", "content": "Weather in Bern?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                    {"type": "redacted_thinking", "data": "eHg="},
                    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": "no such city",
                        "is_error": True,
                    },
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "aWk="},
                    },
                    {"type": "document", "source": {"type": "url", "url": "https://x.example/d.pdf"}},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "T"}},
                    {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                ],
            },
        ],
    )

    info = request_info("anthropic", wire_server.path, wire_server.request)

    assert (info.model, info.stream) == ("claude-sonnet-5", False)
    assert info.attributes() == {
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.reasoning.level": "high",
    }
    assert info.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert info.tool_definitions == [
        {
            "type": "function",
            "name": "weather",
            "description": "Weather",
            "parameters": {"type": "object"},
        },
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    assert info.input_messages == [
        {"role": "user", "parts": [{"type": "text", "content": "Weather in Bern?"}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "redacted_thinking", "data": "eHg="},
                {"type": "tool_call", "id": "toolu_1", "name": "weather", "arguments": {"city": "Bern"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "type": "tool_call_response",
                    "id": "toolu_1",
                    "response": "no such city",
                    "is_error": True,
                },
                {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWk="},
                {"type": "uri", "modality": "document", "uri": "https://x.example/d.pdf"},
                {"type": "text", "content": "T"},
                {"type": "file", "modality": "image", "file_id": "file_1"},
            ],
        },
    ]


def test_an_answer_in_one_piece(anthropic_client: anthropic.Anthropic, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(Message, MESSAGE))
    theirs = anthropic_client.messages.create(model="m", max_tokens=1, messages=[])

    info = response_info("anthropic", body, "application/json")

    assert info.attributes() == {
        "gen_ai.response.model": theirs.model,
        "gen_ai.response.id": theirs.id,
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == USAGE
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert info.text == "Looking it up."


def test_a_stream(anthropic_client: anthropic.Anthropic, wire_server: WireServer) -> None:
    wire_server.streams(STREAM)
    with anthropic_client.messages.stream(model="m", max_tokens=1, messages=[]) as stream:
        theirs = stream.get_final_message()
    assert request_info("anthropic", wire_server.path, wire_server.request).stream is True

    info = response_info("anthropic", STREAM, "text/event-stream")

    assert info.attributes() == {
        "gen_ai.response.model": theirs.model,
        "gen_ai.response.id": theirs.id,
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == USAGE
    assert info.usage["output_tokens"] == theirs.usage.output_tokens
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert info.text == "".join(block.text for block in theirs.content if block.type == "text")


def test_a_stream_cut_before_its_end_tells_what_came() -> None:
    info = response_info("anthropic", STREAM[: STREAM.rindex(b'ern\\"}')])
    assert (info.model, info.finish_reasons) == ("claude-sonnet-5", ("error",))
    assert info.usage == {
        "input_tokens": 3210,
        "output_tokens": 1,
        "cache_read_input_tokens": 3000,
        "cache_write_input_tokens": 200,
    }
    assert info.text == "Looking it up."
    assert info.tool_calls == [
        {"type": "tool_call", "id": "toolu_1", "name": "weather", "arguments": '{"city": "B'}
    ]


def test_a_call_without_arguments_has_none() -> None:
    call = {"type": "tool_use", "id": "t", "name": "now", "input": {}}
    body = sse([EVENTS[0], started(0, call), delta(0, "input_json_delta", "partial_json", "")], named=True)
    assert [part["arguments"] for part in response_info("anthropic", body).tool_calls] == [{}]


def test_a_stream_that_breaks_with_an_error() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    info = response_info("anthropic", sse([*EVENTS[:8], error], named=True))
    assert (info.error, info.finish_reasons, info.text) == ("overloaded_error", ("error",), "Look")


def test_an_error_is_no_answer() -> None:
    body = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}'
    info = response_info("anthropic", body)
    assert (info.error, info.finish_reasons, info.output_messages) == ("rate_limit_error", (), [])


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("compaction", "compaction"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_reasons_to_stop(stop_reason: str, finish_reason: str) -> None:
    body = json.dumps({**MESSAGE, "stop_reason": stop_reason}).encode()
    assert response_info("anthropic", body).finish_reasons == (finish_reason,)


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude-5@1:rawPredict", "claude-5@1", False),
        ("/v1/p/publishers/anthropic/models/claude-5:streamRawPredict?alt=sse", "claude-5", True),
        ("/v1/messages", None, False),
    ],
)
def test_clouds_name_the_model_in_the_path(path: str, model: str | None, stream: bool) -> None:
    info = request_info("anthropic", path, b'{"messages": []}')
    assert (info.model, info.stream) == (model, stream)
