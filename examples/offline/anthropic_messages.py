"""Anthropic messages, token counts and models."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from offline.brain import Answer, Message, Tool, Turn


def parse(_path: str, body: Mapping[str, Any]) -> Turn:
    offered = () if (body.get("tool_choice") or {}).get("type") == "none" else body.get("tools", ())
    messages = [Message("system", _text(body["system"]))] if body.get("system") else []
    for message in body["messages"]:
        messages += _messages(message["role"], message["content"])
    return Turn(
        model=body["model"],
        messages=tuple(messages),
        tools=tuple(Tool(tool["name"], tool["input_schema"]) for tool in offered if "input_schema" in tool),
        stream=bool(body.get("stream")),
    )


def whole(turn: Turn, answer: Answer) -> dict[str, Any]:
    content: list[dict[str, Any]] = [
        {"type": "tool_use", "id": f"toolu_{call.key}", "name": call.name, "input": dict(call.arguments)}
        for call in answer.calls
    ] or [{"type": "text", "text": answer.text}]
    return _envelope(turn, answer, answer.output_tokens) | {
        "content": content,
        "stop_reason": "tool_use" if answer.calls else "end_turn",
    }


def frames(turn: Turn, answer: Answer) -> Iterator[str]:
    """Server-sent events, each with its blank line."""
    for event in _events(turn, answer):
        data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        yield f"event: {event['type']}\ndata: {data}\n\n"


def _events(turn: Turn, answer: Answer) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": _envelope(turn, answer, 1)}
    yield {"type": "ping"}
    blocks: list[tuple[dict[str, Any], str, str, list[str]]] = [
        (
            {"type": "tool_use", "id": f"toolu_{call.key}", "name": call.name, "input": {}},
            "input_json_delta",
            "partial_json",
            ["", *call.pieces],
        )
        for call in answer.calls
    ] or [({"type": "text", "text": ""}, "text_delta", "text", answer.pieces)]
    for index, (block, kind, field, pieces) in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for piece in pieces:
            yield {"type": "content_block_delta", "index": index, "delta": {"type": kind, field: piece}}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use" if answer.calls else "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": answer.output_tokens},
    }
    yield {"type": "message_stop"}


def failure(status: int, message: str) -> dict[str, Any]:
    kind = {
        400: "invalid_request_error",
        401: "authentication_error",
        404: "not_found_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }.get(status, "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": f"req_{secrets.token_hex(12)}",
    }


def headers(_elapsed_ms: int) -> list[tuple[str, str]]:
    return [
        ("request-id", f"req_{secrets.token_hex(12)}"),
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", "3999"),
        ("anthropic-ratelimit-tokens-limit", "400000"),
        ("anthropic-ratelimit-tokens-remaining", str(400_000 - secrets.randbelow(1000))),
        ("set-cookie", f"_cfuvid={secrets.token_urlsafe(24)}; path=/; HttpOnly"),
        ("cf-ray", f"{secrets.token_hex(8)}-CDG"),
    ]


def count_tokens(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"input_tokens": parse("", body).input_tokens}


def models() -> dict[str, Any]:
    model = {
        "type": "model",
        "id": "claude-sonnet-5-5",
        "display_name": "Claude Sonnet 5.5",
        "created_at": "2026-09-29T00:00:00Z",
        "lifecycle": "active",
    }
    return {"data": [model], "has_more": False, "first_id": model["id"], "last_id": model["id"]}


def _envelope(turn: Turn, answer: Answer, output_tokens: int) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.key}",
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    }


def _messages(role: str, content: Any) -> Iterator[Message]:
    """A user's message may carry tool results beside its text: those are messages of their own here."""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        if block["type"] == "tool_result":
            yield Message("tool", _text(block.get("content", "")))
    called = tuple(block["name"] for block in blocks if block["type"] == "tool_use")
    text = _text(blocks)
    if text or called:
        yield Message(role, text, called)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(block["text"] for block in content if block.get("type") == "text")
