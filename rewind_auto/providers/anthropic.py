"""Anthropic Messages, also as Vertex AI, Bedrock and AI Foundry carry them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

from rewind_auto.core import sse
from rewind_auto.providers import parts
from rewind_auto.providers.info import (
    Message,
    Part,
    RequestContent,
    RequestInfo,
    ResponseInfo,
    ToolDefinition,
)
from rewind_auto.providers.reading import (
    arguments,
    documents,
    error_code,
    integer,
    is_json,
    merged_text,
    number,
    obj,
    objects,
    parse,
    pick,
    text,
    texts,
    total,
    usage,
)

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}
_MODEL_IN_PATH = re.compile(r"/models/([^/]+):(?:stream)?[rR]awPredict$")  # Vertex AI
_GROWING = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
    "compaction_delta": "content",
}


class MessagesRequest(RequestContent):
    """A request for a message."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """The chat history."""
        return [
            parts.message(message.get("role"), _content_parts(message.get("content")))
            for message in objects(self.document.get("messages"))
        ]

    def system_instructions(self) -> list[Part]:
        """What stands in ``system``."""
        return _content_parts(self.document.get("system"))

    def tool_definitions(self) -> list[ToolDefinition]:
        """The tools offered."""
        made: list[ToolDefinition] = []
        for tool in objects(self.document.get("tools")):
            if "input_schema" in tool or tool.get("type") in (None, "custom"):
                made.append(parts.tool(tool.get("name"), tool.get("description"), tool.get("input_schema")))
            else:
                made += parts.builtin_tool(tool.get("type"), tool.get("name"))
        return made


def request_info(path: str, body: bytes) -> RequestInfo:
    """Read the body of a request. Where the body names no model, the path does."""
    document = obj(parse(body))
    path = path.partition("?")[0]
    named = _MODEL_IN_PATH.search(path)
    config = obj(document.get("output_config"))
    return RequestInfo(
        model=text(document.get("model")) or (unquote(named[1]) if named else None),
        stream=document.get("stream") is True or path.endswith(":streamRawPredict"),
        temperature=number(document.get("temperature")),
        top_p=number(document.get("top_p")),
        top_k=integer(document.get("top_k")),
        max_tokens=integer(document.get("max_tokens")),
        stop_sequences=texts(document.get("stop_sequences")),
        output_type="json" if pick(config, "format") or document.get("output_format") else None,
        reasoning_level=text(config.get("effort")),
        compacted=any(
            block.get("type") == "compaction"
            for message in objects(document.get("messages"))
            for block in objects(message.get("content"))
        ),
        content=MessagesRequest(document),
    )


def response_info(body: bytes) -> ResponseInfo:
    """Read the body of an answer: one JSON document, or a stream as far as it came."""
    document = _document(body, content=False)
    return ResponseInfo(
        model=text(document.get("model")),
        id=text(document.get("id")),
        finish_reasons=(_finish_reason(document),) if document.get("role") else (),
        usage=_usage(obj(document.get("usage"))),
        error=error_code(document),
        messages=partial(_output_messages, body),
    )


def _output_messages(body: bytes) -> list[Message]:
    document = _document(body)
    if "content" not in document:
        return []
    made = parts.message("assistant", _content_parts(document["content"]))
    return [{**made, "finish_reason": _finish_reason(document)}]


def _usage(counts: dict[str, Any]) -> dict[str, int]:
    read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
    return usage(
        {
            # Anthropic counts what went through the cache apart.
            "input_tokens": total(counts.get("input_tokens"), read, written),
            "output_tokens": counts.get("output_tokens"),
            "cache_read_input_tokens": read,
            "cache_write_input_tokens": written,
            "reasoning_output_tokens": obj(counts.get("output_tokens_details")).get("thinking_tokens"),
        }
    )


def _document(body: bytes, *, content: bool = True) -> dict[str, Any]:
    """The message, from all events of a stream or from those that are not about its content."""
    if is_json(body):
        return next(iter(documents(body)), {})
    return _fold(_events(body, content=content))


def _events(body: bytes, *, content: bool) -> Iterator[dict[str, Any]]:
    for name, data in sse.events(body):
        if name == b"ping" or (not content and name.startswith(b"content_block_")):
            continue
        event = parse(data)
        if isinstance(event, dict):
            yield event


def _fold(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put the events together into the message of an answer in one piece."""
    whole: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    grown: dict[int, dict[str, list[Any]]] = {}
    for event in events:
        kind = event.get("type")
        index = integer(event.get("index")) or 0
        if kind == "content_block_delta":
            delta = obj(event.get("delta"))
            name = _GROWING.get(str(delta.get("type")))
            if name:
                grown.setdefault(index, {}).setdefault(name, []).append(delta.get(name))
        elif kind == "content_block_start":
            blocks[index] = obj(event.get("content_block"))
        elif kind == "message_start":
            whole.update(obj(event.get("message")))
            counts.update(obj(whole.get("usage")))
        elif kind == "message_delta":
            whole.update(obj(event.get("delta")))
            # A running total: a count that it leaves out or null still stands.
            told = obj(event.get("usage"))
            counts.update((name, count) for name, count in told.items() if count is not None)
        elif kind == "error":
            whole["error"] = event.get("error") or "error"
    if whole or blocks:
        whole["content"] = [_whole_block(blocks[index], grown.get(index, {})) for index in sorted(blocks)]
        whole["usage"] = counts
    return whole


def _whole_block(block: dict[str, Any], grown: dict[str, list[Any]]) -> dict[str, Any]:
    whole = dict(block)
    for name, pieces in grown.items():
        if name == "partial_json":
            # A call is announced with an empty input. If it gets one, that comes as JSON in pieces.
            whole["input"] = merged_text(pieces) or block.get("input")
        else:
            whole[name] = merged_text([block.get(name), *pieces])
    return whole


def _finish_reason(document: dict[str, Any]) -> str:
    reason = text(document.get("stop_reason"))
    return "error" if reason is None else _FINISH_REASONS.get(reason, reason)


def _content_parts(content: Any) -> list[Part]:
    return [part for block in parts.content_list(content) for part in _block_parts(block)]


def _block_parts(block: dict[str, Any]) -> list[Part]:
    kind = text(block.get("type")) or ""
    if kind == "text":
        return parts.said(block.get("text"))
    if kind == "thinking":
        return parts.thought(block.get("thinking"))
    if kind == "tool_use":
        return [parts.called(block.get("id"), block.get("name"), block.get("input"))]
    if kind == "tool_result":
        made = parts.answered(block.get("tool_use_id"), block.get("content"))
        return [{**made, "is_error": True} if block.get("is_error") is True else made]
    if kind in ("server_tool_use", "mcp_tool_use"):
        details = {"input": arguments(block.get("input"))}
        return [parts.ran(block.get("id"), text(block.get("name")) or kind, details)]
    if kind.endswith("_tool_result"):
        name = kind.removesuffix("_tool_result")
        return [parts.returned(block.get("tool_use_id"), name, {"content": block.get("content")})]
    if kind in ("image", "document"):
        return _source_parts(obj(block.get("source")), kind)
    if kind == "compaction":
        return [{"type": "compaction", "content": text(block.get("content"))}]
    return parts.other(block)


def _source_parts(source: dict[str, Any], modality: str) -> list[Part]:
    kind = source.get("type")
    if kind == "base64":
        return parts.blob(source.get("media_type"), source.get("data"))
    if kind == "url":
        return parts.linked(source.get("url"), modality=modality)
    if kind == "file":
        return parts.stored(source.get("file_id"), modality)
    if kind == "text":
        return parts.said(source.get("data"))
    return _content_parts(source.get("content")) if kind == "content" else []
