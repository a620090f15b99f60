"""Which provider answers a request, in which wire shape, and whether it is an inference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rewind_auto.providers.hosts import HostGate, provider_of


@dataclass(frozen=True, slots=True)
class Route:
    """What a request to an LLM host is.

    Attributes:
        provider: value of ``gen_ai.provider.name``.
        shape: name of the wire shape, or "" where nobody knows how to read the bodies.
        operation: value of ``gen_ai.operation.name``, or None when the call is no inference.
    """

    provider: str
    shape: str
    operation: str | None


# (end of the path, shape, operation), the first that fits. An end starts with "/" or ":", so it always begins
# at a segment or at a verb. SDKs put API versions, deployments and gateway prefixes before it.
_ENDS: tuple[tuple[str, str, str], ...] = (
    ("/chat/completions", "openai-chat", "chat"),
    ("/agents/completions", "openai-chat", "chat"),  # Mistral
    ("/fim/completions", "openai-chat", "text_completion"),  # Mistral, answers as a chat does
    ("/completions", "openai-completions", "text_completion"),
    ("/responses", "openai-responses", "chat"),
    ("/responses/compact", "openai-responses", "chat"),
    ("/v1/messages", "anthropic", "chat"),
    ("/v1/complete", "", "text_completion"),  # Anthropic, before Messages
    (":generateContent", "gemini", "generate_content"),
    (":streamGenerateContent", "gemini", "generate_content"),
    (":embedContent", "gemini-embeddings", "embeddings"),
    (":batchEmbedContents", "gemini-embeddings", "embeddings"),
    ("/interactions", "", "generate_content"),  # Gemini
    ("/api/chat", "ollama", "chat"),
    ("/api/generate", "ollama", "text_completion"),
    ("/api/embed", "ollama", "embeddings"),
    ("/api/embeddings", "ollama", "embeddings"),
    ("/embeddings", "openai-embeddings", "embeddings"),
    ("/images/generations", "openai-images", "generate_content"),
    ("/images/edits", "openai-images", "generate_content"),
    ("/images/variations", "openai-images", "generate_content"),
    ("/audio/speech", "openai-audio", "generate_content"),
    ("/audio/transcriptions", "openai-audio", "generate_content"),
    ("/audio/translations", "openai-audio", "generate_content"),
    ("/rerank", "", "rerank"),
    ("/converse", "bedrock", "chat"),
    ("/converse-stream", "bedrock", "chat"),
)

# Ends too common to mean this anywhere else.
_OWN_ENDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "cohere": (
        ("/chat", "cohere", "chat"),
        ("/generate", "cohere", "text_completion"),
        ("/embed", "cohere", "embeddings"),
    ),
}

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
    "ollama": "ollama",
    "bedrock": "aws.bedrock",
}
_OLLAMA_PORT = 11434
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
    if path.endswith(("/invoke", "/invoke-with-response-stream")) and "/model/" in path:
        return _bedrock_invoke(path)
    return "", None


def _vertex_predict(path: str) -> tuple[str, str | None]:
    """The model's own protocol, behind Vertex's verbs."""
    _, publishers, model = path.partition("/publishers/")
    publisher = model.partition("/")[0]
    if not publishers or model.endswith("/count-tokens:rawPredict"):
        return "", None
    if path.endswith(":predict"):
        return "", "embeddings" if "embedding" in model else "generate_content"
    return {"anthropic": "anthropic", "mistralai": "openai-chat"}.get(publisher, ""), "chat"


def _bedrock_invoke(path: str) -> tuple[str, str]:
    """The model's own protocol; streams of it come in AWS's binary frames."""
    model = path.rpartition("/model/")[2]
    if "embed" in model:
        return "", "embeddings"
    if "anthropic." in model and path.endswith("/invoke"):
        return "anthropic", "chat"
    return "bedrock", "chat"


@lru_cache(maxsize=256)
def _provider_of(host: str) -> str | None:
    return provider_of(host)


@lru_cache(maxsize=8)
def _gate(user_hosts: tuple[str, ...]) -> HostGate:
    return HostGate(user_hosts)
