from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from events import checked, sse
from genai_schema import check_messages
from mistralai.client import Mistral, errors, models

from rewind_auto.providers.registry import Route, identify
from rewind_auto.providers.wire import ended, request_info, response_info

if TYPE_CHECKING:
    from wire_server import WireServer

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
CHAT = {"id": "cmpl-1", "object": "chat.completion", "model": "mistral-large-2512", "created": 1}


@pytest.fixture
def client(wire_server: WireServer) -> Iterator[Mistral]:
    with Mistral(api_key="k", server_url=wire_server.url) as client:
        yield client


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> models.CompletionChunk:
    document = {**CHAT, "object": "chat.completion.chunk", **more}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return models.CompletionChunk.model_validate({**document, "choices": [choice]})


def thinking(piece: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": piece}]}


# Chats are OpenAI's, but for their content.


def test_a_chat_request_of_the_sdk(client: Mistral, wire_server: WireServer) -> None:
    wire_server.answers(checked(models.ChatCompletionResponse, {**CHAT, "choices": [], "usage": USAGE}))
    client.chat.complete(
        model="mistral-large-latest",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": "https://x.example/i.png"},
                    {"type": "document_url", "document_url": "https://x.example/d.pdf", "document_name": "D"},
                    {"type": "file", "file_id": "file-1"},
                    {"type": "input_audio", "input_audio": "https://x.example/a.mp3"},
                    {"type": "input_audio", "input_audio": "YXVk"},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "thinking",
                        "thinking": [
                            {"type": "text", "text": "Hm."},
                            {"type": "reference", "reference_ids": [1]},
                        ],
                    },
                    {"type": "text", "text": "It"},
                    {"type": "reference", "reference_ids": [1]},
                ],
                "prefix": True,
            },
        ],
        random_seed=7,
        reasoning_effort="high",
        response_format={"type": "json_object"},
    )

    info = request_info("openai-chat", wire_server.path, wire_server.request)

    assert info.model == "mistral-large-latest"
    assert info.attributes() == {
        "gen_ai.request.seed": 7,
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "high",
    }
    assert info.input_messages == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is it?"},
                {"type": "uri", "modality": "image", "uri": "https://x.example/i.png"},
                {"type": "uri", "modality": "document", "uri": "https://x.example/d.pdf"},
                {"type": "file", "modality": "document", "file_id": "file-1"},
                {"type": "uri", "modality": "audio", "uri": "https://x.example/a.mp3"},
                {"type": "blob", "modality": "audio", "content": "YXVk"},
            ],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "text", "content": "It"},
                {"type": "reference", "reference_ids": [1]},
            ],
        },
    ]
    check_messages(info.input_messages)


def test_a_stream_of_blocks_and_calls(client: Mistral, wire_server: WireServer) -> None:
    call = {"id": "D681PevKs", "type": "function", "index": 0}
    body = sse(
        [
            chunk({"role": "assistant", "content": [thinking("Let ")]}),
            chunk({"content": [thinking("me see.")]}),
            chunk({"content": "It "}),
            chunk({"content": [{"type": "text", "text": "is"}, {"type": "reference", "reference_ids": [1]}]}),
            chunk({"content": "."}),
            chunk({"tool_calls": [{**call, "function": {"name": "weather", "arguments": '{"city": '}}]}),
            chunk(
                {"tool_calls": [{"id": "null", "index": 0, "function": {"name": "", "arguments": '"Bern"}'}}]}
            ),
            chunk(
                {"tool_calls": [{"id": "null", "index": 1, "function": {"name": "time", "arguments": {}}}]}
            ),
            chunk({"content": ""}, "tool_calls", usage={**USAGE, "num_cached_tokens": 0}),
            "[DONE]",
        ]
    )
    wire_server.streams(body)
    with client.chat.stream(
        model="mistral-large-latest", messages=[{"role": "user", "content": "Hi"}]
    ) as theirs:
        assert len(list(theirs)) == 9

    info = response_info("openai-chat", body)

    assert (info.id, info.model, info.finish_reasons) == ("cmpl-1", "mistral-large-2512", ("tool_call",))
    assert info.usage == {"input_tokens": 100, "output_tokens": 20}
    assert info.output_messages[0]["parts"] == [
        {"type": "reasoning", "content": "Let me see."},
        {"type": "text", "content": "It is"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "content": "."},
        {"type": "tool_call", "id": "D681PevKs", "name": "weather", "arguments": {"city": "Bern"}},
        {"type": "tool_call", "id": None, "name": "time", "arguments": {}},
    ]
    assert ended("openai-chat", body)


def test_a_call_without_an_id_has_none() -> None:
    message = {"content": "", "tool_calls": [{"id": "null", "function": {"name": "f", "arguments": "{}"}}]}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}).encode()
    assert [part["id"] for part in response_info("openai-chat", body).tool_calls] == [None]


def test_an_agent_stands_for_its_model(client: Mistral, wire_server: WireServer) -> None:
    wire_server.answers(checked(models.ChatCompletionResponse, {**CHAT, "choices": [], "usage": USAGE}))
    client.agents.complete(agent_id="ag_1", messages=[{"role": "user", "content": "Hi"}])
    assert request_info("openai-chat", wire_server.path, wire_server.request).model == "ag_1"


def test_filling_in_the_middle(client: Mistral, wire_server: WireServer) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "return 1"}, "finish_reason": "stop"}
    answer = checked(models.FIMCompletionResponse, {**CHAT, "choices": [choice], "usage": USAGE})
    wire_server.answers(answer)
    client.fim.complete(model="codestral-latest", prompt="def f():", suffix="# end")
    asked = request_info("openai-chat", wire_server.path, wire_server.request)
    assert asked.model == "codestral-latest"
    assert asked.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "def f():"}]}]
    assert response_info("openai-chat", answer).text == "return 1"


def test_embeddings(client: Mistral, wire_server: WireServer) -> None:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    answer = {"id": "e", "object": "list", "model": "mistral-embed", "data": data, "usage": USAGE}
    wire_server.answers(checked(models.EmbeddingResponse, answer))
    client.embeddings.create(model="mistral-embed", inputs=["Hi"], output_dimension=256, output_dtype="int8")
    asked = request_info("openai-embeddings", wire_server.path, wire_server.request)
    assert asked.attributes() == {
        "gen_ai.embeddings.dimension.count": 256,
        "gen_ai.request.encoding_formats": ("int8",),
    }


# Conversations are Mistral's own.

MESSAGE: dict[str, Any] = {
    "object": "entry",
    "type": "message.output",
    "id": "msg_2",
    "role": "assistant",
    "model": "mistral-medium-2505",
    "content": [
        {"type": "text", "text": "Grey "},
        {"type": "tool_reference", "tool": "web_search", "title": "Bern", "url": "https://x.example"},
        {"type": "text", "text": "sky."},
    ],
}
SEARCH: dict[str, Any] = {
    "object": "entry",
    "type": "tool.execution",
    "id": "tool_1",
    "name": "web_search",
    "arguments": '{"query": "Bern"}',
}
CALL: dict[str, Any] = {
    "object": "entry",
    "type": "function.call",
    "id": "fc_3",
    "tool_call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Bern"}',
}
ANSWER: dict[str, Any] = {
    "conversation_id": "conv_1",
    "object": "conversation.response",
    "outputs": [SEARCH, MESSAGE, CALL],
    "usage": {
        "prompt_tokens": 188,
        "completion_tokens": 55,
        "total_tokens": 7355,
        "connector_tokens": 7112,
        "connectors": {"web_search": 1},
    },
}
PARTS = [
    {
        "type": "server_tool_call",
        "id": "tool_1",
        "name": "web_search",
        "server_tool_call": {"type": "web_search", "arguments": '{"query": "Bern"}'},
    },
    {"type": "text", "content": "Grey "},
    {"type": "tool_reference", "tool": "web_search", "title": "Bern", "url": "https://x.example"},
    {"type": "text", "content": "sky."},
    {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Bern"}},
]
DELTA = {"type": "message.output.delta", "id": "msg_2", "output_index": 1, "model": "mistral-medium-2505"}
FUNCTION = {"type": "function.call.delta", "id": "fc_3", "output_index": 2}
EVENTS: list[dict[str, Any]] = [
    {"type": "conversation.response.started", "conversation_id": "conv_1"},
    {
        "type": "tool.execution.started",
        "id": "tool_1",
        "output_index": 0,
        "name": "web_search",
        "arguments": "",
    },
    {
        "type": "tool.execution.delta",
        "id": "tool_1",
        "output_index": 0,
        "name": "web_search",
        "arguments": '{"query": "Bern"}',
    },
    {"type": "tool.execution.done", "id": "tool_1", "output_index": 0, "name": "web_search", "info": {}},
    {**DELTA, "content": "Gr"},
    {**DELTA, "content": "ey "},
    {**DELTA, "content": MESSAGE["content"][1]},
    {**DELTA, "content": {"type": "text", "text": "sky."}},
    {**FUNCTION, "tool_call_id": "call_1", "name": "weather", "arguments": '{"city": '},
    {**FUNCTION, "tool_call_id": "call_1", "name": "weather", "arguments": '"Bern"}'},
    {"type": "conversation.response.done", "usage": ANSWER["usage"]},
]
STREAM = sse(EVENTS, named=True)
TOKENS = {"input_tokens": 7300, "output_tokens": 55}


def test_the_sdk_knows_every_event_of_a_conversation() -> None:
    for event in EVENTS:
        read = models.ConversationEvents.model_validate({"event": event["type"], "data": event})
        assert not getattr(read.data, "is_unknown", False)


def test_a_request_to_start_a_conversation(client: Mistral, wire_server: WireServer) -> None:
    wire_server.answers(checked(models.ConversationResponse, ANSWER))
    client.beta.conversations.start(
        model="mistral-medium-latest",
        instructions="Be brief.",
        inputs=[
            {
                "role": "user",
                "content": [{"type": "text", "text": "Weather in Bern?"}],
                "type": "message.input",
            },
            {"type": "function.call", "tool_call_id": "call_0", "name": "weather", "arguments": "{}"},
            {"type": "function.result", "tool_call_id": "call_0", "result": "sunny"},
            {
                "type": "agent.handoff",
                "previous_agent_id": "a",
                "previous_agent_name": "A",
                "next_agent_id": "b",
                "next_agent_name": "B",
            },
        ],
        tools=[
            {"type": "function", "function": {"name": "weather", "description": "Weather", "parameters": {}}},
            {"type": "web_search"},
        ],
        completion_args={
            "temperature": 0,
            "top_p": 0.5,
            "max_tokens": 100,
            "frequency_penalty": 0.25,
            "presence_penalty": 0.5,
            "random_seed": 7,
            "stop": ["END"],
            "response_format": {"type": "json_object"},
            "reasoning_effort": "high",
        },
    )

    info = request_info("mistral-conversations", wire_server.path, wire_server.request)

    assert wire_server.path == "/v1/conversations"
    assert (info.model, info.stream) == ("mistral-medium-latest", False)
    assert info.attributes() == {
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.frequency_penalty": 0.25,
        "gen_ai.request.presence_penalty": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "high",
    }
    assert info.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert info.tool_definitions == [
        {"type": "function", "name": "weather", "description": "Weather", "parameters": {}},
        {"type": "web_search", "name": "web_search"},
    ]
    assert [message["role"] for message in info.input_messages] == ["user", "assistant", "tool", "assistant"]
    assert [message["parts"] for message in info.input_messages[:3]] == [
        [{"type": "text", "content": "Weather in Bern?"}],
        [{"type": "tool_call", "id": "call_0", "name": "weather", "arguments": {}}],
        [{"type": "tool_call_response", "id": "call_0", "response": "sunny"}],
    ]
    assert info.input_messages[3]["parts"][0]["next_agent_name"] == "B"
    check_messages(info.input_messages)


def test_a_request_to_go_on_with_a_conversation(client: Mistral, wire_server: WireServer) -> None:
    wire_server.answers(checked(models.ConversationResponse, ANSWER))
    client.beta.conversations.start(agent_id="ag_1", inputs="Hi")
    assert request_info("mistral-conversations", wire_server.path, wire_server.request).model == "ag_1"

    client.beta.conversations.append(conversation_id="conv_1", inputs="And now?")
    info = request_info("mistral-conversations", wire_server.path, wire_server.request)
    assert info.attributes() == {"gen_ai.conversation.id": "conv_1"}
    assert info.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "And now?"}]}]

    client.beta.conversations.restart(conversation_id="conv_1", from_entry_id="msg_2", inputs="Again")
    assert request_info("mistral-conversations", wire_server.path, b"{}").conversation_id == "conv_1"


def test_an_answer_of_a_conversation(client: Mistral, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(models.ConversationResponse, ANSWER))
    theirs = client.beta.conversations.start(model="mistral-medium-latest", inputs="Weather in Bern?")

    info = response_info("mistral-conversations", body, "application/json")

    assert info.attributes() == {
        "gen_ai.response.model": "mistral-medium-2505",
        "gen_ai.response.id": "msg_2",
        "gen_ai.conversation.id": theirs.conversation_id,
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == TOKENS
    assert sum(info.usage.values()) == theirs.usage.total_tokens
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    check_messages(info.output_messages, output=True)


def test_a_stream_of_a_conversation(client: Mistral, wire_server: WireServer) -> None:
    wire_server.streams(STREAM)
    with client.beta.conversations.start_stream(model="mistral-medium-latest", inputs="Weather?") as theirs:
        assert [event.event for event in theirs] == [event["type"] for event in EVENTS]
    assert request_info("mistral-conversations", wire_server.path, wire_server.request).stream is True

    info = response_info("mistral-conversations", STREAM, "text/event-stream")

    assert info.attributes() == {
        "gen_ai.response.model": "mistral-medium-2505",
        "gen_ai.response.id": "msg_2",
        "gen_ai.conversation.id": "conv_1",
        "gen_ai.response.finish_reasons": ("tool_call",),
    }
    assert info.usage == TOKENS
    search = {**PARTS[0], "server_tool_call": {**PARTS[0]["server_tool_call"], "info": {}}}  # type: ignore[dict-item]
    assert info.output_messages == [
        {"role": "assistant", "parts": [search, *PARTS[1:]], "finish_reason": "tool_call"}
    ]
    assert ended("mistral-conversations", STREAM)


def test_a_stream_of_a_conversation_cut_before_its_end() -> None:
    info = response_info("mistral-conversations", sse(EVENTS[:6], named=True))
    assert (info.model, info.conversation_id, info.usage) == ("mistral-medium-2505", "conv_1", {})
    assert (info.finish_reasons, info.text) == (("error",), "Grey ")


def test_a_stream_of_a_conversation_that_breaks_with_an_error() -> None:
    error = {"type": "conversation.response.error", "message": "no", "code": 3001}
    models.ResponseErrorEvent.model_validate(error)
    body = sse([*EVENTS[:6], error], named=True)
    info = response_info("mistral-conversations", body)
    assert (info.error, info.finish_reasons) == ("3001", ("error",))
    assert ended("mistral-conversations", body)


def test_an_answer_without_calls_has_stopped() -> None:
    body = json.dumps({**ANSWER, "outputs": [MESSAGE]}).encode()
    assert response_info("mistral-conversations", body).finish_reasons == ("stop",)
    refused = response_info("mistral-conversations", b'{"detail": "no such agent"}')
    assert (refused.finish_reasons, refused.output_messages) == ((), [])


# What else the SDK calls.

SOUND = {"file_name": "a.wav", "content": b"RIFF"}
CALLS: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("chat.complete", {"model": "m", "messages": []}, "openai-chat", "chat"),
    ("chat.stream", {"model": "m", "messages": []}, "openai-chat", "chat"),
    ("agents.complete", {"agent_id": "m", "messages": []}, "openai-chat", "chat"),
    ("fim.complete", {"model": "m", "prompt": "p"}, "openai-chat", "text_completion"),
    ("embeddings.create", {"model": "m", "inputs": "i"}, "openai-embeddings", "embeddings"),
    ("beta.conversations.start", {"model": "m", "inputs": "i"}, "mistral-conversations", "chat"),
    ("beta.conversations.start_stream", {"model": "m", "inputs": "i"}, "mistral-conversations", "chat"),
    (
        "beta.conversations.append",
        {"conversation_id": "c", "inputs": "i"},
        "mistral-conversations",
        "chat",
    ),
    (
        "beta.conversations.restart",
        {"conversation_id": "c", "from_entry_id": "e", "inputs": "i"},
        "mistral-conversations",
        "chat",
    ),
    ("classifiers.moderate", {"model": "m", "inputs": "i"}, "model", None),
    ("classifiers.moderate_chat", {"model": "m", "inputs": []}, "model", None),
    ("classifiers.classify", {"model": "m", "inputs": "i"}, "model", None),
    ("classifiers.classify_chat", {"model": "m", "input": {"messages": []}}, "model", None),
    (
        "ocr.process",
        {"model": "m", "document": {"type": "document_url", "document_url": "u"}},
        "model",
        "generate_content",
    ),
    ("audio.speech.complete", {"model": "m", "input": "i"}, "openai-audio", "generate_content"),
    ("audio.transcriptions.complete", {"model": "m", "file": SOUND}, "openai-audio", "generate_content"),
    ("audio.transcriptions.stream", {"model": "m", "file": SOUND}, "openai-audio", "generate_content"),
    ("beta.agents.create", {"model": "m", "name": "n"}, "", None),
    ("batch.jobs.create", {"endpoint": "/v1/ocr", "input_files": ["f"]}, "", None),
]


@pytest.mark.parametrize(("method", "arguments", "shape", "operation"), CALLS)
def test_every_call_of_the_sdk_is_known(
    method: str,
    arguments: dict[str, Any],
    shape: str,
    operation: str | None,
    client: Mistral,
    wire_server: WireServer,
) -> None:
    called: Any = client
    for name in method.split("."):
        called = getattr(called, name)
    with suppress(errors.MistralError):  # an empty object is not what it waits for
        called(**arguments)

    path = urlsplit(wire_server.path).path
    assert identify("api.mistral.ai", None, path, "POST") == Route("mistral_ai", shape, operation)
    if shape and "conversation_id" not in arguments:
        asked = request_info(shape, path, wire_server.request)
        assert (asked.model, asked.stream) == ("m", method.endswith("stream"))


def test_text_out_of_documents() -> None:
    answer = {"pages": [], "model": "mistral-ocr-2505", "usage_info": {"pages_processed": 1}}
    info = response_info("model", checked(models.OCRResponse, answer))
    assert (info.model, info.usage) == ("mistral-ocr-2505", {})


def test_a_stream_of_a_transcription() -> None:
    done = {"type": "transcription.done", "model": "voxtral", "text": "Hi", "language": "en", "usage": USAGE}
    models.TranscriptionStreamDone.model_validate(done)
    body = sse([{"type": "transcription.text.delta", "text": "Hi"}, done], named=True)
    info = response_info("openai-audio", body)
    assert (info.model, info.usage) == ("voxtral", {"input_tokens": 100, "output_tokens": 20})
    assert ended("openai-audio", body)
    assert request_info("openai-audio", "/v1/audio/speech", b'{"stream": true}').stream is True
