"""The wire shapes by name: what to read a body with. A shape that nobody knows yields empty information."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from typing import Any

from rewind_auto.core.forks import importing
from rewind_auto.providers.ended import ended
from rewind_auto.providers.info import RequestInfo, ResponseInfo
from rewind_auto.providers.reading import is_json

__all__ = ["RequestInfo", "ResponseInfo", "ended", "request_info", "response_info"]

# Module, function for requests, function for answers. A program speaks one or two: the others stay out.
_READERS = {
    "openai-chat": ("openai_chat", "request_info", "response_info"),
    "openai-completions": ("openai_chat", "request_info", "response_info"),
    "openai-responses": ("openai_responses", "request_info", "response_info"),
    "openai-embeddings": ("openai_media", "embeddings_request", "response_info"),
    "openai-images": ("openai_media", "images_request", "response_info"),
    "openai-audio": ("openai_media", "audio_request", "response_info"),
    "anthropic": ("anthropic", "request_info", "response_info"),
    "gemini": ("gemini", "request_info", "response_info"),
    "gemini-embeddings": ("gemini", "embeddings_request", "response_info"),
    "gemini-interactions": ("gemini_interactions", "request_info", "response_info"),
    "vertex-embeddings": ("vertex_embeddings", "request_info", "response_info"),
    "cohere": ("cohere", "request_info", "response_info"),
    "cohere-embeddings": ("cohere", "embeddings_request", "figures"),
    "rerank": ("cohere", "rerank_request", "figures"),
    "mistral-conversations": ("mistral", "request_info", "response_info"),
    "ollama": ("ollama", "request_info", "response_info"),
    "ollama-embeddings": ("ollama", "embeddings_request", "embeddings_response"),
    "model": ("openai_media", "model_request", "response_info"),
    "bedrock-converse": ("bedrock", "request_info", "response_info"),
    "bedrock-invoke": ("bedrock_invoke", "request_info", "response_info"),
    "bedrock-data": ("bedrock_invoke", "data_request", "data_info"),
}
_DATA = ("audio/", "image/", "video/", "application/octet-stream")
_GENERATIONS = (
    "openai-chat", "openai-completions", "openai-responses", "anthropic", "gemini", "gemini-interactions",
    "cohere", "mistral-conversations", "ollama",
    "bedrock-converse", "bedrock-invoke",
)  # fmt: skip


def request_info(shape: str, path: str, body: bytes) -> RequestInfo:
    """Read the decoded body of a request.

    Args:
        shape: `Route.shape`.
        path: path of the URL, with or without a query.
        body: what was sent. One that is cut, broken or of another shape tells less, and raises nothing.
    """
    reader = _READERS.get(shape)
    if reader is None:
        return RequestInfo()
    info: RequestInfo = getattr(_module(reader[0]), reader[1])(path, body)
    return info


def response_info(
    shape: str,
    body: bytes,
    content_type: str = "",
    *,
    stream: bool = False,
    cut: bool = False,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> ResponseInfo:
    """Read the decoded body of an answer: JSON, or a stream, whole or as far as it came.

    Args:
        shape: `Route.shape`.
        body: what came. One that is cut, broken or of another shape tells less, and raises nothing.
        content_type: of the answer, if known; it keeps audio and images from being taken for text.
        stream: whether a stream was asked for, so that one cut before its first event counts as a generation
            that failed. How to read the body, the body itself says.
        cut: whether the body is known to lack its end; then the same goes for an answer in one piece.
        headers: of the answer, if known; Bedrock counts tokens there for models that do not by themselves.
    """
    reader = _READERS.get(shape)
    if reader is None or content_type.startswith(_DATA):
        return ResponseInfo()
    info: ResponseInfo = getattr(_module(reader[0]), reader[2])(body)
    if shape in ("bedrock-invoke", "bedrock-data") and headers:
        info = replace(info, usage={**_module("bedrock").counted(headers), **info.usage})
    if not info.finish_reasons and shape in _GENERATIONS and (cut or (stream and not is_json(body))):
        return replace(info, finish_reasons=("error",))
    return info


def _module(name: str) -> Any:
    with importing:
        return import_module(f"{__package__}.{name}")
