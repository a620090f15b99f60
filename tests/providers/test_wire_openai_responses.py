from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from events import checked, sse
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from rewind_auto.providers.wire import request_info, response_info

if TYPE_CHECKING:
    import openai
    from wire_server import WireServer

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [
        {"type": "output_text", "text": "Looking ", "annotations": [], "logprobs": []},
        {"type": "output_text", "text": "it up.", "annotations": [], "logprobs": []},
    ],
}
REASONING: dict[str, Any] = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Let me see."}],
}
SEARCH: dict[str, Any] = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "Bern", "queries": ["Bern"]},
}
CALL: dict[str, Any] = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Bern"}',
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1.0,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "gpt-6-astra-2026-10-01",
    "output": [REASONING, SEARCH, MESSAGE, CALL],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "conversation": {"id": "conv_1"},
    "service_tier": "default",
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 12},
        "total_tokens": 120,
    },
}
PARTS = [
    {"type": "reasoning", "content": "Let me see."},
    {
        "type": "server_tool_call",
        "id": "ws_1",
        "name": "web_search",
        "server_tool_call": {"type": "web_search", "action": SEARCH["action"]},
    },
    {"type": "text", "content": "Looking "},
    {"type": "text", "content": "it up."},
    {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Bern"}},
]
USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "cache_read_input_tokens": 64,
    "cache_write_input_tokens": 8,
    "reasoning_output_tokens": 12,
}
EMPTY: dict[str, Any] = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
LAST: dict[str, Any] = {"type": "response.completed", "response": RESPONSE}
TEXT_DELTA = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 2, "content_index": 0}


def numbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


EVENTS = numbered(
    [
        {"type": "response.created", "response": EMPTY},
        {"type": "response.in_progress", "response": EMPTY},
        {"type": "response.output_item.added", "output_index": 0, "item": {**REASONING, "summary": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": REASONING},
        {"type": "response.output_item.done", "output_index": 1, "item": SEARCH},
        {
            "type": "response.output_item.added",
            "output_index": 2,
            "item": {**MESSAGE, "status": "in_progress", "content": []},
        },
        {
            "type": "response.content_part.added",
            "item_id": "msg_1",
            "output_index": 2,
            "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
        },
        {**TEXT_DELTA, "delta": "Look", "logprobs": []},
        {**TEXT_DELTA, "delta": "ing ", "logprobs": []},
        {"type": "response.output_item.done", "output_index": 2, "item": MESSAGE},
        {
            "type": "response.output_item.added",
            "output_index": 3,
            "item": {**CALL, "status": "in_progress", "arguments": ""},
        },
        {
            "type": "response.function_call_arguments.delta",
            "item_id": "fc_1",
            "output_index": 3,
            "delta": '{"city": ',
        },
        {
            "type": "response.function_call_arguments.delta",
            "item_id": "fc_1",
            "output_index": 3,
            "delta": '"Bern"}',
        },
        {"type": "response.output_item.done", "output_index": 3, "item": CALL},
        LAST,
    ]
)
STREAM = sse(EVENTS, named=True)


def test_the_sdk_knows_every_event_of_the_stream() -> None:
    kinds: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for event in EVENTS:
        kinds.validate_python(event)


def test_a_request_of_the_sdk(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    wire_server.answers(checked(Response, RESPONSE))
    openai_client.responses.create(
        model="gpt-6-astra",
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": "In English."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "file_id": "file-0", "detail": "auto"},
                    {"type": "input_image", "image_url": "data:image/png;base64,aWk=", "detail": "auto"},
                    {"type": "input_file", "file_id": "file-1"},
                ],
            },
            {"type": "reasoning", "id": "rs_0", "summary": [], "encrypted_content": "eHg="},
            {"type": "function_call", "call_id": "call_0", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_0", "output": "sunny"},
            {"type": "item_reference", "id": "msg_0"},
        ],
        tools=[
            {
                "type": "function",
                "name": "weather",
                "description": "Weather",
                "parameters": {"type": "object"},
                "strict": True,
            },
            {"type": "web_search"},
            {"type": "mcp", "server_label": "docs", "server_url": "https://x.example"},
        ],
        temperature=1,
        top_p=0.5,
        max_output_tokens=100,
        reasoning={"effort": "high"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {}}},
        conversation="conv_1",
        previous_response_id="resp_0",
        service_tier="priority",
    )

    info = request_info("openai-responses", wire_server.path, wire_server.request)

    assert (info.model, info.stream) == ("gpt-6-astra", False)
    assert info.attributes() == {
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.reasoning.level": "high",
        "gen_ai.output.type": "json",
        "gen_ai.conversation.id": "conv_1",
        "gen_ai.request.previous_response.id": "resp_0",
        "openai.request.service_tier": "priority",
    }
    assert info.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert info.tool_definitions == [
        {
            "type": "function",
            "name": "weather",
            "description": "Weather",
            "parameters": {"type": "object"},
        },
        {"type": "web_search", "name": "web_search"},
        {"type": "mcp", "name": "docs"},
    ]
    assert info.input_messages == [
        {"role": "developer", "parts": [{"type": "text", "content": "In English."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is it?"},
                {"type": "file", "modality": "image", "file_id": "file-0"},
                {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWk="},
                {"type": "file", "modality": "document", "file_id": "file-1"},
            ],
        },
        {"role": "assistant", "parts": []},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call_0", "name": "weather", "arguments": {}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_0", "response": "sunny"}]},
        {"role": "assistant", "parts": [{"type": "item_reference", "id": "msg_0"}]},
    ]


def test_an_input_may_be_a_string() -> None:
    info = request_info("openai-responses", "/v1/responses", b'{"input": "Hi", "stream": true}')
    assert info.stream is True
    assert info.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]


def test_an_answer_in_one_piece(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(Response, RESPONSE))
    theirs = openai_client.responses.create(model="m", input="Hi")

    info = response_info("openai-responses", body, "application/json")

    assert info.attributes() == {
        "gen_ai.response.model": theirs.model,
        "gen_ai.response.id": theirs.id,
        "gen_ai.response.finish_reasons": ("tool_call",),
        "gen_ai.conversation.id": "conv_1",
        "openai.response.service_tier": "default",
    }
    assert info.error is None
    assert info.usage == USAGE
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert info.text == theirs.output_text


@pytest.mark.parametrize("gateway", [False, True])
def test_a_stream(openai_client: openai.OpenAI, wire_server: WireServer, gateway: bool) -> None:
    wire_server.streams(STREAM)
    with openai_client.responses.stream(model="m", input="Hi") as stream:
        theirs = stream.get_final_response()
    assert request_info("openai-responses", wire_server.path, wire_server.request).stream is True

    # Some gateways leave the output out of the last event: the items came before it.
    last = {**LAST, "response": {**RESPONSE, "output": []}}
    body = sse([*EVENTS[:-1], last], named=True) if gateway else STREAM
    info = response_info("openai-responses", body, "text/event-stream")

    assert info.attributes() == response_info("openai-responses", checked(Response, RESPONSE)).attributes()
    assert info.usage == USAGE
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert info.text == theirs.output_text


def test_a_stream_cut_before_its_end_tells_what_came() -> None:
    def cut(count: int) -> Any:
        return response_info("openai-responses", sse(EVENTS[:count], named=True))

    info = cut(9)
    assert (info.model, info.id, info.finish_reasons) == ("gpt-6-astra-2026-10-01", "resp_1", ("error",))
    assert info.usage == {}
    assert info.text == "Looking "
    assert cut(12).tool_calls == [
        {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": '{"city": '}
    ]


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ({"type": "reasoning", "id": "r", "summary": []}, {"type": "reasoning", "content": "ab"}),
        (
            {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": ""},
            {"type": "tool_call", "id": "c", "name": "sh", "arguments": "ab"},
        ),
    ],
)
def test_an_item_cut_in_the_middle(item: dict[str, Any], part: dict[str, Any]) -> None:
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    pieces = [{"type": f"response.{item['type']}.delta", "output_index": 0, "delta": one} for one in "ab"]
    info = response_info("openai-responses", sse([EVENTS[0], added, *pieces], named=True))
    assert info.output_messages == [{"role": "assistant", "parts": [part], "finish_reason": "error"}]


def test_a_stream_that_fails() -> None:
    failed = {**EMPTY, "status": "failed", "error": {"code": "server_error", "message": "no"}}
    body = sse([*EVENTS[:9], {"type": "response.failed", "response": failed}], named=True)
    info = response_info("openai-responses", body)
    assert (info.error, info.finish_reasons, info.text) == ("server_error", ("error",), "Looking ")


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "no", "param": None},
        {"error": {"code": "rate_limit_exceeded", "message": "no"}},
    ],
)
def test_a_stream_that_breaks_with_an_error(error: dict[str, Any]) -> None:
    info = response_info("openai-responses", sse([*EVENTS[:9], error]))
    assert (info.error, info.finish_reasons) == ("rate_limit_exceeded", ("error",))


@pytest.mark.parametrize(
    ("state", "reasons"),
    [
        ({"status": "completed", "output": [MESSAGE]}, ("stop",)),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            ("length",),
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            ("content_filter",),
        ),
        ({"status": "cancelled"}, ("error",)),
        ({"status": "queued", "output": []}, ()),
    ],
)
def test_reasons_to_stop(state: dict[str, Any], reasons: tuple[str, ...]) -> None:
    body = checked(Response, {**RESPONSE, **state})
    assert response_info("openai-responses", body).finish_reasons == reasons


def test_items_that_are_neither_said_nor_called() -> None:
    items = [
        {
            "type": "custom_tool_call",
            "id": "ct",
            "call_id": "c1",
            "name": "shell",
            "input": "ls",
        },
        {"type": "local_shell_call", "id": "l", "call_id": "c2", "action": {"command": ["ls"]}},
        {"type": "computer_call", "id": "c", "call_id": "c3", "action": {"type": "wait"}},
        {"type": "shell_call", "call_id": "c4", "action": {"commands": ["ls"]}},
        {"type": "apply_patch_call", "call_id": "c5", "operation": {"type": "delete_file"}},
        {"type": "mcp_call", "id": "c6", "name": "find", "arguments": "{}", "server_label": "docs"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "eHg="},
        {"type": "mcp_list_tools", "id": "m", "server_label": "docs", "tools": []},
    ]
    body = json.dumps({**RESPONSE, "output": items}).encode()
    assert response_info("openai-responses", body).output_messages[0]["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "shell", "arguments": "ls"},
        {"type": "tool_call", "id": "c2", "name": "local_shell", "arguments": {"command": ["ls"]}},
        {"type": "tool_call", "id": "c3", "name": "computer", "arguments": {"type": "wait"}},
        {"type": "tool_call", "id": "c4", "name": "shell", "arguments": {"commands": ["ls"]}},
        {"type": "tool_call", "id": "c5", "name": "apply_patch", "arguments": {"type": "delete_file"}},
        {
            "type": "server_tool_call",
            "id": "c6",
            "name": "find",
            "server_tool_call": {
                "type": "find",
                "name": "find",
                "arguments": "{}",
                "server_label": "docs",
            },
        },
        {"type": "compaction", "id": "cmp_1"},
        {"type": "mcp_list_tools", "id": "m", "server_label": "docs", "tools": []},
    ]


def test_a_refusal_is_what_was_said() -> None:
    refusal = {**MESSAGE, "content": [{"type": "refusal", "refusal": "No."}]}
    body = checked(Response, {**RESPONSE, "output": [refusal]})
    assert response_info("openai-responses", body).text == "No."
