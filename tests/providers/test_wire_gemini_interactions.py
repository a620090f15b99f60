from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from events import checked, sse
from genai_schema import check_messages
from google.genai import interactions
from pydantic import TypeAdapter

from rewind_auto.providers.wire import ended, request_info, response_info

if TYPE_CHECKING:
    from google import genai
    from wire_server import WireServer

THOUGHT: dict[str, Any] = {
    "type": "thought",
    "signature": "c2ln",
    "summary": [{"type": "text", "text": "Let me see."}],
}
SEARCH: dict[str, Any] = {
    "type": "google_search_call",
    "id": "gs_1",
    "arguments": {"queries": ["Bern"]},
}
FOUND: dict[str, Any] = {
    "type": "google_search_result",
    "call_id": "gs_1",
    "result": [{"search_suggestions": "<div/>"}],
}
OUTPUT: dict[str, Any] = {
    "type": "model_output",
    "content": [
        {"type": "text", "text": "Grey sky."},
        {"type": "image", "data": "aWlp", "mime_type": "image/png"},
    ],
}
CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_1",
    "name": "weather",
    "arguments": {"city": "Bern"},
}
ANSWER: dict[str, Any] = {
    "id": "int_1",
    "object": "interaction",
    "status": "requires_action",
    "model": "gemini-3-pro",
    "steps": [THOUGHT, SEARCH, FOUND, OUTPUT, CALL],
    "usage": {
        "total_input_tokens": 100,
        "total_cached_tokens": 60,
        "total_output_tokens": 20,
        "total_thought_tokens": 30,
        "total_tool_use_tokens": 5,
        "total_tokens": 155,
    },
}
PARTS: list[dict[str, Any]] = [
    {"type": "reasoning", "content": "Let me see."},
    {
        "type": "server_tool_call",
        "id": "gs_1",
        "name": "google_search",
        "server_tool_call": {"type": "google_search", "arguments": {"queries": ["Bern"]}},
    },
    {
        "type": "server_tool_call_response",
        "id": "gs_1",
        "server_tool_call_response": {"type": "google_search", "result": FOUND["result"]},
    },
    {"type": "text", "content": "Grey sky."},
    {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWlp"},
    {"type": "tool_call", "id": "fc_1", "name": "weather", "arguments": {"city": "Bern"}},
]
TOKENS = {
    "input_tokens": 105,
    "output_tokens": 50,
    "cache_read_input_tokens": 60,
    "reasoning_output_tokens": 30,
}


def begun(index: int, **step: Any) -> dict[str, Any]:
    return {"event_type": "step.start", "index": index, "step": step}


def grown(index: int, **delta: Any) -> dict[str, Any]:
    return {"event_type": "step.delta", "index": index, "delta": delta}


def interaction(kind: str, **told: Any) -> dict[str, Any]:
    return {"event_type": kind, "interaction": {"id": "int_1", "model": "gemini-3-pro", **told}}


EVENTS: list[dict[str, Any]] = [
    interaction("interaction.created", status="in_progress"),
    {"event_type": "interaction.status_update", "interaction_id": "int_1", "status": "in_progress"},
    begun(0, type="thought"),
    grown(0, type="thought_summary", content={"type": "text", "text": "Let me "}),
    grown(0, type="thought_summary", content={"type": "text", "text": "see."}),
    grown(0, type="thought_signature", signature="c2ln"),
    {"event_type": "step.stop", "index": 0},
    begun(1, **{**SEARCH, "arguments": {}}),
    grown(1, type="google_search_call", arguments=SEARCH["arguments"]),
    {"event_type": "step.stop", "index": 1},
    begun(2, **{**FOUND, "result": []}),
    grown(2, type="google_search_result", result=FOUND["result"]),
    {"event_type": "step.stop", "index": 2},
    begun(3, type="model_output"),
    grown(3, type="text", text="Grey "),
    grown(3, type="text", text="sky."),
    grown(3, **OUTPUT["content"][1]),
    {"event_type": "step.stop", "index": 3},
    begun(4, **{**CALL, "arguments": {}}),
    grown(4, type="arguments_delta", arguments='{"city": '),
    grown(4, type="arguments_delta", arguments='"Bern"}'),
    {"event_type": "step.stop", "index": 4},
    interaction("interaction.completed", status="requires_action", usage=ANSWER["usage"]),
]
STREAM = sse([*EVENTS, "[DONE]"])


def test_the_sdk_knows_every_event_of_the_stream() -> None:
    kinds: TypeAdapter[Any] = TypeAdapter(interactions.InteractionSSEEvent)
    for event in EVENTS:
        read = kinds.validate_python(event)
        assert read.event_type == event["event_type"]
        for name in ("step", "delta"):
            if name in event:
                assert getattr(read, name).type == event[name]["type"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_request_of_the_sdk(gemini_client: genai.Client, wire_server: WireServer) -> None:
    wire_server.answers(checked(interactions.Interaction, ANSWER))
    gemini_client.interactions.create(
        model="gemini-3-pro",
        system_instruction="Be brief.",
        previous_interaction_id="int_0",
        input=[
            {
                "type": "user_input",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "data": "aWlp", "mime_type": "image/png"},
                    {"type": "document", "uri": "gs://x/y.pdf", "mime_type": "application/pdf"},
                ],
            },
            THOUGHT,
            CALL,
            {"type": "function_result", "call_id": "fc_1", "result": "no such city", "is_error": True},
        ],
        tools=[
            {
                "type": "function",
                "name": "weather",
                "description": "Weather",
                "parameters": {"type": "object"},
            },
            {"type": "google_search"},
        ],
        generation_config={
            "temperature": 0,
            "top_p": 0.5,
            "max_output_tokens": 100,
            "seed": 7,
            "stop_sequences": ["END"],
            "thinking_level": "low",
        },
        response_format={"type": "text", "mime_type": "application/json", "schema": {"type": "object"}},
    )

    info = request_info("gemini-interactions", wire_server.path, wire_server.request)

    assert (info.model, info.stream) == ("gemini-3-pro", False)
    assert info.attributes() == {
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.request.previous_response.id": "int_0",
    }
    assert info.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert info.tool_definitions == [
        {"type": "function", "name": "weather", "description": "Weather", "parameters": {"type": "object"}},
        {"type": "google_search", "name": "google_search"},
    ]
    assert info.input_messages == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is it?"},
                {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWlp"},
                {
                    "type": "uri",
                    "mime_type": "application/pdf",
                    "modality": "document",
                    "uri": "gs://x/y.pdf",
                },
            ],
        },
        {"role": "assistant", "parts": [PARTS[0]]},
        {"role": "assistant", "parts": [PARTS[5]]},
        {
            "role": "tool",
            "parts": [
                {
                    "type": "tool_call_response",
                    "id": "fc_1",
                    "response": "no such city",
                    "is_error": True,
                }
            ],
        },
    ]
    check_messages(info.input_messages)


@pytest.mark.parametrize(
    "given", ["Hi", {"type": "text", "text": "Hi"}, [{"type": "text", "text": "Hi"}]], ids=range(3)
)
def test_what_the_user_says_may_be_all_there_is(given: Any) -> None:
    body = json.dumps({"agent": "deep-research", "input": given}).encode()
    info = request_info("gemini-interactions", "/v1/interactions", body)
    assert info.model == "deep-research"  # an agent stands for its model
    assert info.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"response_modalities": ["image"]}, "image"),
        ({"response_format": {"type": "audio"}}, "speech"),
        ({"response_format": [{"type": "text"}, {"type": "image"}]}, "image"),
        ({"response_format": {"type": "text", "schema": {}}}, "json"),
        ({"response_mime_type": "application/json"}, "json"),
        ({"response_format": {"type": "text", "mime_type": "application/json"}}, "json"),
        ({"response_format": {"type": "text"}}, None),
    ],
)
def test_kinds_of_output(asked: dict[str, Any], kind: str | None) -> None:
    info = request_info("gemini-interactions", "/v1/interactions", json.dumps(asked).encode())
    assert info.output_type == kind


def test_an_answer_in_one_piece(gemini_client: genai.Client, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(interactions.Interaction, ANSWER))
    theirs = gemini_client.interactions.create(model="gemini-3-pro", input="Hi")

    info = response_info("gemini-interactions", body, "application/json")

    assert info.attributes() == {
        "gen_ai.response.model": theirs.model,
        "gen_ai.response.id": theirs.id,
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == TOKENS
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    check_messages(info.output_messages, output=True)


def test_a_stream(gemini_client: genai.Client, wire_server: WireServer) -> None:
    wire_server.streams(STREAM)
    theirs = list(gemini_client.interactions.create(model="gemini-3-pro", input="Hi", stream=True))
    assert [event.event_type for event in theirs] == [event["event_type"] for event in EVENTS]
    assert request_info("gemini-interactions", wire_server.path, wire_server.request).stream is True

    info = response_info("gemini-interactions", STREAM, "text/event-stream")

    assert info.attributes() == {
        "gen_ai.response.model": "gemini-3-pro",
        "gen_ai.response.id": "int_1",
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == TOKENS
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert ended("gemini-interactions", STREAM)
    assert ended("gemini-interactions", sse(EVENTS))


def test_a_stream_cut_before_its_end_tells_what_came() -> None:
    info = response_info("gemini-interactions", sse(EVENTS[:15]))
    assert (info.id, info.model, info.finish_reasons) == ("int_1", "gemini-3-pro", ("error",))
    assert (info.text, info.usage) == ("Grey ", {})
    assert not ended("gemini-interactions", sse(EVENTS[:-1]))


def test_a_stream_that_breaks_with_an_error() -> None:
    error = {"event_type": "error", "error": {"code": "gateway_timeout", "message": "no"}}
    TypeAdapter(interactions.InteractionSSEEvent).validate_python(error)
    info = response_info("gemini-interactions", sse([*EVENTS[:15], error]))
    assert (info.error, info.finish_reasons, info.text) == ("gateway_timeout", ("error",), "Grey ")
    assert ended("gemini-interactions", sse([*EVENTS[:15], error]))


@pytest.mark.parametrize(
    ("status", "reasons"),
    [
        ("completed", ("stop",)),
        ("idle", ("stop",)),
        ("requires_action", ("tool_call",)),
        ("incomplete", ("length",)),
        ("budget_exceeded", ("length",)),
        ("failed", ("error",)),
        ("cancelled", ("error",)),
        ("requires_continuation", ("requires_continuation",)),
        ("in_progress", ()),
        ("queued", ()),
        (None, ()),
    ],
)
def test_how_it_stands(status: str | None, reasons: tuple[str, ...]) -> None:
    body = json.dumps({"id": "int_1", "status": status}).encode()
    assert response_info("gemini-interactions", body).finish_reasons == reasons


def test_how_it_stands_may_be_told_alone() -> None:
    told = {"event_type": "interaction.status_update", "interaction_id": "int_1", "status": "incomplete"}
    assert response_info("gemini-interactions", sse([EVENTS[0], told])).finish_reasons == ("length",)


def test_a_tool_of_a_server_has_a_name() -> None:
    asked = {"type": "mcp_server_tool_call", "id": "m_1", "name": "find", "server_name": "s", "arguments": {}}
    found = {"type": "mcp_server_tool_result", "call_id": "m_1", "name": "find", "result": "it"}
    body = checked(interactions.Interaction, {**ANSWER, "steps": [asked, found]})
    (made,) = response_info("gemini-interactions", body).output_messages
    assert [part["type"] for part in made["parts"]] == ["server_tool_call", "server_tool_call_response"]
    assert made["parts"][0]["name"] == made["parts"][1]["server_tool_call_response"]["type"] == "find"


def test_what_the_user_said_is_no_output() -> None:
    steps = [{"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}, OUTPUT]
    body = json.dumps({**ANSWER, "steps": steps}).encode()
    assert response_info("gemini-interactions", body).text == "Grey sky."


def test_an_interaction_that_failed_says_why() -> None:
    failed = {**ANSWER, "status": "failed", "errors": [{"code": "quota_exceeded", "message": "no"}]}
    assert response_info("gemini-interactions", json.dumps(failed).encode()).error == "quota_exceeded"
    refused = response_info("gemini-interactions", b'{"error": {"code": "not_found", "message": "no"}}')
    assert (refused.error, refused.finish_reasons, refused.output_messages) == ("not_found", (), [])
