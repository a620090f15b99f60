"""Wire shapes that the offline provider lacks: Cohere v2, Ollama and Hugging Face's own tasks.

Every answer has a running number and quotes what was asked, so that answers that are swapped show.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

_JSON_LINES = "application/x-ndjson"
_EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Said:
    """What is said to a request: ``frames`` when a stream was asked for, else ``whole``."""

    prompt: str
    whole: Any
    failure: Any
    frames: list[str] | None = None
    kind: str = _EVENTS  # content type of a stream


def _words(prompt: str, number: int) -> list[str]:
    return [f"{number}:", *(f" {word}" for word in prompt.split()), " … 21 °C"]


def _events(events: Iterable[Any], *, named: bool = False) -> list[str]:
    return [
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
        for event in events
    ]


def _lines(events: Iterable[Any]) -> list[str]:
    return [json.dumps(event, ensure_ascii=False) + "\n" for event in events]


def _vectors(texts: list[str], number: int) -> list[list[float]]:
    return [[float(number), len(text) / 8, -0.5] for text in texts]


# --- Cohere v2


def _cohere_chat(body: dict[str, Any], number: int) -> Said:
    asked = [message for message in body["messages"] if message["role"] == "user"]
    prompt, calls = asked[-1]["content"], _cohere_calls(body, number)
    words = _words(prompt, number)
    usage = {
        "billed_units": {"input_tokens": 7, "output_tokens": len(words)},
        "tokens": {"input_tokens": 70, "output_tokens": len(words)},
    }
    finish = "TOOL_CALL" if calls else "COMPLETE"
    content = {"content": [{"type": "text", "text": "".join(words)}]}
    called = {"tool_plan": "I will look.", "tool_calls": calls}
    whole = {
        "id": f"co-{number}",
        "message": {"role": "assistant", **(called if calls else content)},
        "finish_reason": finish,
        "usage": usage,
    }
    events = [
        {"type": "message-start", "id": f"co-{number}", "delta": {"message": {"role": "assistant"}}},
        *(_cohere_tool_events(calls) if calls else _cohere_content_events(words)),
        {"type": "message-end", "delta": {"finish_reason": finish, "usage": usage}},
    ]
    failure = {"id": f"co-{number}", "message": "as the prompt wished"}
    return Said(prompt, whole, failure, _events(events, named=True) if body.get("stream") else None)


def _cohere_calls(body: dict[str, Any], number: int) -> list[dict[str, Any]]:
    if not body.get("tools") or body["messages"][-1]["role"] == "tool":
        return []
    function = {"name": body["tools"][0]["function"]["name"], "arguments": '{"city": "Paris"}'}
    return [{"id": f"call_{number}", "type": "function", "function": function}]


def _cohere_content_events(words: list[str]) -> list[dict[str, Any]]:
    message = {"message": {"content": {"type": "text", "text": ""}}}
    deltas = [{"message": {"content": {"text": word}}} for word in words]
    return [
        {"type": "content-start", "index": 0, "delta": message},
        *({"type": "content-delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content-end", "index": 0},
    ]


def _cohere_tool_events(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    call = calls[0]
    begun = {**call, "function": {**call["function"], "arguments": ""}}
    grown = {"function": {"arguments": call["function"]["arguments"]}}
    return [
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will look."}}},
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": begun}}},
        {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": grown}}},
        {"type": "tool-call-end", "index": 0},
    ]


def _cohere_embed(body: dict[str, Any], number: int) -> Said:
    texts = body["texts"]
    whole = {
        "id": f"co-{number}",
        "response_type": "embeddings_by_type",
        "embeddings": {"float": _vectors(texts, number)},
        "texts": texts,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": len(texts)}},
    }
    return Said(texts[0], whole, {"message": "as the prompt wished"})


# --- Ollama

_AT = "2026-11-22T10:00:00.000000Z"
_TOOK = {"total_duration": 5, "load_duration": 1, "prompt_eval_count": 7, "prompt_eval_duration": 2}


def _ollama(body: dict[str, Any], prompt: str, number: int, wrap: Callable[[str], Any]) -> Said:
    words = _words(prompt, number)
    envelope = {"model": body["model"], "created_at": _AT}
    done = {"done": True, "done_reason": "stop", **_TOOK, "eval_count": len(words), "eval_duration": 2}
    parts = [{**envelope, **wrap(word), "done": False} for word in words]
    whole = {**envelope, **wrap("".join(words)), **done}
    frames = _lines([*parts, {**envelope, **wrap(""), **done}]) if body.get("stream", True) else None
    return Said(prompt, whole, {"error": "as the prompt wished"}, frames, _JSON_LINES)


def _ollama_chat(body: dict[str, Any], number: int) -> Said:
    last = body["messages"][-1]
    calls = [{"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]
    called = {"tool_calls": calls} if body.get("tools") and last["role"] == "user" else {}
    return _ollama(
        body,
        last["content"],
        number,
        lambda text: {"message": {"role": "assistant", "content": text, **called}},
    )


def _ollama_generate(body: dict[str, Any], number: int) -> Said:
    return _ollama(body, body["prompt"], number, lambda text: {"response": text})


def _ollama_embed(body: dict[str, Any], number: int) -> Said:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    whole = {"model": body["model"], "embeddings": _vectors(texts, number), **_TOOK}
    return Said(texts[0], whole, {"error": "as the prompt wished"})


def _ollama_tags(_: dict[str, Any], number: int) -> Said:
    model = {"model": "llama3.2", "name": "llama3.2", "modified_at": _AT, "digest": "abc", "size": number}
    return Said("", {"models": [model]}, {})


# --- Hugging Face: a task at its own URL


def _text_generation(body: dict[str, Any], number: int) -> Said:
    prompt = body["inputs"]
    words = _words(prompt, number)
    tokens = [
        {"id": place, "logprob": -0.5, "special": False, "text": word} for place, word in enumerate(words)
    ]
    details = {"finish_reason": "eos_token", "generated_tokens": len(words), "seed": None}
    text = "".join(words)
    asked = (body.get("parameters") or {}).get("details")
    more = {"details": {**details, "prefill": [], "tokens": tokens}} if asked else {}
    steps: list[dict[str, Any]] = [
        {"index": place, "token": token, "generated_text": None, "details": None}
        for place, token in enumerate(tokens, 1)
    ]
    steps[-1] |= {"generated_text": text, "details": {**details, "input_length": 7}}
    failure = {"error": "as the prompt wished", "error_type": "generation"}
    frames = _events(steps) if body.get("stream") else None
    return Said(prompt, [{"generated_text": text, **more}], failure, frames)


def _text_classification(body: dict[str, Any], number: int) -> Said:
    labels = [{"label": "POSITIVE", "score": 0.75}, {"label": f"NUMBER {number}", "score": 0.25}]
    return Said(body["inputs"], [labels], {"error": "as the prompt wished"})


SHAPES: dict[tuple[str, str], Callable[[dict[str, Any], int], Said]] = {
    ("POST", "/v2/chat"): _cohere_chat,
    ("POST", "/v2/embed"): _cohere_embed,
    ("POST", "/api/chat"): _ollama_chat,
    ("POST", "/api/generate"): _ollama_generate,
    ("POST", "/api/embed"): _ollama_embed,
    ("GET", "/api/tags"): _ollama_tags,
    ("POST", "/text-generation"): _text_generation,
    ("POST", "/text-classification"): _text_classification,
}
