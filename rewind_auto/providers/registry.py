"""Which provider answers a request, in which wire shape, and whether it is an inference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from rewind_auto.providers.hosts import HostGate, provider_of


@dataclass(frozen=True, slots=True)
class Route:
    """What a request to an LLM host is.

    Attributes:
        provider: value of ``gen_ai.provider.name``.
        shape: name of the wire shape, or "" where nobody knows how to read the bodies.
        operation: value of ``gen_ai.operation.name``, or None when the call is no inference. It may have a
            shape all the same: tokens are counted for a model, though none are spent.
    """

    provider: str
    shape: str
    operation: str | None


# (end of the path, shape, operation), the first that fits. An end starts with "/" or ":", so it always begins
# at a segment or at a verb. SDKs put API versions, deployments and gateway prefixes before it.
_ENDS: tuple[tuple[str, str, str | None], ...] = (
    ("/chat/completions", "openai-chat", "chat"),
    ("/agents/completions", "openai-chat", "chat"),  # Mistral
    ("/fim/completions", "openai-chat", "text_completion"),  # Mistral, answers as a chat does
    ("/completions", "openai-completions", "text_completion"),
    ("/responses", "openai-responses", "chat"),
    ("/responses/compact", "openai-responses", "chat"),
    ("/responses/input_tokens", "openai-responses", None),
    ("/v1/messages", "anthropic", "chat"),
    ("/v1/messages/count_tokens", "anthropic", None),
    ("/v1/complete", "model", "text_completion"),  # Anthropic, before Messages
    (":generateContent", "gemini", "generate_content"),
    (":streamGenerateContent", "gemini", "generate_content"),
    (":countTokens", "gemini", None),
    (":embedContent", "gemini-embeddings", "embeddings"),
    (":batchEmbedContents", "gemini-embeddings", "embeddings"),
    ("/interactions", "gemini-interactions", "generate_content"),
    ("/api/chat", "ollama", "chat"),
    ("/api/generate", "ollama", "text_completion"),
    ("/api/embed", "ollama-embeddings", "embeddings"),
    ("/api/embeddings", "ollama-embeddings", "embeddings"),
    ("/v2/chat", "cohere", "chat"),
    ("/v1/embed", "cohere-embeddings", "embeddings"),
    ("/v2/embed", "cohere-embeddings", "embeddings"),
    ("/embeddings", "openai-embeddings", "embeddings"),
    ("/images/generations", "openai-images", "generate_content"),
    ("/images/edits", "openai-images", "generate_content"),
    ("/images/variations", "openai-images", "generate_content"),
    ("/audio/speech", "openai-audio", "generate_content"),
    ("/audio/transcriptions", "openai-audio", "generate_content"),
    ("/audio/translations", "openai-audio", "generate_content"),
    # The conventions have "retrieval", from a source of data that the provider keeps. Here a model scores the
    # documents that it is given, so a value of our own it is, which they allow where none of theirs applies.
    ("/rerank", "rerank", "rerank"),
    # They have no word for judging a text either. Where it is paid for by the token it is an inference.
    ("/decisions", "model", "generate_content"),
    ("/v1/systemone", "model", "generate_content"),  # Ollama
    ("/moderations", "model", None),
    ("/converse", "bedrock-converse", "chat"),
    ("/converse-stream", "bedrock-converse", "chat"),
)

# Ends too common to mean this anywhere else.
_OWN_ENDS: dict[str, tuple[tuple[str, str, str | None], ...]] = {
    "cohere": (
        ("/chat", "cohere", "chat"),
        ("/generate", "cohere", "text_completion"),
        ("/embed", "cohere-embeddings", "embeddings"),
        ("/summarize", "model", "text_completion"),
        ("/parse", "model", "generate_content"),
        ("/classify", "model", None),
        ("/tokenize", "model", None),
    ),
    "mistral_ai": (
        ("/conversations", "mistral-conversations", "chat"),
        ("/ocr", "model", "generate_content"),
        ("/classifications", "model", None),
    ),
    "ibm.watsonx.ai": (
        ("/text/chat", "openai-chat", "chat"),
        ("/text/chat_stream", "openai-chat", "chat"),
        ("/text/generation", "model", "text_completion"),
        ("/text/generation_stream", "model", "text_completion"),
    ),
}

# Part of a model's id, where InvokeModel of it is no chat.
_BEDROCK_PROMPTED = (
    "titan-text", "meta.llama", "mistral.mistral-7b", "mistral.mixtral", "deepseek.r1", "ai21.j2",
    "cohere.command-text", "cohere.command-light",
)  # fmt: skip
_BEDROCK_MODELS: tuple[tuple[str, str, str], ...] = (
    ("embed", "bedrock-data", "embeddings"),
    ("rerank", "bedrock-data", "rerank"),
    ("stability.", "bedrock-data", "generate_content"),
    ("titan-image", "bedrock-data", "generate_content"),
    ("nova-canvas", "bedrock-data", "generate_content"),
    *((part, "bedrock-invoke", "text_completion") for part in _BEDROCK_PROMPTED),
)

_PROVIDER_OF_SHAPE = {
    "openai-chat": "openai",
    "openai-completions": "openai",
    "openai-responses": "openai",
    "openai-embeddings": "openai",
    "openai-images": "openai",
    "openai-audio": "openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
    "gemini-embeddings": "gcp.gemini",
    "gemini-interactions": "gcp.gemini",
    "cohere": "cohere",
    "cohere-embeddings": "cohere",
    "ollama": "ollama",
    "ollama-embeddings": "ollama",
    "bedrock-converse": "aws.bedrock",
    "bedrock-invoke": "aws.bedrock",
    "bedrock-data": "aws.bedrock",
}
_OLLAMA_PORT = 11434
_CONVERSATION = re.compile(r"/conversations/[^/]+(?:/restart)?$")  # one that goes on, or again from an entry
_UNKNOWN_PROVIDER = "custom"


def identify(
    host: str, port: int | None, path: str, method: str, user_hosts: tuple[str, ...] = ()
) -> Route | None:
    """Say what a request is, or None when its host is no LLM provider's and none of the user's.

    Args:
        host: host of the URL.
        port: port of the URL, or None for the scheme's own.
        path: path of the URL; a query is ignored.
        method: HTTP method.
        user_hosts: further hosts, as `hosts.parse_host` reads them.

    Raises:
        ValueError: a user host is malformed.
    """
    provider = _provider_of(host)
    if provider is None:
        listed = user_hosts and _gate(user_hosts).names(host, port)
        return by_shape(port, path, method) if listed else None
    if provider.startswith("azure."):
        # One Azure resource has several host names, and each of them serves both families of paths.
        provider = "azure.ai.openai" if "/openai/" in path else "azure.ai.inference"
    return Route(provider, *_inference(provider, path, method))


def by_shape(port: int | None, path: str, method: str) -> Route:
    """Say what a request to a host is that is known to be an LLM's, but not whose."""
    shape, operation = _inference(None, path, method)
    provider = "ollama" if port == _OLLAMA_PORT else _PROVIDER_OF_SHAPE.get(shape, _UNKNOWN_PROVIDER)
    return Route(provider, shape, operation)


def _inference(provider: str | None, path: str, method: str) -> tuple[str, str | None]:
    """Shape and operation of a request to this path."""
    if method.upper() != "POST":
        return "", None
    path = path.partition("?")[0].rstrip("/")
    for end, shape, operation in _OWN_ENDS.get(provider or "", ()):
        if path.endswith(end):
            return shape, operation
    for end, shape, operation in _ENDS:
        if path.endswith(end):
            return shape, operation
    if path.endswith((":rawPredict", ":streamRawPredict", ":predict")):
        return _vertex_predict(path)
    if provider == "mistral_ai" and _CONVERSATION.search(path):
        return "mistral-conversations", "chat"
    if path.endswith(("/invoke", "/invoke-with-response-stream", "/count-tokens")) and "/model/" in path:
        return _bedrock_model(path)
    return "", None


def _vertex_predict(path: str) -> tuple[str, str | None]:
    """The model's own protocol, behind Vertex's verbs."""
    _, publishers, model = path.partition("/publishers/")
    publisher = model.partition("/")[0]
    if model.endswith("/count-tokens:rawPredict"):
        return "anthropic", None
    if not publishers:
        return "", None
    if path.endswith(":predict"):
        return ("vertex-embeddings", "embeddings") if "embedding" in model else ("", "generate_content")
    return {"anthropic": "anthropic", "mistralai": "openai-chat"}.get(publisher, ""), "chat"


def _bedrock_model(path: str) -> tuple[str, str | None]:
    """The model's own protocol. What it is asked for, some models' ids tell; an ARN's may not."""
    model = path.rpartition("/model/")[2]
    if model.endswith("/count-tokens"):
        return "bedrock-data", None
    for part, shape, operation in _BEDROCK_MODELS:
        if part in model:
            return shape, operation
    return "bedrock-invoke", "chat"


@lru_cache(maxsize=256)
def _provider_of(host: str) -> str | None:
    return provider_of(host)


@lru_cache(maxsize=8)
def _gate(user_hosts: tuple[str, ...]) -> HostGate:
    return HostGate(user_hosts)
