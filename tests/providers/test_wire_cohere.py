from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cohere
import pytest
from cohere import types
from cohere.v2 import types as v2
from events import checked, lines, sse
from genai_schema import check_messages
from pydantic import TypeAdapter

from rewind_auto.providers.wire import ended, request_info, response_info

if TYPE_CHECKING:
    from wire_server import WireServer

LINES = "application/stream+json"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
USAGE = {
    "billed_units": {"input_tokens": 7.0, "output_tokens": 20.0},
    "tokens": {"input_tokens": 70.0, "output_tokens": 21.0},
    "cached_tokens": 64.0,
}
TOKENS = {"input_tokens": 70, "output_tokens": 21, "cache_read_input_tokens": 64}


# Version 2.

ANSWER: dict[str, Any] = {
    "id": "gen-1",
    "finish_reason": "TOOL_CALL",
    "message": {
        "role": "assistant",
        "tool_plan": "I will look.",
        "content": [
            {"type": "thinking", "thinking": "Let me see."},
            {"type": "text", "text": "Zürich it is."},
        ],
        "tool_calls": [
            {
                "id": "weather_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Zürich"}'},
            },
            {"id": "time_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
        ],
        "citations": [{"start": 0, "end": 6, "text": "Zürich", "sources": []}],
    },
    "usage": USAGE,
}
PARTS = [
    {"type": "reasoning", "content": "I will look."},
    {"type": "reasoning", "content": "Let me see."},
    {"type": "text", "content": "Zürich it is."},
    {"type": "tool_call", "id": "weather_1", "name": "weather", "arguments": {"city": "Zürich"}},
    {"type": "tool_call", "id": "time_2", "name": "time", "arguments": {}},
]


def content(kind: str, index: int, **told: str) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": {"content": told}}}


def calls(kind: str, index: int, **told: Any) -> dict[str, Any]:
    return {"type": kind, "index": index, "delta": {"message": {"tool_calls": told}}}


def begun(index: int, call_id: str, name: str) -> dict[str, Any]:
    function = {"name": name, "arguments": ""}
    return calls("tool-call-start", index, id=call_id, type="function", function=function)


def arguments(index: int, piece: str) -> dict[str, Any]:
    return calls("tool-call-delta", index, function={"arguments": piece})


EVENTS: list[dict[str, Any]] = [
    {"type": "message-start", "id": "gen-1", "delta": {"message": {"role": "assistant"}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will "}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "look."}}},
    content("content-start", 0, type="thinking", thinking=""),
    content("content-delta", 0, thinking="Let me "),
    content("content-delta", 0, thinking="see."),
    {"type": "content-end", "index": 0},
    content("content-start", 1, type="text", text=""),
    content("content-delta", 1, text="Zür"),
    content("content-delta", 1, text="ich it is."),
    {
        "type": "citation-start",
        "index": 0,
        "delta": {"message": {"citations": {"start": 0, "end": 6, "text": "Zürich", "sources": []}}},
    },
    {"type": "citation-end", "index": 0},
    {"type": "content-end", "index": 1},
    begun(0, "weather_1", "weather"),
    arguments(0, '{"city": '),
    arguments(0, '"Zürich"}'),
    {"type": "tool-call-end", "index": 0},
    begun(1, "time_2", "time"),
    arguments(1, "{}"),
    {"type": "tool-call-end", "index": 1},
    {"type": "message-end", "id": "gen-1", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
]
STREAM = sse(EVENTS, named=True)


# Version 1.

OLD_ANSWER: dict[str, Any] = {
    "response_id": "resp-1",
    "generation_id": "gen-1",
    "text": "I will look.",
    "finish_reason": "COMPLETE",
    "tool_calls": [{"name": "weather", "parameters": {"city": "Bern"}}],
    "chat_history": [{"role": "USER", "message": "Weather in Bern?"}],
    "meta": {"api_version": {"version": "1"}, **USAGE},
}
OLD_PARTS = [
    {"type": "text", "content": "I will look."},
    {"type": "tool_call", "id": None, "name": "weather", "arguments": {"city": "Bern"}},
]
OLD_EVENTS: list[dict[str, Any]] = [
    {"is_finished": False, "event_type": "stream-start", "generation_id": "gen-1"},
    {"is_finished": False, "event_type": "text-generation", "text": "I will"},
    {"is_finished": False, "event_type": "text-generation", "text": " look."},
    {
        "is_finished": False,
        "event_type": "tool-calls-chunk",
        "tool_call_delta": {"name": "weather", "index": 0, "parameters": '{"city": '},
    },
    {
        "is_finished": False,
        "event_type": "tool-calls-chunk",
        "tool_call_delta": {"index": 0, "parameters": '"Bern"}'},
    },
    {
        "is_finished": False,
        "event_type": "tool-calls-generation",
        "tool_calls": OLD_ANSWER["tool_calls"],
    },
    {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": OLD_ANSWER,
    },
]
OLD_STREAM = lines(OLD_EVENTS)

GENERATION: dict[str, Any] = {
    "id": "gen-1",
    "prompt": "Once upon a",
    "generations": [
        {"id": "g-0", "index": 0, "text": " time"},
        {"id": "g-1", "index": 1, "text": " midnight"},
    ],
    "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 4.0, "output_tokens": 2.0}},
}
GENERATION_EVENTS: list[dict[str, Any]] = [
    {"is_finished": False, "event_type": "text-generation", "index": 0, "text": " ti"},
    {"is_finished": False, "event_type": "text-generation", "index": 1, "text": " midnight"},
    {"is_finished": False, "event_type": "text-generation", "index": 0, "text": "me"},
    {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": {
            "id": "gen-1",
            "prompt": "Once upon a",
            "generations": [
                {"id": "g-0", "index": 0, "text": " time", "finish_reason": "COMPLETE"},
                {"id": "g-1", "index": 1, "text": " midnight", "finish_reason": "MAX_TOKENS"},
            ],
        },
    },
]


@pytest.fixture
def client(wire_server: WireServer) -> cohere.ClientV2:
    """Speaks version 2."""
    return cohere.ClientV2(api_key="k", base_url=wire_server.url)


@pytest.fixture
def old_client(wire_server: WireServer) -> cohere.Client:
    """Speaks version 1."""
    return cohere.Client(api_key="k", base_url=wire_server.url)


@pytest.mark.parametrize(
    ("kind", "documents"),
    [
        (v2.V2ChatResponse, [ANSWER]),
        (v2.V2ChatStreamResponse, EVENTS),
        (types.NonStreamedChatResponse, [OLD_ANSWER]),
        (types.StreamedChatResponse, OLD_EVENTS),
        (types.Generation, [GENERATION]),
        (types.GenerateStreamedResponse, GENERATION_EVENTS),
    ],
)
def test_the_sdk_knows_every_document(kind: Any, documents: list[Any]) -> None:
    for document in documents:
        TypeAdapter(kind).validate_python(document)


def test_a_request_of_the_sdk(client: cohere.ClientV2, wire_server: WireServer) -> None:
    wire_server.answers(checked(v2.V2ChatResponse, ANSWER))
    client.chat(
        model="command-a-03-2025",
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aWk="}},
                ],
            },
            {
                "role": "assistant",
                "tool_plan": "I will look.",
                "tool_calls": ANSWER["message"]["tool_calls"][:1],
            },
            {
                "role": "tool",
                "tool_call_id": "weather_1",
                "content": [{"type": "document", "document": {"data": {"sky": "sunny"}, "id": "d"}}],
            },
        ],
        documents=["A fact.", {"data": {"text": "Another."}, "id": "doc-2"}],
        tools=[WEATHER],
        response_format={"type": "json_object"},
        temperature=0,
        p=0.5,
        k=40,
        frequency_penalty=0.25,
        presence_penalty=0.5,
        max_tokens=100,
        seed=7,
        stop_sequences=["END"],
    )

    info = request_info("cohere", wire_server.path, wire_server.request)

    assert (info.model, info.stream) == ("command-a-03-2025", False)
    assert info.attributes() == {
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.frequency_penalty": 0.25,
        "gen_ai.request.presence_penalty": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
    }
    assert info.system_instructions == []
    assert info.tool_definitions == [{"type": "function", **WEATHER["function"]}]
    assert info.input_messages == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is it?"},
                {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWk="},
                {"type": "document", "document": "A fact."},
                {"type": "document", "document": {"data": {"text": "Another."}, "id": "doc-2"}},
            ],
        },
        {"role": "assistant", "parts": [PARTS[0], PARTS[3]]},
        {
            "role": "tool",
            "parts": [
                {
                    "type": "tool_call_response",
                    "id": "weather_1",
                    "response": [{"type": "document", "document": {"data": {"sky": "sunny"}, "id": "d"}}],
                }
            ],
        },
    ]
    check_messages(info.input_messages)


def test_documents_alone_are_a_message_of_the_user() -> None:
    (made,) = request_info("cohere", "/v2/chat", b'{"messages": [], "documents": ["A"]}').input_messages
    assert made == {"role": "user", "parts": [{"type": "document", "document": "A"}]}


def test_an_answer_in_one_piece(client: cohere.ClientV2, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(v2.V2ChatResponse, ANSWER))
    theirs = client.chat(model="command-a-03-2025", messages=[])

    info = response_info("cohere", body, "application/json")

    assert info.attributes() == {
        "gen_ai.response.id": theirs.id,
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == TOKENS
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert theirs.message.content is not None
    assert info.text == theirs.message.content[1].text


def test_a_stream(client: cohere.ClientV2, wire_server: WireServer) -> None:
    wire_server.streams(STREAM)
    theirs = list(client.chat_stream(model="command-a-03-2025", messages=[]))
    assert [event.type for event in theirs] == [event["type"] for event in EVENTS]
    assert request_info("cohere", wire_server.path, wire_server.request).stream is True

    info = response_info("cohere", STREAM, "text/event-stream")

    assert info.attributes() == {
        "gen_ai.response.id": "gen-1",
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == TOKENS
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]


def test_a_stream_cut_before_its_end_tells_what_came() -> None:
    cut = STREAM[: STREAM.rindex(b"event: tool-call-delta")]
    info = response_info("cohere", cut[: cut.rindex(b"event: tool-call-start")])
    assert (info.id, info.finish_reasons, info.usage) == ("gen-1", ("error",), {})
    assert info.output_messages[0]["parts"] == PARTS[:4]
    half = response_info("cohere", STREAM[: STREAM.index(b"event: tool-call-delta")])
    assert half.output_messages[0]["parts"] == [*PARTS[:3], {**PARTS[3], "arguments": ""}]


def test_a_stream_that_breaks_with_an_error() -> None:
    last = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "out of memory"}}
    info = response_info("cohere", sse([*EVENTS[:9], last], named=True))
    assert (info.error, info.finish_reasons, info.text) == ("error", ("error",), "Zür")


def test_a_request_of_version_1(old_client: cohere.Client, wire_server: WireServer) -> None:
    wire_server.answers(checked(types.NonStreamedChatResponse, OLD_ANSWER))
    call = types.ToolCall(name="weather", parameters={"city": "Bern"})
    old_client.chat(
        model="command-r",
        preamble="Be brief.",
        conversation_id="conv-1",
        chat_history=[
            types.UserMessage(message="Weather in Bern?"),
            types.ChatbotMessage(message="I will look.", tool_calls=[call]),
            types.ToolMessage(tool_results=[types.ToolResult(call=call, outputs=[{"sky": "grey"}])]),
        ],
        message="And now?",
        tool_results=[types.ToolResult(call=call, outputs=[{"sky": "sunny"}])],
        documents=[{"title": "Bern", "text": "A city."}],
        connectors=[types.ChatConnector(id="web-search")],
        tools=[
            types.Tool(
                name="weather",
                description="Weather in a city",
                parameter_definitions={
                    "city": types.ToolParameterDefinitionsValue(type="str", required=True)
                },
            )
        ],
        p=0.5,
    )

    info = request_info("cohere", wire_server.path, wire_server.request)

    assert wire_server.path == "/v1/chat"
    assert (info.model, info.stream) == ("command-r", False)
    assert info.attributes() == {"gen_ai.conversation.id": "conv-1", "gen_ai.request.top_p": 0.5}
    assert info.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert info.tool_definitions == [
        {
            "type": "function",
            "name": "weather",
            "description": "Weather in a city",
            "parameters": {"city": {"type": "str", "required": True}},
        },
        {"type": "connector", "name": "web-search"},
    ]
    assert info.input_messages == [
        {"role": "user", "parts": [{"type": "text", "content": "Weather in Bern?"}]},
        {"role": "assistant", "parts": OLD_PARTS},
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": None, "response": [{"sky": "grey"}]}],
        },
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "And now?"},
                {"type": "document", "document": {"title": "Bern", "text": "A city."}},
            ],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": None, "response": [{"sky": "sunny"}]}],
        },
    ]
    check_messages(info.input_messages)


def test_an_answer_of_version_1(old_client: cohere.Client, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(types.NonStreamedChatResponse, OLD_ANSWER))
    theirs = old_client.chat(message="Weather in Bern?")

    info = response_info("cohere", body, "application/json")

    # It says COMPLETE of a call for tools as well.
    assert (info.id, info.finish_reasons) == (theirs.response_id, ("tool_call",))
    assert info.usage == TOKENS
    assert info.output_messages == [{"role": "assistant", "parts": OLD_PARTS, "finish_reason": "tool_call"}]


def test_a_stream_of_version_1(old_client: cohere.Client, wire_server: WireServer) -> None:
    wire_server.answers(OLD_STREAM, LINES)
    theirs = list(old_client.chat_stream(message="Weather in Bern?"))
    assert [event.event_type for event in theirs] == [event["event_type"] for event in OLD_EVENTS]
    assert request_info("cohere", wire_server.path, wire_server.request).stream is True

    for body in (OLD_STREAM, sse(OLD_EVENTS)):
        info = response_info("cohere", body)
        assert (info.id, info.finish_reasons) == ("resp-1", ("tool_call",))
        assert info.usage == TOKENS
        assert info.output_messages == [
            {"role": "assistant", "parts": OLD_PARTS, "finish_reason": "tool_call"}
        ]


@pytest.mark.parametrize("upto", [5, 6])
def test_a_stream_of_version_1_cut_before_its_end(upto: int) -> None:
    info = response_info("cohere", lines(OLD_EVENTS[:upto]))
    assert (info.id, info.finish_reasons, info.usage) == ("gen-1", ("error",), {})
    assert info.output_messages == [{"role": "assistant", "parts": OLD_PARTS, "finish_reason": "error"}]


def test_a_plan_before_the_calls_of_version_1() -> None:
    delta = {"event_type": "tool-calls-chunk", "tool_call_delta": {"text": "I will look."}}
    assert response_info("cohere", lines([OLD_EVENTS[0], delta])).text == "I will look."


def test_generations(old_client: cohere.Client, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(types.Generation, GENERATION))
    old_client.generate(prompt="Once upon a", model="command", num_generations=2, end_sequences=["END"])

    asked = request_info("cohere", wire_server.path, wire_server.request)
    assert (asked.model, asked.choice_count, asked.stop_sequences) == ("command", 2, ("END",))
    assert asked.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Once upon a"}]}]
    info = response_info("cohere", body)
    assert (info.id, info.finish_reasons) == ("gen-1", ("stop", "stop"))
    assert info.usage == {"input_tokens": 4, "output_tokens": 2}
    assert info.text == " time"


def test_a_stream_of_generations(old_client: cohere.Client, wire_server: WireServer) -> None:
    body = wire_server.answers(lines(GENERATION_EVENTS), LINES)
    theirs = list(old_client.generate_stream(prompt="Once upon a", num_generations=2))
    assert len(theirs) == len(GENERATION_EVENTS)

    info = response_info("cohere", body)
    assert (info.id, info.finish_reasons) == ("gen-1", ("stop", "length"))
    assert [message["finish_reason"] for message in info.output_messages] == ["stop", "length"]
    cut = response_info("cohere", lines(GENERATION_EVENTS[:-1]))
    assert [message["parts"][0]["content"] for message in cut.output_messages] == [" time", " midnight"]
    assert cut.output_messages[0]["finish_reason"] == "error"


def test_a_stream_of_generations_that_breaks_with_an_error() -> None:
    error = {
        "event_type": "stream-error",
        "is_finished": True,
        "finish_reason": "ERROR_TOXIC",
        "err": "toxic",
    }
    TypeAdapter(types.GenerateStreamedResponse).validate_python(error)
    info = response_info("cohere", lines([GENERATION_EVENTS[0], error]))
    assert (info.error, info.finish_reasons) == ("error", ("content_filter",))
    assert info.text == " ti"
    assert ended("cohere", lines([GENERATION_EVENTS[0], error]))


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("ERROR_LIMIT", "length"),
        ("TOOL_CALL", "tool_call"),
        ("ERROR_TOXIC", "content_filter"),
        ("ERROR", "error"),
        ("TIMEOUT", "error"),
        ("USER_CANCEL", "error"),
        ("SOMETHING_NEW", "something_new"),
        (None, "stop"),
    ],
)
def test_reasons_to_stop(reason: str | None, word: str) -> None:
    told = {"finish_reason": reason}
    for answer in ({"message": {"content": []}, **told}, {"text": "", **told}):
        assert response_info("cohere", json.dumps(answer).encode()).finish_reasons == (word,)


@pytest.mark.parametrize("body", [b'{"message": "invalid request: no model"}', b'{"id": "x"}', b"{}"])
def test_an_error_is_no_answer(body: bytes) -> None:
    info = response_info("cohere", body)
    assert (info.finish_reasons, info.output_messages, info.usage) == ((), [], {})


@pytest.mark.parametrize("count", [1, 200])
def test_embeddings(count: int, client: cohere.ClientV2, wire_server: WireServer) -> None:
    answer = {
        "id": "e-1",
        "response_type": "embeddings_by_type",
        "embeddings": {"float": [[0.0123456789] * 1536] * count},
        "texts": ["Hi"] * count,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 3.0}},
    }
    body = wire_server.answers(checked(types.EmbedByTypeResponse, answer))
    client.embed(
        model="embed-v4.0",
        texts=["Hi"],
        input_type="search_query",
        embedding_types=["float", "int8"],
        output_dimension=256,
    )

    asked = request_info("cohere-embeddings", wire_server.path, wire_server.request)
    assert asked.model == "embed-v4.0"
    assert asked.attributes() == {
        "gen_ai.embeddings.dimension.count": 256,
        "gen_ai.request.encoding_formats": ("float", "int8"),
    }
    info = response_info("cohere-embeddings", body)
    assert (info.usage, info.finish_reasons, info.output_messages) == ({"input_tokens": 3}, (), [])


def test_embeddings_of_images_have_tokens_of_their_own() -> None:
    told = {"meta": {"billed_units": {"images": 1.0, "image_tokens": 64.0, "text_tokens": 2.0}}}
    assert response_info("cohere-embeddings", json.dumps(told).encode()).usage == {"input_tokens": 66}


def test_embeddings_of_version_1(old_client: cohere.Client, wire_server: WireServer) -> None:
    answer = {
        "response_type": "embeddings_floats",
        "id": "e-1",
        "embeddings": [[0.5, -0.5]],
        "texts": ["Hi"],
        "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 3.0}},
    }
    body = wire_server.answers(checked(types.EmbeddingsFloatsEmbedResponse, answer))
    old_client.embed(texts=["Hi"], model="embed-english-v3.0", input_type="search_query")
    assert wire_server.path == "/v1/embed"
    assert request_info("cohere-embeddings", "/v1/embed", wire_server.request).model == "embed-english-v3.0"
    assert response_info("cohere-embeddings", body).usage == {"input_tokens": 3}


def test_reranking(client: cohere.ClientV2, wire_server: WireServer) -> None:
    answer = {
        "id": "r-1",
        "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1.0}},
    }
    body = wire_server.answers(checked(v2.V2RerankResponse, answer))
    client.rerank(model="rerank-v3.5", query="Bern?", documents=["a", "b"], top_n=2)

    asked = request_info("rerank", wire_server.path, wire_server.request)
    assert (asked.model, asked.attributes()) == ("rerank-v3.5", {})
    info = response_info("rerank", body)
    assert (info.usage, info.finish_reasons) == ({}, ())  # searches are no tokens
    theirs = b'{"object": "list", "model": "rerank-2.5", "data": [], "usage": {"total_tokens": 26}}'  # Voyage
    assert response_info("rerank", theirs).usage == {"input_tokens": 26}
    assert response_info("rerank", theirs).model == "rerank-2.5"
