"""Cohere's chat (versions 1 and 2), generate and embed, and rerank, as others have taken it over from it.

Its answers name no model. One of version 2 has a ``message``, one of version 1 a ``text``, and one of the
older generate has ``generations``: how to read a body, the body says. Source: the types of the cohere SDK.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from rewind_auto.providers import parts
from rewind_auto.providers.cohere_stream import fold
from rewind_auto.providers.info import (
    Message,
    Part,
    RequestContent,
    RequestInfo,
    ResponseInfo,
    ToolDefinition,
)
from rewind_auto.providers.reading import (
    clean,
    error_code,
    integer,
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

_FINISH_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",  # the model's context is full
    "TOOL_CALL": "tool_call",
    "ERROR_TOXIC": "content_filter",
    "ERROR": "error",
    "TIMEOUT": "error",
    "USER_CANCEL": "error",
}
_TELLING_EVENT = re.compile(
    rb'"(?:stream-end|stream-error|tool-calls-generation|message-start|message-end|tool-call-start)"'
)


class CohereRequest(RequestContent):
    """A request for a chat, or for generations of a prompt."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """The chat history with what goes on from it. Documents are part of the user's last message."""
        asked = self.document
        if "messages" in asked:
            made = [parts.message(one.get("role"), _parts(one)) for one in objects(asked["messages"])]
        else:
            made = [parts.message(_role(one), _old_parts(one)) for one in objects(asked.get("chat_history"))]
            given = {"message": pick(asked, "message", "prompt")}
            results = {"tool_results": asked.get("tool_results")}
            made += [
                parts.message(role, new)
                for role, new in (("user", _old_parts(given)), ("tool", _old_parts(results)))
                if new
            ]
        documents = asked.get("documents")
        if isinstance(documents, list) and documents:
            user = next((one for one in reversed(made) if one["role"] == "user"), None)
            if user is None:
                made.append(user := parts.message("user", []))
            for document in documents:
                user["parts"] += parts.other({"type": "document", "document": document})
        return made

    def system_instructions(self) -> list[Part]:
        """The ``preamble`` of version 1. In version 2 system messages are among the others."""
        return parts.said(self.document.get("preamble"))

    def tool_definitions(self) -> list[ToolDefinition]:
        """The tools offered, and the connectors of version 1, which Cohere runs by itself."""
        made: list[ToolDefinition] = []
        for tool in objects(self.document.get("tools")):
            told = obj(tool.get("function")) or tool
            parameters = pick(told, "parameters", "parameter_definitions")
            made.append(parts.tool(told.get("name"), told.get("description"), parameters))
        for connector in objects(self.document.get("connectors")):
            made += parts.builtin_tool("connector", connector.get("id"))
        return made


def request_info(path: str, body: bytes) -> RequestInfo:  # noqa: ARG001 - one signature for all shapes
    """Read a request for a chat or for generations."""
    document = obj(parse(body))
    format_ = text(obj(document.get("response_format")).get("type"))
    return RequestInfo(
        model=text(document.get("model")),
        stream=document.get("stream") is True,
        temperature=number(document.get("temperature")),
        top_p=number(document.get("p")),
        top_k=integer(document.get("k")),
        max_tokens=integer(document.get("max_tokens")),
        frequency_penalty=number(document.get("frequency_penalty")),
        presence_penalty=number(document.get("presence_penalty")),
        choice_count=integer(document.get("num_generations")),
        seed=integer(document.get("seed")),
        stop_sequences=texts(pick(document, "stop_sequences", "end_sequences")),
        output_type="json" if format_ == "json_object" else format_,
        conversation_id=text(document.get("conversation_id")),
        content=CohereRequest(document),
    )


def embeddings_request(path: str, body: bytes) -> RequestInfo:  # noqa: ARG001
    """Read a request for embeddings."""
    document = obj(parse(body))
    return RequestInfo(
        model=text(document.get("model")),
        dimension_count=integer(document.get("output_dimension")),
        encoding_formats=texts(document.get("embedding_types")),
    )


def rerank_request(path: str, body: bytes) -> RequestInfo:  # noqa: ARG001
    """Read a request to put documents in the order of their relevance."""
    return RequestInfo(model=text(obj(parse(body)).get("model")))


def response_info(body: bytes) -> ResponseInfo:
    """Read an answer to a chat or to a prompt: one JSON document, or a stream as far as it came."""
    document = fold(pieces(body, _TELLING_EVENT))
    return ResponseInfo(
        id=text(pick(document, "id", "response_id", "generation_id")),
        finish_reasons=tuple(message["finish_reason"] for message in _output_messages(document)),
        usage=_usage(document),
        error=error_code(document),
        messages=partial(_whole_messages, body),
    )


def figures(body: bytes) -> ResponseInfo:
    """Read what embeddings, or relevance scores, are told beside."""
    document = outline(body, "model", "meta", "usage")
    return ResponseInfo(model=text(document.get("model")), usage=_usage(document), error=error_code(document))


def _usage(document: dict[str, Any]) -> dict[str, int]:
    """The tokens that went through the model.

    ``tokens`` are these, and what the conventions ask for. ``billed_units`` leave out what Cohere itself puts
    around a prompt; they are all there is of embeddings.
    """
    counts = obj(document.get("usage")) or obj(document.get("meta"))
    billed = obj(counts.get("billed_units"))
    told = {**counts, **billed, **obj(counts.get("tokens"))}
    read = pick(told, "input_tokens", "prompt_tokens", "total_tokens")  # the others are of other rerankers
    return usage(
        {
            "input_tokens": total(told.get("image_tokens"), told.get("text_tokens"))
            if read is None
            else read,
            "output_tokens": told.get("output_tokens"),
            "cache_read_input_tokens": told.get("cached_tokens"),
        }
    )


def _whole_messages(body: bytes) -> list[Message]:
    return _output_messages(fold(pieces(body)))


def _output_messages(document: dict[str, Any]) -> list[Message]:
    """One message for a chat; one for each generation."""
    if isinstance(document.get("message"), dict):
        told = [(document, _parts(document["message"]))]
    elif document.get("generations"):
        told = [(one, parts.said(one.get("text"))) for one in objects(document["generations"])]
    elif "text" in document:
        told = [(document, _old_parts({**document, "message": document["text"]}))]
    else:
        return []
    return [
        {
            **parts.message("assistant", made),
            "finish_reason": _finish_reason(
                pick(one, "finish_reason") or document.get("finish_reason"), made
            ),
        }
        for one, made in told
    ]


def _finish_reason(given: Any, made: list[Part]) -> str:
    """Version 1 says of a call for tools, as of any answer, that it is complete; generate may say nothing."""
    reason = _FINISH_REASONS.get(text(given) or "COMPLETE", clean(str(given)).lower())
    called = reason == "stop" and any(part["type"] == "tool_call" for part in made)
    return "tool_call" if called else reason


def _parts(message: dict[str, Any]) -> list[Part]:
    """The parts of a message of version 2."""
    if message.get("role") == "tool":
        return [parts.answered(message.get("tool_call_id"), message.get("content"))]
    made = parts.thought(message.get("tool_plan"))
    for block in parts.content_list(message.get("content")):
        kind = block.get("type")
        if kind == "text":
            made += parts.said(block.get("text"))
        elif kind == "thinking":
            made += parts.thought(block.get("thinking"))
        elif kind == "image_url":
            made += parts.linked(obj(block.get("image_url")).get("url"), modality="image")
        else:
            made += parts.other(block)
    for call in objects(message.get("tool_calls")):
        function = obj(call.get("function"))
        made.append(parts.called(call.get("id"), function.get("name"), function.get("arguments")))
    return made


def _old_parts(message: dict[str, Any]) -> list[Part]:
    """The parts of a message of version 1, whose calls have no ids."""
    made = parts.said(message.get("message"))
    for call in objects(message.get("tool_calls")):
        made.append(parts.called(None, call.get("name"), call.get("parameters")))
    for result in objects(message.get("tool_results")):
        made.append(parts.answered(None, result.get("outputs")))
    return made


def _role(message: dict[str, Any]) -> str:
    role = (text(message.get("role")) or "user").lower()
    return "assistant" if role == "chatbot" else role
