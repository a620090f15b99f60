"""Azure: what its deployments, its filters and AI Foundry add to what OpenAI and Anthropic send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anthropic
import openai
import pytest
from events import checked, sse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from test_wire_anthropic import MESSAGE

from rewind_auto.providers.registry import Route, identify
from rewind_auto.providers.wire import ended, request_info, response_info

if TYPE_CHECKING:
    from wire_server import WireServer

SAFE = {
    "hate": {"filtered": False, "severity": "safe"},
    "protected_material_text": {"detected": False, "filtered": False},
    "self_harm": {"filtered": False, "severity": "safe"},
}
PROMPT = [
    {
        "prompt_index": 0,
        "content_filter_results": {**SAFE, "jailbreak": {"detected": False, "filtered": False}},
    }
]
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
REQUEST: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Say hi"}],
    "model": "gpt-4o",
    "max_completion_tokens": 100,
}
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-11-20",
    "system_fingerprint": "fp_1",
    "prompt_filter_results": PROMPT,
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "Hi there", "refusal": None, "annotations": []},
            "content_filter_results": SAFE,
        }
    ],
    "usage": USAGE,
}


def piece(choice: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """A chunk of a stream."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-2024-11-20",
        "system_fingerprint": "fp_1",
        "choices": [] if choice is None else [{"index": 0, "finish_reason": None, **choice}],
        **more,
    }


def step(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return piece({"delta": delta, "finish_reason": finish_reason, "content_filter_results": {}})


FIRST = {
    "id": "",
    "object": "",
    "created": 0,
    "model": "",
    "choices": [],
    "prompt_filter_results": PROMPT,
}
CHUNKS = [
    FIRST,
    step({"role": "assistant", "content": ""}),
    step({"content": "Hi"}),
    step({"content": " there"}),
    step({}, "stop"),
    piece(None, usage=USAGE),
]
STREAM = sse([*CHUNKS, "[DONE]"])
TOLD = {
    "gen_ai.response.model": "gpt-4o-2024-11-20",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ("stop",),
    "openai.response.system_fingerprint": "fp_1",
}
MESSAGE_OUT = {
    "role": "assistant",
    "parts": [{"type": "text", "content": "Hi there"}],
    "finish_reason": "stop",
}


@pytest.fixture
def client(wire_server: WireServer) -> Iterator[openai.AzureOpenAI]:
    with openai.AzureOpenAI(
        azure_endpoint=wire_server.url, api_version="2025-04-01-preview", api_key="k", max_retries=0
    ) as one:
        yield one


def test_a_chat(client: openai.AzureOpenAI, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(ChatCompletion, ANSWER))
    theirs = client.chat.completions.create(**REQUEST)
    assert wire_server.path == "/openai/deployments/gpt-4o/chat/completions?api-version=2025-04-01-preview"
    asked = request_info("openai-chat", wire_server.path, wire_server.request)
    assert (asked.model, asked.max_tokens) == ("gpt-4o", 100)
    info = response_info("openai-chat", body, "application/json")
    assert info.attributes() == TOLD
    assert info.id == theirs.id
    assert (info.usage, info.error) == ({"input_tokens": 9, "output_tokens": 3}, None)
    assert info.output_messages == [MESSAGE_OUT]


def test_a_stream_whose_first_chunk_is_about_the_prompt(
    client: openai.AzureOpenAI, wire_server: WireServer
) -> None:
    for chunk in CHUNKS[1:]:
        checked(ChatCompletionChunk, chunk)
    wire_server.streams(STREAM)
    theirs = list(
        client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **REQUEST)
    )
    assert len(theirs) == len(CHUNKS)
    info = response_info("openai-chat", STREAM, "text/event-stream", stream=True)
    assert info.attributes() == TOLD
    assert (info.usage, info.error) == ({"input_tokens": 9, "output_tokens": 3}, None)
    assert info.output_messages == [MESSAGE_OUT]
    assert info.text == "".join(one.choices[0].delta.content or "" for one in theirs if one.choices)
    assert ended("openai-chat", STREAM)
    cut = response_info("openai-chat", sse(CHUNKS[:3]), stream=True)
    assert (cut.id, cut.model, cut.finish_reasons, cut.text) == (
        "chatcmpl-1",
        "gpt-4o-2024-11-20",
        ("error",),
        "Hi",
    )
    assert response_info("openai-chat", sse([FIRST]), stream=True).finish_reasons == ("error",)


def test_results_of_an_asynchronous_filter_come_between_the_pieces() -> None:
    offsets = {"check_offset": 44, "start_offset": 44, "end_offset": 198}
    about = piece({"content_filter_results": SAFE, "content_filter_offsets": offsets})
    late = {**FIRST, "prompt_filter_results": None, "choices": about["choices"]}
    body = sse(
        [
            FIRST,
            step({"role": "assistant", "content": "Hi"}),
            about,
            step({"content": " there"}, "stop"),
            late,
        ]
    )
    info = response_info("openai-chat", body)
    assert info.attributes() == TOLD
    assert info.output_messages == [MESSAGE_OUT]
    cut = response_info("openai-chat", sse([FIRST, step({"content": "Hi"}), late]))
    assert (cut.id, cut.model) == ("chatcmpl-1", "gpt-4o-2024-11-20")


def test_an_answer_that_the_filter_cut_off() -> None:
    hate = {"content_filter_results": {"hate": {"filtered": True, "severity": "high"}}}
    whole = {**ANSWER, "choices": [{**ANSWER["choices"][0], "finish_reason": "content_filter", **hate}]}
    last = piece({"delta": {}, "finish_reason": "content_filter", **hate})
    for body in (json.dumps(whole).encode(), sse([*CHUNKS[:4], last, "[DONE]"])):
        info = response_info("openai-chat", body)
        assert (info.finish_reasons, info.text, info.error) == (("content_filter",), "Hi there", None)


def test_a_prompt_that_the_filter_refused(client: openai.AzureOpenAI) -> None:
    error = {
        "message": "The response was filtered",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": SAFE},
    }
    info = response_info("openai-chat", json.dumps({"error": error}).encode())
    assert (info.error, info.finish_reasons) == ("content_filter", ())


@pytest.mark.parametrize(
    ("path", "shape", "body"),
    [
        ("/openai/deployments/my%20own/chat/completions", "openai-chat", b'{"messages": []}'),
        ("/openai/deployments/my%20own/completions", "openai-completions", b'{"prompt": "x"}'),
        ("/openai/deployments/my%20own/embeddings?api-version=1", "openai-embeddings", b'{"input": "x"}'),
        ("/openai/deployments/my%20own/images/generations", "openai-images", b'{"prompt": "x"}'),
        ("/openai/deployments/my%20own/audio/speech", "openai-audio", b'{"input": "x"}'),
        ("/openai/deployments/my%20own/audio/transcriptions", "openai-audio", b"--form\r\n"),
    ],
)
def test_a_deployment_stands_for_the_model_where_the_body_has_none(
    path: str, shape: str, body: bytes
) -> None:
    assert request_info(shape, path, body).model == "my own"


@pytest.mark.parametrize(
    ("call", "path", "shape"),
    [
        (
            lambda c: c.embeddings.create(model="e", input="x", encoding_format="float"),
            "deployments/e/embeddings",
            "openai-embeddings",
        ),
        (
            lambda c: c.images.generate(model="i", prompt="x"),
            "deployments/i/images/generations",
            "openai-images",
        ),
        (
            lambda c: c.audio.transcriptions.create(model="t", file=("a.wav", b"RIFF")),
            "deployments/t/audio/transcriptions",
            "openai-audio",
        ),
        (lambda c: c.responses.create(model="r", input="x"), "responses", "openai-responses"),
        (
            lambda c: c.completions.create(model="d", prompt="x"),
            "deployments/d/completions",
            "openai-completions",
        ),
    ],
)
def test_where_the_sdk_sends_it(
    call: Any, path: str, shape: str, client: openai.AzureOpenAI, wire_server: WireServer
) -> None:
    wire_server.answers(b"{}")
    call(client)
    sent = urlsplit(wire_server.path).path
    assert sent == f"/openai/{path}"
    route = identify("res.openai.azure.com", None, sent, "POST")
    assert route is not None
    assert (route.provider, route.shape) == ("azure.ai.openai", shape)
    assert request_info(shape, wire_server.path, wire_server.request).model in tuple("eitrd")


def test_claude_on_foundry(wire_server: WireServer) -> None:
    body = wire_server.answers(checked(anthropic.types.Message, MESSAGE))
    with anthropic.AnthropicFoundry(
        api_key="k", base_url=f"{wire_server.url}/anthropic/", max_retries=0
    ) as client:
        client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=[])
    route = identify("res.services.ai.azure.com", None, wire_server.path, "POST")
    assert route == Route("azure.ai.inference", "anthropic", "chat")
    assert request_info("anthropic", wire_server.path, wire_server.request).model == "claude-sonnet-5"
    assert response_info("anthropic", body).id == "msg_1"
