"""The events of a Cohere stream, put together into the document of an answer in one piece.

Version 1 sends an object on each line, or events, told apart by ``event_type``; its last one repeats the
whole answer. Version 2 sends events told apart by ``type``. Source: `StreamedChatResponse`,
`GenerateStreamedResponse` and `V2ChatStreamResponse` of the cohere SDK.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rewind_auto.providers.reading import integer, merged_text, obj, objects, pick

_CUT = "ERROR"  # how a stream finishes that does not come to its last event


def fold(pieces: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put the events together. An answer in one piece, or an error, is left as it is."""
    answer: _First | _Second | None = None
    for piece in pieces:
        if answer is None:
            if "event_type" in piece:
                answer = _First()
            elif "type" in piece:
                answer = _Second()
            else:
                return piece
        answer.add(piece)
    return {} if answer is None else answer.document()


class _First:
    """An answer of version 1 while it grows: a chat's, or the generations of a prompt."""

    __slots__ = ("calls", "deltas", "texts", "whole")

    def __init__(self) -> None:
        self.whole: dict[str, Any] = {"finish_reason": _CUT}
        self.texts: dict[int, list[Any]] = {}
        self.calls: list[dict[str, Any]] = []
        self.deltas: dict[int, dict[str, Any]] = {}

    def add(self, event: dict[str, Any]) -> None:
        kind = event.get("event_type")
        if kind == "text-generation":
            self.texts.setdefault(integer(event.get("index")) or 0, []).append(event.get("text"))
        elif kind == "tool-calls-chunk":
            self._add_delta(obj(event.get("tool_call_delta")))
        elif kind == "tool-calls-generation":
            self.calls = objects(event.get("tool_calls"))
        elif kind == "stream-start":
            self.whole["generation_id"] = event.get("generation_id")
        elif kind in ("stream-end", "stream-error"):
            answer = obj(event.get("response"))
            reason = event.get("finish_reason") or answer.get("finish_reason")
            self.whole.update({**answer, "finish_reason": reason, "error": event.get("err")})

    def _add_delta(self, delta: dict[str, Any]) -> None:
        if delta.get("text"):  # what the model plans before it calls
            self.texts.setdefault(0, []).append(delta["text"])
        if "name" in delta or "parameters" in delta:
            call = self.deltas.setdefault(integer(delta.get("index")) or 0, {"name": None, "parameters": []})
            call["name"] = call["name"] or delta.get("name")
            call["parameters"].append(delta.get("parameters"))

    def document(self) -> dict[str, Any]:
        if "text" in self.whole or "generations" in self.whole:
            return self.whole
        whole = {**self.whole, "text": merged_text(self.texts.get(0, []))}
        if len(self.texts) > 1:
            whole["generations"] = [{"text": merged_text(self.texts[index])} for index in sorted(self.texts)]
        cut = [{**call, "parameters": merged_text(call["parameters"])} for call in self.deltas.values()]
        return {**whole, "tool_calls": self.calls or cut}


class _Second:
    """An answer of version 2 while it grows."""

    __slots__ = ("blocks", "calls", "plan", "whole")

    def __init__(self) -> None:
        self.whole: dict[str, Any] = {"finish_reason": _CUT}
        self.plan: list[Any] = []
        self.blocks: dict[int, dict[str, list[Any]]] = {}
        self.calls: dict[int, dict[str, Any]] = {}

    def add(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        delta = obj(event.get("delta"))
        message = obj(delta.get("message"))
        index = integer(event.get("index")) or 0
        if kind in ("content-start", "content-delta"):
            block = self.blocks.setdefault(index, {})
            for name in ("text", "thinking"):
                if obj(message.get("content")).get(name):
                    block.setdefault(name, []).append(message["content"][name])
        elif kind == "tool-plan-delta":
            self.plan.append(message.get("tool_plan"))
        elif kind == "tool-call-start":
            call = obj(message.get("tool_calls"))
            function = obj(call.get("function"))
            self.calls[index] = {**call, "function": {**function, "arguments": [function.get("arguments")]}}
        elif kind == "tool-call-delta" and index in self.calls:
            grown = obj(obj(message.get("tool_calls")).get("function")).get("arguments")
            self.calls[index]["function"]["arguments"].append(grown)
        elif kind == "message-start":
            self.whole["id"] = event.get("id")
        elif kind == "message-end":
            self.whole["id"] = pick(event, "id") or self.whole.get("id")
            self.whole.update(delta)

    def document(self) -> dict[str, Any]:
        content = [
            {"type": name, name: merged_text(pieces)}
            for index in sorted(self.blocks)
            for name, pieces in self.blocks[index].items()
        ]
        calls = [
            {
                **call,
                "function": {**call["function"], "arguments": merged_text(call["function"]["arguments"])},
            }
            for call in self.calls.values()
        ]
        message = {"content": content, "tool_plan": merged_text(self.plan), "tool_calls": calls}
        return {**self.whole, "message": message}
