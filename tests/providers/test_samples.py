"""Every sample is what its provider's SDK sends, and an answer that this SDK reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anthropic
import cohere
import ollama
import openai
import pytest
from bedrock_sdk import bedrock
from google import genai
from google.genai import types
from mistralai.client import Mistral
from samples import EXCHANGES, Exchange

from rewind_auto.providers import wire
from rewind_auto.providers.registry import Route, identify

if TYPE_CHECKING:
    from wire_server import WireServer


def _openai(path: str) -> Callable[[str, dict[str, Any]], Any]:
    """A method of the OpenAI SDK, by its place."""

    def call(url: str, document: dict[str, Any]) -> Any:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
            method: Any = client
            for name in path.split("."):
                method = getattr(method, name)
            answer = method(**document)
            return list(answer) if document.get("stream") else answer

    return call


def _anthropic(url: str, document: dict[str, Any]) -> Any:
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0) as client:
        answer = client.messages.create(**document)
        return list(answer) if document.get("stream") else answer


def _gemini(method: str) -> Callable[[str, dict[str, Any]], Any]:
    def call(url: str, document: dict[str, Any]) -> Any:
        config = document["generationConfig"]
        (declared,) = document["tools"][0]["functionDeclarations"]
        with _google(url) as client:
            answer = getattr(client.models, method)(
                model="gemini-2.5-flash",
                contents=document["contents"][0]["parts"][0]["text"],
                config=types.GenerateContentConfig(
                    system_instruction=document["systemInstruction"]["parts"][0]["text"],
                    temperature=config["temperature"],
                    max_output_tokens=config["maxOutputTokens"],
                    tools=[types.Tool(function_declarations=[types.FunctionDeclaration(**declared)])],
                    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
                ),
            )
            return list(answer) if method.endswith("_stream") else answer

    return call


def _gemini_embeddings(url: str, document: dict[str, Any]) -> Any:
    with _google(url) as client:
        return client.models.embed_content(
            model="gemini-embedding-001",
            contents=document["requests"][0]["content"]["parts"][0]["text"],
            config=types.EmbedContentConfig(output_dimensionality=2),
        )


def _google(url: str) -> genai.Client:
    return genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url))


def _bedrock(method: str) -> Callable[[str, dict[str, Any]], Any]:
    def call(url: str, document: dict[str, Any]) -> Any:
        with closing(bedrock(url)) as client:
            answer = getattr(client, method)(modelId="us.anthropic.claude-sonnet-5-v1:0", **document)
            return list(answer["stream"]) if method == "converse_stream" else answer["output"]

    return call


def _claude_on_bedrock(url: str, document: dict[str, Any], *, stream: bool = False) -> Any:
    with anthropic.AnthropicBedrock(
        base_url=url, aws_region="us-east-1", aws_access_key="AKIA", aws_secret_key="s", max_retries=0
    ) as client:
        version = {"anthropic_version": document.pop("anthropic_version")}
        model = "us.anthropic.claude-sonnet-5-v1:0"
        answer = client.messages.create(model=model, stream=stream, extra_body=version, **document)
        return list(answer) if stream else answer


def _titan(url: str, document: dict[str, Any]) -> Any:
    with closing(bedrock(url)) as client:
        answer = client.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=json.dumps(document))
        return answer["body"].read()


def _azure(url: str, document: dict[str, Any]) -> Any:
    version = "2025-04-01-preview"
    with openai.AzureOpenAI(azure_endpoint=url, api_version=version, api_key="k", max_retries=0) as client:
        answer = client.chat.completions.create(**document)
        return list(answer) if document.get("stream") else answer


def _claude_on_vertex(url: str, document: dict[str, Any]) -> Any:
    with anthropic.AnthropicVertex(
        region="europe-west4", project_id="p", access_token="t", base_url=f"{url}/v1", max_retries=0
    ) as client:
        version = {"anthropic_version": document.pop("anthropic_version")}
        answer = client.messages.create(model="claude-sonnet-5", extra_body=version, **document)
        return list(answer) if document.get("stream") else answer


def _interaction(url: str, document: dict[str, Any]) -> Any:
    with _google(url) as client:
        answer = client.interactions.create(**document)
        return list(answer) if document.get("stream") else answer


def _vertex_embeddings(url: str, document: dict[str, Any]) -> Any:
    with genai.Client(vertexai=True, api_key="k", http_options=types.HttpOptions(base_url=url)) as client:
        return client.models.embed_content(
            model="text-embedding-005",
            contents=document["instances"][0]["content"],
            config=types.EmbedContentConfig(output_dimensionality=2),
        )


def _cohere(method: str, kind: Callable[..., Any] = cohere.ClientV2) -> Callable[[str, dict[str, Any]], Any]:
    def call(url: str, document: dict[str, Any]) -> Any:
        client = kind(api_key="k", base_url=url)
        streamed = document.pop("stream", False)
        answer = getattr(client, f"{method}_stream" if streamed else method)(**document)
        return list(answer) if streamed else answer

    return call


def _conversation(url: str, document: dict[str, Any]) -> Any:
    with Mistral(api_key="k", server_url=url) as client:
        if not document.pop("stream"):
            return client.beta.conversations.start(**document)
        with client.beta.conversations.start_stream(**document) as answer:
            return list(answer)


def _ollama(method: str) -> Callable[[str, dict[str, Any]], Any]:
    def call(url: str, document: dict[str, Any]) -> Any:
        answer = getattr(ollama.Client(host=url), method)(**document)
        return list(answer) if document.get("stream") else answer

    return call


CALLS: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "openai-chat": _openai("chat.completions.create"),
    "openai-completions": _openai("completions.create"),
    "openai-responses": _openai("responses.create"),
    "openai-embeddings": _openai("embeddings.create"),
    "openai-images": _openai("images.generate"),
    "openai-audio": _openai("audio.speech.create"),
    "anthropic": _anthropic,
    "gemini": _gemini("generate_content"),
    "gemini stream": _gemini("generate_content_stream"),
    "gemini-embeddings": _gemini_embeddings,
    "bedrock-converse": _bedrock("converse"),
    "bedrock-converse stream": _bedrock("converse_stream"),
    "bedrock-invoke": _claude_on_bedrock,
    "bedrock-invoke stream": partial(_claude_on_bedrock, stream=True),
    "bedrock-data": _titan,
    "azure-chat": _azure,
    "vertex-claude": _claude_on_vertex,
    "gemini-interactions": _interaction,
    "vertex-embeddings": _vertex_embeddings,
    "cohere": _cohere("chat"),
    "cohere-v1": _cohere("chat", cohere.Client),
    "cohere-generate": _cohere("generate", cohere.Client),
    "cohere-embeddings": _cohere("embed"),
    "rerank": _cohere("rerank"),
    "mistral-conversations": _conversation,
    "ollama": _ollama("chat"),
    "ollama-generate": _ollama("generate"),
    "ollama-embeddings": _ollama("embed"),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_sdk_sends_the_request_and_reads_the_answer(name: str, wire_server: WireServer) -> None:
    exchange = EXCHANGES[name]
    wire_server.answers(exchange.body, exchange.content_type)

    call = CALLS.get(name) or CALLS[name.removesuffix(" stream")]
    read = call(wire_server.url, json.loads(exchange.request))

    assert wire_server.path == exchange.path
    assert json.loads(wire_server.request) == json.loads(exchange.request)
    assert read


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_the_registry_knows_it(exchange: Exchange) -> None:
    parts = urlsplit(exchange.url)
    route = identify(parts.hostname or "", parts.port, parts.path, "POST")
    assert route == Route(exchange.provider, exchange.shape, exchange.operation)


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_it_is_read(exchange: Exchange) -> None:
    asked = wire.request_info(exchange.shape, exchange.path, exchange.request)
    assert asked.model
    assert asked.stream is exchange.stream
    if exchange.stream:
        assert wire.ended(exchange.shape, exchange.body)
        assert not wire.ended(exchange.shape, b"".join(exchange.chunks[:-1]))
