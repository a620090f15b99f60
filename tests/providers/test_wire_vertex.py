"""Vertex AI: Google's own models and those of others behind its verbs, as each SDK sends and reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anthropic
import openai
import pytest
import test_wire_anthropic
import test_wire_azure
import test_wire_gemini
import test_wire_openai_chat
from events import checked, sse
from google import genai
from google.genai import types
from google.genai.types import HttpOptions
from mistralai.gcp.client import MistralGCP

from rewind_auto.providers.registry import Route, identify
from rewind_auto.providers.wire import RequestInfo, ended, request_info, response_info

if TYPE_CHECKING:
    from wire_server import WireServer

HOST = "europe-west4-aiplatform.googleapis.com"
MODELS = "/v1/projects/p/locations/europe-west4/publishers"
TURN = [{"role": "user", "content": "Hi"}]


def asked(wire_server: WireServer, shape: str, operation: str = "chat") -> RequestInfo:
    """What is known of the request that came, after the registry has said how to read it."""
    route = identify(HOST, None, urlsplit(wire_server.path).path, "POST")
    assert route == Route("gcp.vertex_ai", shape, operation)
    return request_info(shape, wire_server.path, wire_server.request)


@pytest.fixture
def google(wire_server: WireServer) -> genai.Client:
    options = HttpOptions(base_url=wire_server.url)
    return genai.Client(vertexai=True, api_key="k", http_options=options)


@pytest.fixture
def claude(wire_server: WireServer) -> Iterator[anthropic.AnthropicVertex]:
    with anthropic.AnthropicVertex(
        region="europe-west4",
        project_id="p",
        access_token="ya29.x",
        base_url=f"{wire_server.url}/v1",
        max_retries=0,
    ) as client:
        yield client


@contextmanager
def mistral(wire_server: WireServer) -> Iterator[MistralGCP]:
    with MistralGCP(project_id="p", access_token="ya29.x", server_url=wire_server.url) as client:
        yield client


def test_gemini(google: genai.Client, wire_server: WireServer) -> None:
    answer = {
        **test_wire_gemini.ANSWER,
        "createTime": "2026-01-01T00:00:00Z",
        "usageMetadata": {**test_wire_gemini.ANSWER["usageMetadata"], "trafficType": "ON_DEMAND"},
    }
    body = wire_server.answers(checked(types.GenerateContentResponse, answer))
    google.models.generate_content(model="gemini-2.5-pro", contents="Hi")
    info = asked(wire_server, "gemini", "generate_content")
    assert (info.model, info.stream) == ("gemini-2.5-pro", False)
    told = response_info("gemini", body, "application/json; charset=UTF-8")
    assert (told.usage, told.id) == (test_wire_gemini.USAGE, "resp-1")


def test_gemini_streams_events_or_an_array(google: genai.Client, wire_server: WireServer) -> None:
    wire_server.streams(test_wire_gemini.STREAM)
    theirs = list(google.models.generate_content_stream(model="gemini-2.5-pro", contents="Hi"))
    assert urlsplit(wire_server.path).query == "alt=sse"
    info = asked(wire_server, "gemini", "generate_content")
    assert (info.model, info.stream) == ("gemini-2.5-pro", True)
    # Without alt=sse it is an array, here of answers that stand on a line each.
    array = b"[" + b"\n,\n".join(json.dumps(step).encode() for step in test_wire_gemini.STEPS) + b"\n]"
    for body in (test_wire_gemini.STREAM, array):
        told = response_info("gemini", body, stream=True)
        assert (told.usage, told.finish_reasons) == (test_wire_gemini.USAGE, ("stop", "length"))
        assert told.text == "".join(one.text or "" for one in theirs if one.candidates[0].index == 0)
    assert response_info("gemini", array[: array.index(b"STOP")]).text == "Zürich"


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (f"{MODELS}/google/models/gemini-2.5-pro@default:generateContent", "gemini-2.5-pro@default"),
        ("/v1/projects/p/locations/l/endpoints/123:streamGenerateContent?alt=sse", "123"),
        ("/v1beta1/publishers/google/models/gemini%2Dx:generateContent", "gemini-x"),
    ],
)
def test_gemini_is_named_in_the_path(path: str, model: str) -> None:
    assert request_info("gemini", path, b"{}").model == model


def test_claude(claude: anthropic.AnthropicVertex, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(anthropic.types.Message, test_wire_anthropic.MESSAGE))
    claude.messages.create(model="claude-sonnet-5@20260101", max_tokens=9, messages=TURN)
    assert "model" not in json.loads(wire_server.request)
    assert json.loads(wire_server.request)["anthropic_version"]
    info = asked(wire_server, "anthropic")
    assert (info.model, info.stream, info.max_tokens) == ("claude-sonnet-5@20260101", False, 9)
    assert response_info("anthropic", body).usage == test_wire_anthropic.USAGE


def test_claude_streams(claude: anthropic.AnthropicVertex, wire_server: WireServer) -> None:
    wire_server.streams(test_wire_anthropic.STREAM)
    with claude.messages.stream(model="claude-sonnet-5", max_tokens=9, messages=TURN) as stream:
        theirs = stream.get_final_message()
    assert wire_server.path == f"{MODELS}/anthropic/models/claude-sonnet-5:streamRawPredict"
    info = asked(wire_server, "anthropic")
    assert (info.model, info.stream) == ("claude-sonnet-5", True)
    told = response_info("anthropic", test_wire_anthropic.STREAM, "text/event-stream")
    assert (told.id, told.usage) == (theirs.id, test_wire_anthropic.USAGE)


def test_mistral(wire_server: WireServer) -> None:
    body = wire_server.answers(json.dumps({**test_wire_azure.ANSWER, "model": "mistral-large"}).encode())
    with mistral(wire_server) as client:
        client.chat.complete(model="mistral-large", messages=TURN, max_tokens=9)
    assert wire_server.path == f"{MODELS}/mistralai/models/mistral-large:rawPredict"
    info = asked(wire_server, "openai-chat")
    assert (info.model, info.stream, info.max_tokens) == ("mistral-large", False, 9)
    told = response_info("openai-chat", body)
    assert (told.model, told.usage) == ("mistral-large", {"input_tokens": 9, "output_tokens": 3})


def test_mistral_streams(wire_server: WireServer) -> None:
    chunks = [one for one in test_wire_azure.CHUNKS if one["choices"]]
    chunks[-1] = {**chunks[-1], "usage": test_wire_azure.USAGE}
    body = wire_server.streams(sse([*chunks, "[DONE]"]))
    with mistral(wire_server) as client:
        theirs = list(client.chat.stream(model="mistral-large", messages=TURN))
    assert len(theirs) == len(chunks)
    info = asked(wire_server, "openai-chat")
    assert (info.model, info.stream) == ("mistral-large", True)
    told = response_info("openai-chat", body, "text/event-stream")
    assert (told.text, told.usage) == ("Hi there", {"input_tokens": 9, "output_tokens": 3})
    assert ended("openai-chat", body)


def test_the_verb_asks_for_a_stream_where_the_body_does_not() -> None:
    path = f"{MODELS}/mistralai/models/mistral-large:streamRawPredict?x=1"
    assert request_info("openai-chat", path, b'{"model": "mistral-large"}').stream is True


def test_the_endpoint_that_speaks_like_openai(wire_server: WireServer) -> None:
    body = wire_server.answers(json.dumps(test_wire_openai_chat.ANSWER).encode())
    base = f"{wire_server.url}/v1/projects/p/locations/europe-west4/endpoints/openapi"
    with openai.OpenAI(base_url=base, api_key="ya29.x", max_retries=0) as client:
        theirs = client.chat.completions.create(model="meta/llama-4-maverick", messages=TURN)
    info = asked(wire_server, "openai-chat")
    assert info.model == "meta/llama-4-maverick"
    assert response_info("openai-chat", body).id == theirs.id
