"""OpenAI responses: the item-based shape with typed, numbered events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from offline.brain import Answer, Call, Message, Tool, Turn
from offline.openai_chat import failure, headers, text_of

__all__ = ["failure", "frames", "headers", "parse", "whole"]

_ROLES = {"developer": "system"}


def parse(_path: str, body: Mapping[str, Any]) -> Turn:
    given = body.get("input", "")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    messages = [_message(item) for item in items]
    if body.get("instructions"):
        messages.insert(0, Message("system", body["instructions"]))
    offered = () if body.get("tool_choice") == "none" else body.get("tools", ())
    return Turn(
        model=body["model"],
        messages=tuple(messages),
        tools=tuple(
            Tool(tool["name"], tool.get("parameters") or {}) for tool in offered if tool["type"] == "function"
        ),
        stream=bool(body.get("stream")),
    )


def whole(turn: Turn, answer: Answer) -> dict[str, Any]:
    output = [_call(call, call.json) for call in answer.calls] or [_said(answer, [_part(answer.text)])]
    return _response(turn, answer, "completed", output)


def frames(turn: Turn, answer: Answer) -> Iterator[str]:
    """Server-sent events, each with its blank line."""
    for number, event in enumerate(_events(turn, answer)):
        event["sequence_number"] = number
        data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        yield f"event: {event['type']}\ndata: {data}\n\n"


def _events(turn: Turn, answer: Answer) -> Iterator[dict[str, Any]]:
    begun = _response(turn, answer, "in_progress", [])
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, call in enumerate(answer.calls):
        at = {"item_id": f"fc_{call.key}", "output_index": index}
        yield {"type": "response.output_item.added", "output_index": index, "item": _call(call, "")}
        for piece in call.pieces:
            yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
        done = {"arguments": call.json, "name": call.name}
        yield {"type": "response.function_call_arguments.done", **at, **done}
        item = _call(call, call.json)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    if not answer.calls:
        at = {"item_id": f"msg_{answer.key}", "output_index": 0, "content_index": 0}
        yield {"type": "response.output_item.added", "output_index": 0, "item": _said(answer, [])}
        yield {"type": "response.content_part.added", **at, "part": _part("")}
        for piece in answer.pieces:
            yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
        yield {"type": "response.output_text.done", **at, "text": answer.text, "logprobs": []}
        yield {"type": "response.content_part.done", **at, "part": _part(answer.text)}
        item = _said(answer, [_part(answer.text)])
        yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": whole(turn, answer)}


def _message(item: Mapping[str, Any]) -> Message:
    match item.get("type", "message"):
        case "function_call":
            return Message("assistant", "", (item["name"],))
        case "function_call_output":
            return Message("tool", text_of(item["output"]))
        case "message":
            return Message(_ROLES.get(item["role"], item["role"]), text_of(item["content"]))
        case _:
            return Message("assistant", "")


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _said(answer: Answer, content: list[dict[str, Any]]) -> dict[str, Any]:
    status = "completed" if content else "in_progress"
    return {
        "id": f"msg_{answer.key}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _call(call: Call, arguments: str) -> dict[str, Any]:
    return {
        "id": f"fc_{call.key}",
        "type": "function_call",
        "call_id": f"call_{call.key}",
        "name": call.name,
        "arguments": arguments,
        "status": "completed" if arguments else "in_progress",
    }


def _response(turn: Turn, answer: Answer, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    usage = {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
    tools = [{"type": "function", "name": t.name, "parameters": t.schema, "strict": True} for t in turn.tools]
    return {
        "id": f"resp_{answer.key}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": turn.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": tools,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if status == "completed" else None,
        "user": None,
    }
