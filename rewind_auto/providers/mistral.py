"""Mistral's conversations, which keep their history and run tools by themselves. Its chats are OpenAI's.

Source: `ConversationRequest`, `ConversationResponse` and `ConversationEvents` of the mistralai SDK.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import unquote

from rewind_auto.providers import parts
from rewind_auto.providers.chat_stream import run_together
from rewind_auto.providers.info import (
    Message,
    Part,
    RequestContent,
    RequestInfo,
    ResponseInfo,
    ToolDefinition,
)
from rewind_auto.providers.openai_chat import content_parts, tool_definition
from rewind_auto.providers.reading import (
    clean,
    error_code,
    integer,
    number,
    obj,
    objects,
    parse,
    pick,
    pieces,
    text,
    texts,
    total,
    usage,
)

_CONVERSATION = re.compile(r"/conversations/([^/]+)")


class ConversationRequest(RequestContent):
    """A request to start a conversation, or to go on with one."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """What is new in the conversation: its history stays at Mistral's."""
        given = self.document.get("inputs")
        if isinstance(given, str):
            return [parts.message("user", parts.said(given))]
        return [parts.message(_role(entry), _parts(entry)) for entry in objects(given)]

    def system_instructions(self) -> list[Part]:
        """What stands in ``instructions``."""
        return parts.said(self.document.get("instructions"))

    def tool_definitions(self) -> list[ToolDefinition]:
        """The tools offered."""
        return [made for tool in objects(self.document.get("tools")) for made in tool_definition(tool)]


def request_info(path: str, body: bytes) -> RequestInfo:
    """Read the body of a request. An agent stands for its model; the path names the conversation."""
    document = obj(parse(body))
    options = obj(document.get("completion_args"))
    format_ = text(obj(options.get("response_format")).get("type"))
    conversation = _CONVERSATION.search(path.partition("?")[0])
    return RequestInfo(
        model=text(pick(document, "model", "agent_id")),
        stream=document.get("stream") is True,
        temperature=number(options.get("temperature")),
        top_p=number(options.get("top_p")),
        max_tokens=integer(options.get("max_tokens")),
        frequency_penalty=number(options.get("frequency_penalty")),
        presence_penalty=number(options.get("presence_penalty")),
        seed=integer(options.get("random_seed")),
        stop_sequences=texts(options.get("stop")),
        output_type="json" if format_ in ("json_object", "json_schema") else format_,
        reasoning_level=text(options.get("reasoning_effort")),
        conversation_id=clean(unquote(conversation[1])) if conversation else None,
        content=ConversationRequest(document),
    )


def response_info(body: bytes) -> ResponseInfo:
    """Read the body of an answer: one JSON document, or a stream as far as it came."""
    document = _fold(pieces(body))
    outputs = objects(document.get("outputs"))
    last: dict[str, Any] = next((entry for entry in reversed(outputs) if text(entry.get("model"))), {})
    counts = obj(document.get("usage"))
    return ResponseInfo(
        model=text(last.get("model")),
        id=text(last.get("id")),
        finish_reasons=(_finish_reason(document),) if "outputs" in document else (),
        usage=usage(
            {
                # What its own tools found went through the model, and is counted apart.
                "input_tokens": total(counts.get("prompt_tokens"), counts.get("connector_tokens")),
                "output_tokens": counts.get("completion_tokens"),
            }
        ),
        error=error_code(document),
        conversation_id=text(document.get("conversation_id")),
        messages=partial(_output_messages, document),
    )


def _output_messages(document: dict[str, Any]) -> list[Message]:
    """One message: what came out belongs to one answer, though several agents may have had a hand in it."""
    if "outputs" not in document:
        return []
    made = parts.message(
        "assistant", [part for entry in objects(document["outputs"]) for part in _parts(entry)]
    )
    return [{**made, "finish_reason": _finish_reason(document)}]


def _fold(answers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put the events of a stream together. An answer in one piece is left as it is."""
    whole: dict[str, Any] = {}
    entries: dict[str, dict[str, Any]] = {}
    grown: dict[str, dict[str, list[Any]]] = {}
    for event in answers:
        kind = text(event.get("type")) or ""
        if not kind:
            return event
        if kind == "conversation.response.error":
            whole["error"] = {"code": event.get("code")}
        elif kind.startswith("conversation.response."):
            whole.update(event)
        else:
            place = text(event.get("id")) or ""
            entries.setdefault(place, {}).update(event, type=kind.rpartition(".")[0])
            for name in ("content", "arguments"):
                if event.get(name):
                    grown.setdefault(place, {}).setdefault(name, []).append(event[name])
    if not (whole or entries):
        return {}
    whole["outputs"] = [
        {**entry, **{name: run_together(added) for name, added in grown.get(place, {}).items()}}
        for place, entry in entries.items()
    ]
    return whole


def _finish_reason(document: dict[str, Any]) -> str:
    if document.get("error") or "usage" not in document:
        return "error"
    called = any(entry.get("type") == "function.call" for entry in objects(document["outputs"]))
    return "tool_call" if called else "stop"


def _role(entry: dict[str, Any]) -> str:
    default = "tool" if entry.get("type") == "function.result" else "assistant"
    return text(entry.get("role")) or default


def _parts(entry: dict[str, Any]) -> list[Part]:
    kind = text(entry.get("type")) or "message.input"
    if kind.startswith("message."):
        return content_parts(entry.get("content"))
    if kind == "function.call":
        return [parts.called(entry.get("tool_call_id"), entry.get("name"), entry.get("arguments"))]
    if kind == "function.result":
        return [parts.answered(entry.get("tool_call_id"), entry.get("result"))]
    if kind == "tool.execution":
        details: dict[str, Any] = {name: entry[name] for name in ("arguments", "info") if name in entry}
        return [parts.ran(entry.get("id"), text(entry.get("name")) or "tool", details)]
    return parts.other(entry)
