"""OpenAI chat completions, embeddings and models."""

from __future__ import annotations

import base64
import json
import secrets
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

from offline.brain import Answer, Call, Message, Tool, Turn


def parse(_path: str, body: Mapping[str, Any]) -> Turn:
    offered = () if body.get("tool_choice") == "none" else body.get("tools", ())
    return Turn(
        model=body["model"],
        messages=tuple(_message(message) for message in body["messages"]),
        tools=tuple(
            Tool(tool["function"]["name"], tool["function"].get("parameters", {}))
            for tool in offered
            if tool["type"] == "function"
        ),
        stream=bool(body.get("stream")),
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def whole(turn: Turn, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [_call(call, call.json) for call in answer.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
    return {
        **_envelope("chat.completion", turn, answer),
        "choices": [choice],
        "usage": _usage(answer),
        "service_tier": "default",
        "system_fingerprint": "fp_0ff11e",
    }


def frames(turn: Turn, answer: Answer) -> Iterator[str]:
    """Server-sent events, each with its blank line."""
    envelope = _envelope("chat.completion.chunk", turn, answer) | {
        "service_tier": "default",
        "system_fingerprint": "fp_0ff11e",
    }
    if turn.include_usage:
        envelope["usage"] = None

    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _frame({**envelope, "choices": [choice]})

    if answer.calls:
        yield chunk({"role": "assistant", "content": None})
        for index, call in enumerate(answer.calls):
            yield chunk({"tool_calls": [{"index": index, **_call(call, "")}]})
            for piece in call.pieces:
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    else:
        yield chunk({"role": "assistant", "content": "", "refusal": None})
        for piece in answer.pieces:
            yield chunk({"content": piece})
    yield chunk({}, _finish(answer))
    if turn.include_usage:
        yield _frame({**envelope, "choices": [], "usage": _usage(answer)})
    yield "data: [DONE]\n\n"


def failure(status: int, message: str) -> dict[str, Any]:
    kind, code = {
        400: ("invalid_request_error", None),
        401: ("invalid_request_error", "invalid_api_key"),
        404: ("invalid_request_error", "unknown_url"),
        429: ("requests", "rate_limit_exceeded"),
    }.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def headers(elapsed_ms: int) -> list[tuple[str, str]]:
    return [
        ("x-request-id", f"req_{secrets.token_hex(16)}"),
        ("openai-organization", "org-offline"),
        ("openai-processing-ms", str(elapsed_ms)),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-remaining-tokens", str(200_000 - secrets.randbelow(1000))),
        ("x-ratelimit-reset-requests", "8.64s"),
        ("x-ratelimit-reset-tokens", "6ms"),
        ("set-cookie", f"__cf_bm={secrets.token_urlsafe(24)}; path=/; HttpOnly; SameSite=None"),
        ("cf-ray", f"{secrets.token_hex(8)}-CDG"),
    ]


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Vectors are random: two calls never agree. Base64 of little-endian float32 when asked for."""
    texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
    vectors = [_vector(body.get("encoding_format")) for _ in texts]
    tokens = sum(len(str(text).split()) for text in texts)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)],
        "model": body["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def models() -> dict[str, Any]:
    names = ("gpt-5.4-mini", "text-embedding-3-small")
    data = [
        {"id": name, "object": "model", "created": int(time.time()), "owned_by": "offline"} for name in names
    ]
    return {"object": "list", "data": data}


def text_of(content: Any) -> str:
    """Text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or () if isinstance(part, Mapping))


def _message(message: Mapping[str, Any]) -> Message:
    role = {"developer": "system", "function": "tool"}.get(message["role"], message["role"])
    called = tuple(call["function"]["name"] for call in message.get("tool_calls") or ())
    return Message(role, text_of(message.get("content")), called)


def _call(call: Call, arguments: str) -> dict[str, Any]:
    return {
        "id": f"call_{call.key}",
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _envelope(kind: str, turn: Turn, answer: Answer) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.key}",
        "object": kind,
        "created": int(time.time()),
        "model": turn.model,
    }


def _finish(answer: Answer) -> str:
    return "tool_calls" if answer.calls else "stop"


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _frame(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _vector(encoding: str | None) -> list[float] | str:
    values = [secrets.randbelow(2001) / 1000 - 1 for _ in range(8)]
    return base64.b64encode(struct.pack("<8f", *values)).decode() if encoding == "base64" else values
