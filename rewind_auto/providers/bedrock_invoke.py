"""Bedrock's InvokeModel: the protocol of whoever made the model, carried by Amazon.

A stream of it comes in frames whose payload is ``{"bytes": base64 of a chunk}`` (``PayloadPart`` in the
service model of botocore); the last chunk has ``amazon-bedrock-invocationMetrics`` besides. Taken out of the
frames the chunks are read as what they are. Which protocol that is, the body says: a model id need not, as it
may be the ARN of a profile or of an imported model.

Formats: "Inference request parameters and response fields for foundation models" in the Bedrock User Guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

from rewind_auto.core.event_stream import Frame, frames
from rewind_auto.providers import bedrock, parts
from rewind_auto.providers.bedrock_stream import fold
from rewind_auto.providers.info import Message, RequestContent, RequestInfo, ResponseInfo
from rewind_auto.providers.reading import (
    integer,
    is_json,
    merged_text,
    number,
    obj,
    objects,
    outline,
    parse,
    pick,
    pieces,
    text,
    texts,
    total,
    usage,
)

_METRICS = "amazon-bedrock-invocationMetrics"
_TYPE = re.compile(rb'\{"type":"(\w+)"')
_NOVA = frozenset(("output", "messageStart"))
_TELLING_NOVA = re.compile(rb'"(?:messageStart|messageStop|metadata)"')
_COHERE = frozenset(("event_type", "response_id", "generation_id"))
# Where the models that complete a prompt put what they say; those that can say several things have a list.
_LISTS = ("results", "outputs", "generations", "completions")
_TEXTS = ("outputText", "generation", "completion", "text")
_REASONS = ("completionReason", "stop_reason", "finish_reason")
_SAYING = frozenset((*_TEXTS, *_REASONS, "data"))
_FINISH_REASONS = {
    "stop_sequence": "stop",
    "endoftext": "stop",
    "finish": "stop",
    "finished": "stop",
    "complete": "stop",
    "stop_criteria_met": "stop",
    "max_tokens": "length",
    "content_filtered": "content_filter",
    "error_toxic": "content_filter",
}


class PromptRequest(RequestContent):
    """A request to complete a prompt: of Titan, Llama, Mistral, Jurassic, Command or Claude 2."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """The prompt, as one message of the user."""
        said = parts.said(pick(self.document, "prompt", "inputText"))
        return [parts.message("user", said)] if said else []


def request_info(path: str, body: bytes) -> RequestInfo:
    """Read the body of a request. The path says the model, and whether the answer is streamed."""
    document = obj(parse(body))
    protocol = _protocol_asked(document)
    info = _prompt(document) if protocol is None else _module(protocol).request_info(path, body)
    return replace(info, model=bedrock.model_of(path), stream=bedrock.asks_for_stream(path))


def _protocol_asked(document: dict[str, Any]) -> str | None:
    """The module that reads such a request, or None for a prompt."""
    if "messages" not in document:
        return "cohere" if "message" in document else None
    if "anthropic_version" in document:
        return "anthropic"
    content = [parts.content_list(message.get("content")) for message in objects(document["messages"])]
    untyped = any(block and "type" not in block for blocks in content for block in blocks)
    return "bedrock" if untyped or "inferenceConfig" in document else "openai_chat"


def _prompt(document: dict[str, Any]) -> RequestInfo:
    config = obj(document.get("textGenerationConfig")) or document
    size = pick(config, "max_tokens", "max_gen_len", "maxTokenCount", "maxTokens", "max_tokens_to_sample")
    return RequestInfo(
        temperature=number(config.get("temperature")),
        top_p=number(pick(config, "top_p", "topP", "p")),
        top_k=integer(pick(config, "top_k", "topK", "k")),
        max_tokens=integer(size),
        stop_sequences=texts(pick(config, "stop", "stop_sequences", "stopSequences")),
        content=PromptRequest(document),
    )


def data_request(path: str, body: bytes) -> RequestInfo:
    """Read a request for what is no text: embeddings, images, the order of documents."""
    document = obj(parse(body))
    config = obj(document.get("embeddingConfig"))
    size = pick(document, "dimensions", "output_dimension") or config.get("outputEmbeddingLength")
    return RequestInfo(
        model=bedrock.model_of(path),
        dimension_count=integer(size),
        encoding_formats=texts(pick(document, "embeddingTypes", "embedding_types")),
    )


def data_info(body: bytes) -> ResponseInfo:
    """Read what stands beside the data. Only Titan counts tokens there."""
    document = outline(body, "inputTextTokenCount")
    counts = usage({"input_tokens": document.get("inputTextTokenCount")})
    return ResponseInfo(usage=counts, error=bedrock.error_of(document))


def response_info(body: bytes) -> ResponseInfo:
    """Read the body of an answer: one JSON document, or frames as far as they came."""
    if is_json(body):
        return _answer(body, [parse(body)])
    came = list(frames(body))
    chunks = [chunk for chunk in (frame.chunk for frame in came) if chunk]
    ends = [obj(parse(chunks[index])) for index in (0, -1) if chunks]
    info = _answer(b"".join(map(_event, chunks)), ends)
    counted = bedrock.read_usage(obj(ends[-1].get(_METRICS))) if ends else {}
    error = next((frame.error for frame in came if frame.error), info.error)
    return replace(info, usage={**counted, **info.usage}, error=error)


def is_last(frame: Frame) -> bool:
    """Whether this frame ends a stream, of models' own chunks or of ConverseStream."""
    chunk = obj(parse(frame.chunk))
    ends = _METRICS in chunk or chunk.get("type") == "message_stop"
    return ends or frame.error is not None or frame.event == "metadata"


def _event(chunk: bytes) -> bytes:
    """A chunk as an event of the stream that its maker would have sent. Anthropic's have names."""
    named = _TYPE.match(chunk)
    name = b"event: %b\n" % named[1] if named else b""
    return name + b"data: %b\n\n" % b" ".join(chunk.splitlines())


def _answer(body: bytes, ends: list[Any]) -> ResponseInfo:
    """Read an answer that is out of its frames, and whose first and last piece are known."""
    protocol = _protocol_spoken([obj(end) for end in ends])
    if protocol is None:
        return _completed(body)
    if protocol == "bedrock" and not is_json(body):
        return bedrock.read(fold(_nova_events(body, _TELLING_NOVA)), partial(_nova_messages, body))
    info: ResponseInfo = _module(protocol).response_info(body)
    return info


def _protocol_spoken(ends: list[dict[str, Any]]) -> str | None:
    """The module that reads such an answer, or None where a prompt was completed."""
    names = {name for end in ends for name in end}
    kinds = [text(end.get("type")) or "" for end in ends]
    if "choices" in names:
        return "openai_chat"
    if any(kind == "message" or kind.startswith("message_") for kind in kinds):
        return "anthropic"
    if names & _COHERE or any(isinstance(end.get("message"), dict) for end in ends):
        return "cohere"
    if any(kind.startswith("message-") for kind in kinds):
        return "cohere"
    return "bedrock" if names & _NOVA else None


def _module(protocol: str) -> Any:
    return import_module(f"{__package__}.{protocol}")


def _nova_events(
    body: bytes, telling: re.Pattern[bytes] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    for piece in pieces(body, telling):
        for name, event in piece.items():
            yield name, obj(event)


def _nova_messages(body: bytes) -> list[Message]:
    return bedrock.output_messages(fold(_nova_events(body)))


def _completed(body: bytes) -> ResponseInfo:
    """Read what a prompt was completed with; each piece of a stream has some more of the text."""
    whole: dict[str, Any] = {}
    grown: dict[int, _Completion] = {}
    for piece in pieces(body):
        whole.update((name, value) for name, value in piece.items() if value is not None)
        several = next((objects(piece[name]) for name in _LISTS if name in piece), [piece])
        for position, told in enumerate(several):
            index = integer(told.get("index"))
            if _SAYING.intersection(told):
                grown.setdefault(position if index is None else index, _Completion()).add(told)
    completions = [grown[index] for index in sorted(grown)]
    written = pick(whole, "generation_token_count", "totalOutputTextTokenCount")
    return ResponseInfo(
        id=text(whole.get("id")),
        finish_reasons=tuple(one.reason for one in completions),
        usage=usage(
            {
                "input_tokens": pick(whole, "prompt_token_count", "inputTextTokenCount"),
                "output_tokens": total(*(one.tokens for one in completions)) if written is None else written,
            }
        ),
        error=bedrock.error_of(whole),
        messages=lambda: [one.message() for one in completions],
    )


class _Completion:
    """One completion of a prompt while it grows."""

    __slots__ = ("pieces", "reason", "tokens")

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.reason = "error"
        self.tokens: Any = None

    def add(self, told: dict[str, Any]) -> None:
        self.pieces.append(pick(told, *_TEXTS) or obj(told.get("data")).get("text"))
        self.tokens = pick(told, "tokenCount") or self.tokens
        reason = text(pick(told, *_REASONS) or obj(told.get("finishReason")).get("reason"))
        if reason:
            self.reason = _FINISH_REASONS.get(reason.lower(), reason.lower())

    def message(self) -> Message:
        made = parts.message("assistant", parts.said(merged_text(self.pieces)))
        return {**made, "finish_reason": self.reason}
