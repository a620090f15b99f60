"""Ollama's own chat, generate and embeddings. A stream is an object on each line, and what is sent unless it
is refused. Source: the types of the ollama SDK.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

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
    error_code,
    integer,
    merged_text,
    number,
    obj,
    objects,
    outline,
    parse,
    pieces,
    text,
    texts,
    usage,
)

_TELLING_LINE = re.compile(rb'"(?:done"\s*:\s*true|tool_calls"\s*:|error"\s*:)')


class OllamaRequest(RequestContent):
    """A request for a chat, or for the completion of a prompt."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """The chat history, system messages included; or the prompt, as one message of the user."""
        asked = self.document
        if "messages" not in asked:
            made = _parts({"content": asked.get("prompt"), "images": asked.get("images")})
            return [parts.message("user", made)] if made else []
        return [
            parts.message(message.get("role"), _parts(message), message.get("tool_name"))
            for message in objects(asked["messages"])
        ]

    def system_instructions(self) -> list[Part]:
        """What stands beside a prompt; a chat has system messages."""
        return parts.said(self.document.get("system"))

    def tool_definitions(self) -> list[ToolDefinition]:
        """The tools offered."""
        functions = [obj(tool.get("function")) for tool in objects(self.document.get("tools"))]
        return [
            parts.tool(one.get("name"), one.get("description"), one.get("parameters")) for one in functions
        ]


def request_info(path: str, body: bytes) -> RequestInfo:  # noqa: ARG001 - one signature for all shapes
    """Read a request for a chat or for the completion of a prompt."""
    document = obj(parse(body))
    options = obj(document.get("options"))
    return RequestInfo(
        model=text(document.get("model")),
        stream=bool(document) and document.get("stream") is not False,
        temperature=number(options.get("temperature")),
        top_p=number(options.get("top_p")),
        top_k=integer(options.get("top_k")),
        max_tokens=integer(options.get("num_predict")),
        frequency_penalty=number(options.get("frequency_penalty")),
        presence_penalty=number(options.get("presence_penalty")),
        seed=integer(options.get("seed")),
        stop_sequences=texts(options.get("stop")),
        output_type="json" if document.get("format") else None,
        reasoning_level=text(document.get("think")),
        content=OllamaRequest(document),
    )


def embeddings_request(path: str, body: bytes) -> RequestInfo:  # noqa: ARG001
    """Read a request for embeddings."""
    document = obj(parse(body))
    return RequestInfo(model=text(document.get("model")), dimension_count=integer(document.get("dimensions")))


def response_info(body: bytes) -> ResponseInfo:
    """Read an answer to a chat or to a prompt: one JSON document, or a stream as far as it came."""
    document = _fold(pieces(body, _TELLING_LINE))
    return ResponseInfo(
        model=text(document.get("model")),
        finish_reasons=tuple(message["finish_reason"] for message in _output_messages(document)),
        usage=_usage(document),
        error=error_code(document),
        messages=partial(_whole_messages, body),
    )


def embeddings_response(body: bytes) -> ResponseInfo:
    """Read what stands beside the embeddings."""
    document = outline(body, "model", "prompt_eval_count")
    return ResponseInfo(model=text(document.get("model")), usage=_usage(document), error=error_code(document))


def _usage(document: dict[str, Any]) -> dict[str, int]:
    return usage(
        {"input_tokens": document.get("prompt_eval_count"), "output_tokens": document.get("eval_count")}
    )


def _whole_messages(body: bytes) -> list[Message]:
    return _output_messages(_fold(pieces(body)))


def _fold(answers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put the lines of a stream together: each is a whole answer with a piece of the message."""
    whole: dict[str, Any] = {}
    grown: dict[str, list[Any]] = {"content": [], "thinking": [], "images": []}
    calls: list[dict[str, Any]] = []
    for answer in answers:
        whole.update(answer)
        message = obj(answer.get("message"))
        grown["content"] += [answer.get("response"), message.get("content")]
        grown["thinking"] += [answer.get("thinking"), message.get("thinking")]
        grown["images"] += [answer.get("image")]
        calls += objects(message.get("tool_calls"))
    if "done" in whole:
        whole["message"] = {
            "content": merged_text(grown["content"]),
            "thinking": merged_text(grown["thinking"]),
            "images": grown["images"],
            "tool_calls": calls,
        }
    return whole


def _output_messages(document: dict[str, Any]) -> list[Message]:
    if "done" not in document:
        return []
    made = parts.message("assistant", _parts(document["message"]))
    return [{**made, "finish_reason": _finish_reason(document)}]


def _finish_reason(document: dict[str, Any]) -> str:
    """Ollama says "stop" also of a call for tools; its OpenAI-like paths tell the two apart as we do."""
    if document["done"] is not True:
        return "error"
    reason = text(document.get("done_reason")) or "stop"
    return "tool_call" if reason == "stop" and document["message"]["tool_calls"] else reason


def _parts(message: dict[str, Any]) -> list[Part]:
    if message.get("role") == "tool":
        return [parts.answered(message.get("tool_call_id"), message.get("content"))]
    made = parts.thought(message.get("thinking")) + parts.said(message.get("content"))
    images = message.get("images")
    for image in images if isinstance(images, list) else ():
        made += parts.blob(None, image, "image")
    for call in objects(message.get("tool_calls")):
        function = obj(call.get("function"))
        made.append(parts.called(call.get("id"), function.get("name"), function.get("arguments")))
    return made
