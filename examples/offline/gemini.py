"""Gemini generateContent, streamGenerateContent and countTokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from offline.brain import Answer, Message, Tool, Turn

# The SDK writes the last one; the service takes either spelling.
_SCHEMA_KEYS = ("parameters", "parametersJsonSchema", "parameters_json_schema")


def parse(path: str, body: Mapping[str, Any]) -> Turn:
    found = re.search(r"/models/([^:/]+)", path)
    messages: list[Message] = []
    if body.get("systemInstruction"):
        messages.append(Message("system", _text(body["systemInstruction"])))
    for content in body["contents"]:
        messages += _messages(content)
    mode = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode")
    offered = () if mode == "NONE" else body.get("tools", ())
    return Turn(
        model=found[1] if found else "",
        messages=tuple(messages),
        tools=tuple(
            Tool(function["name"], next((function[key] for key in _SCHEMA_KEYS if key in function), {}))
            for tool in offered
            for function in tool.get("functionDeclarations", ())
        ),
        stream=":stream" in path,
    )


def whole(turn: Turn, answer: Answer) -> dict[str, Any]:
    parts: list[dict[str, Any]] = _calls(answer) or [{"text": answer.text}]
    return _chunk(turn, answer, parts, answer.output_tokens, last=True)


def frames(turn: Turn, answer: Answer) -> Iterator[str]:
    """Server-sent events, each with its blank line (CRLF, as the real service sends them)."""
    chunks: list[list[dict[str, Any]]] = [_calls(answer)] if answer.calls else []
    chunks += [[{"text": piece}] for piece in answer.pieces]
    for index, parts in enumerate(chunks, 1):
        chunk = _chunk(turn, answer, parts, index, last=index == len(chunks))
        yield f"data: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\n"


def failure(status: int, message: str) -> dict[str, Any]:
    name = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
    }.get(status, "INTERNAL")
    return {"error": {"code": status, "message": message, "status": name}}


def headers(elapsed_ms: int) -> list[tuple[str, str]]:
    return [
        ("vary", "Origin"),
        ("vary", "X-Origin"),
        ("vary", "Referer"),
        ("x-xss-protection", "0"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-content-type-options", "nosniff"),
        ("server-timing", f"gfet4t7; dur={elapsed_ms}"),
    ]


def count_tokens(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"totalTokens": parse(path, body).input_tokens}


def _chunk(
    turn: Turn, answer: Answer, parts: list[dict[str, Any]], tokens: int, *, last: bool
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": answer.input_tokens,
            "candidatesTokenCount": tokens,
            "totalTokenCount": answer.input_tokens + tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input_tokens}],
        },
        "modelVersion": turn.model,
        "responseId": answer.key,
    }


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [{"functionCall": {"name": call.name, "args": dict(call.arguments)}} for call in answer.calls]


def _messages(content: Mapping[str, Any]) -> Iterator[Message]:
    """A user's content may carry function responses beside its text: messages of their own here."""
    parts = content["parts"]
    for part in parts:
        if "functionResponse" in part:
            response = part["functionResponse"]["response"]
            yield Message("tool", str(response.get("result", response.get("output", response))))
    called = tuple(part["functionCall"]["name"] for part in parts if "functionCall" in part)
    text = _text(content)
    if text or called:
        yield Message("assistant" if content.get("role") == "model" else "user", text, called)


def _text(content: Mapping[str, Any]) -> str:
    return " ".join(part["text"] for part in content["parts"] if "text" in part)
