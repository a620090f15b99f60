from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import ollama
import pytest
from events import checked, lines
from genai_schema import check_messages

from rewind_auto.providers.wire import ended, request_info, response_info

if TYPE_CHECKING:
    from wire_server import WireServer

LINES = "application/x-ndjson"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
HEAD = {"model": "llama3.2", "created_at": "2026-11-22T10:00:00Z"}
DONE: dict[str, Any] = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 9,
    "load_duration": 1,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 2,
    "eval_count": 9,
    "eval_duration": 3,
}
USAGE = {"input_tokens": 26, "output_tokens": 9}
CALL = {"function": {"name": "weather", "arguments": {"city": "Zürich"}}}
ANSWER: dict[str, Any] = {
    **HEAD,
    "message": {
        "role": "assistant",
        "thinking": "Let me see.",
        "content": "Zürich it is.",
        "tool_calls": [CALL],
    },
    **DONE,
}
PARTS = [
    {"type": "reasoning", "content": "Let me see."},
    {"type": "text", "content": "Zürich it is."},
    {"type": "tool_call", "id": None, "name": "weather", "arguments": {"city": "Zürich"}},
]
GENERATION: dict[str, Any] = {**HEAD, "response": " time", "thinking": "Hm.", "context": [1, 2], **DONE}


def step(**message: Any) -> dict[str, Any]:
    return {**HEAD, "message": {"role": "assistant", "content": "", **message}, "done": False}


STEPS = [
    step(thinking="Let me "),
    step(thinking="see."),
    step(content="Zür"),
    step(content="ich it is."),
    step(tool_calls=[CALL]),
    {**HEAD, "message": {"role": "assistant", "content": ""}, **DONE},
]
STREAM = lines(STEPS)


@pytest.fixture
def client(wire_server: WireServer) -> ollama.Client:
    return ollama.Client(host=wire_server.url)


def test_the_sdk_knows_every_line_of_the_stream() -> None:
    for one in STEPS:
        ollama.ChatResponse.model_validate(one)


def test_a_request_of_the_sdk(client: ollama.Client, wire_server: WireServer) -> None:
    wire_server.answers(checked(ollama.ChatResponse, ANSWER))
    client.chat(
        model="llama3.2",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is it?", "images": ["aWlp"]},
            {"role": "assistant", "thinking": "Hm.", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "tool_name": "weather", "content": "sunny"},
        ],
        tools=[WEATHER],
        format={"type": "object"},
        think="low",
        options={
            "temperature": 0,
            "top_p": 0.5,
            "top_k": 40,
            "num_predict": 100,
            "frequency_penalty": 0.25,
            "presence_penalty": 0.5,
            "seed": 7,
            "stop": ["END"],
        },
    )

    info = request_info("ollama", wire_server.path, wire_server.request)

    assert (info.model, info.stream) == ("llama3.2", False)
    assert info.attributes() == {
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.frequency_penalty": 0.25,
        "gen_ai.request.presence_penalty": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "low",
    }
    assert info.tool_definitions == [{"type": "function", **WEATHER["function"]}]
    assert info.input_messages == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is it?"},
                {"type": "blob", "modality": "image", "content": "aWlp"},
            ],
        },
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."}, PARTS[2]]},
        {
            "role": "tool",
            "name": "weather",
            "parts": [{"type": "tool_call_response", "id": None, "response": "sunny"}],
        },
    ]
    check_messages(info.input_messages)


def test_calls_may_have_ids() -> None:
    messages = [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", **CALL}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    asked, told = request_info("ollama", "/api/chat", body).input_messages
    assert asked["parts"] == [{**PARTS[2], "id": "call_1"}]
    assert told["parts"] == [{"type": "tool_call_response", "id": "call_1", "response": "sunny"}]


@pytest.mark.parametrize(
    ("asked", "streamed"),
    [({}, True), ({"stream": True}, True), ({"stream": None}, True), ({"stream": False}, False)],
)
def test_a_stream_is_sent_unless_it_is_refused(asked: dict[str, Any], streamed: bool) -> None:
    body = json.dumps({"model": "m", "messages": [], **asked}).encode()
    assert request_info("ollama", "/api/chat", body).stream is streamed


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_what_is_no_request_asks_for_no_stream(body: bytes) -> None:
    assert request_info("ollama", "/api/chat", body).stream is False


@pytest.mark.parametrize(("asked", "kind"), [("json", "json"), ({"type": "object"}, "json"), ("", None)])
def test_kinds_of_output(asked: Any, kind: str | None) -> None:
    body = json.dumps({"model": "m", "format": asked}).encode()
    assert request_info("ollama", "/api/chat", body).output_type == kind


def test_an_answer_in_one_piece(client: ollama.Client, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(ollama.ChatResponse, ANSWER))
    theirs = client.chat(model="llama3.2", messages=[])

    info = response_info("ollama", body, "application/json")

    # It says "stop" of a call for tools as well.
    assert info.attributes() == {
        "gen_ai.response.model": theirs.model,
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == USAGE
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert info.text == theirs.message.content


def test_a_stream(client: ollama.Client, wire_server: WireServer) -> None:
    wire_server.answers(STREAM, LINES)
    theirs = list(client.chat(model="llama3.2", messages=[], stream=True))
    assert request_info("ollama", wire_server.path, wire_server.request).stream is True

    info = response_info("ollama", STREAM, LINES)

    assert info.attributes() == {
        "gen_ai.response.model": theirs[-1].model,
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == USAGE
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert info.text == "".join(one.message.content or "" for one in theirs)


def test_a_stream_cut_before_its_end_tells_what_came() -> None:
    info = response_info("ollama", STREAM[: STREAM.index(b"tool_calls")])
    assert (info.model, info.finish_reasons, info.usage) == ("llama3.2", ("error",), {})
    assert info.output_messages == [{"role": "assistant", "parts": PARTS[:2], "finish_reason": "error"}]


def test_a_stream_that_breaks_with_an_error() -> None:
    body = lines([*STEPS[:3], {"error": "an error was encountered while running the model"}])
    info = response_info("ollama", body)
    assert (info.error, info.finish_reasons, info.text) == ("error", ("error",), "Zür")
    assert ended("ollama", body)


def test_an_error_is_no_answer() -> None:
    info = response_info("ollama", b'{"error": "model \'x\' not found"}')
    assert (info.error, info.finish_reasons, info.output_messages) == ("error", (), [])


def test_a_completion_of_a_prompt(client: ollama.Client, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(ollama.GenerateResponse, GENERATION))
    client.generate(model="llama3.2", prompt="Once upon a", system="Be brief.", images=["aWlp"], think=True)

    asked = request_info("ollama", wire_server.path, wire_server.request)
    assert (asked.model, asked.stream, asked.reasoning_level) == ("llama3.2", False, None)
    assert asked.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert asked.input_messages == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "Once upon a"},
                {"type": "blob", "modality": "image", "content": "aWlp"},
            ],
        }
    ]
    info = response_info("ollama", body)
    assert (info.model, info.finish_reasons, info.usage) == ("llama3.2", ("stop",), USAGE)
    assert info.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": "Hm."},
        {"type": "text", "content": " time"},
    ]


def test_a_stream_of_a_completion(client: ollama.Client, wire_server: WireServer) -> None:
    pieces = [{**HEAD, "response": piece, "done": False} for piece in (" ti", "me")]
    body = wire_server.answers(lines([*pieces, {**HEAD, "response": "", **DONE}]), LINES)
    theirs = list(client.generate(model="llama3.2", prompt="Once upon a", stream=True))

    info = response_info("ollama", body)
    assert (info.text, info.finish_reasons) == ("".join(one.response for one in theirs), ("stop",))
    assert info.usage == USAGE


def test_a_picture_that_was_drawn() -> None:
    body = lines([{**HEAD, "completed": 1, "total": 2, "done": False}, {**HEAD, "image": "aWlp", **DONE}])
    (made,) = response_info("ollama", body).output_messages
    assert made["parts"] == [{"type": "blob", "modality": "image", "content": "aWlp"}]


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"done": True, "done_reason": "stop"}, "stop"),
        ({"done": True, "done_reason": "length"}, "length"),
        ({"done": True, "done_reason": "load"}, "load"),
        ({"done": True}, "stop"),
        ({"done": False, "done_reason": "stop"}, "error"),
    ],
)
def test_reasons_to_stop(told: dict[str, Any], word: str) -> None:
    body = json.dumps({**HEAD, "message": {"content": "Hi"}, **told}).encode()
    assert response_info("ollama", body).finish_reasons == (word,)


@pytest.mark.parametrize("count", [1, 100])
def test_embeddings(count: int, client: ollama.Client, wire_server: WireServer) -> None:
    answer = {
        "model": "all-minilm",
        "embeddings": [[0.0123456789] * 384] * count,
        "total_duration": 9,
        "load_duration": 1,
        "prompt_eval_count": 8,
    }
    body = wire_server.answers(checked(ollama.EmbedResponse, answer))
    client.embed(model="all-minilm", input="Hi", dimensions=256)

    asked = request_info("ollama-embeddings", wire_server.path, wire_server.request)
    assert (asked.model, asked.stream) == ("all-minilm", False)
    assert asked.attributes() == {"gen_ai.embeddings.dimension.count": 256}
    info = response_info("ollama-embeddings", body)
    assert (info.model, info.usage) == ("all-minilm", {"input_tokens": 8})
    assert (info.finish_reasons, info.output_messages) == ((), [])


def test_the_older_embeddings(client: ollama.Client, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(ollama.EmbeddingsResponse, {"embedding": [0.5, -0.5]}))
    client.embeddings(model="all-minilm", prompt="Hi")
    assert request_info("ollama-embeddings", wire_server.path, wire_server.request).model == "all-minilm"
    assert response_info("ollama-embeddings", body).usage == {}
