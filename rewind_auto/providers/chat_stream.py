"""The chunks of a Chat Completions stream, put together into the document of an answer in one piece."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rewind_auto.providers.parts import call_id_of
from rewind_auto.providers.reading import integer, merged_text, obj, objects, pick, text

_PIECES = ("content", "refusal", "reasoning_content", "reasoning", "images")
_AUDIO = ("id", "data", "transcript")


def fold(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put the chunks together. What a later chunk repeats, it replaces."""
    whole: dict[str, Any] = {}
    choices: dict[int, _Choice] = {}
    for chunk in chunks:
        for name in ("id", "model", "service_tier", "system_fingerprint"):
            if chunk.get(name):
                whole[name] = chunk[name]
        box = obj(chunk.get("x_groq"))
        for name in ("usage", "error"):
            if chunk.get(name) or box.get(name):
                whole[name] = chunk.get(name) or box.get(name)
        for choice in objects(chunk.get("choices")):
            if choice.get("usage"):  # Moonshot's place for it
                whole["usage"] = choice["usage"]
            index = integer(choice.get("index")) or 0
            choices.setdefault(index, _Choice()).add(choice)
    whole["choices"] = [choices[index].document(index) for index in sorted(choices)]
    return whole


class _Choice:
    """One choice while it grows."""

    __slots__ = ("audio", "calls", "finish_reason", "pieces", "role", "slots", "text")

    def __init__(self) -> None:
        self.role: Any = None
        self.finish_reason: Any = None
        self.text: list[Any] = []
        self.pieces: dict[str, list[Any]] = {}
        self.audio: dict[str, list[Any]] = {}
        self.calls: list[dict[str, Any]] = []
        self.slots: dict[int | str, dict[str, Any]] = {}

    def add(self, choice: dict[str, Any]) -> None:
        # Mistral's models on Bedrock have a stop_reason in its place.
        self.finish_reason = choice.get("finish_reason") or choice.get("stop_reason") or self.finish_reason
        delta = obj(choice.get("delta") or choice.get("message"))  # some end with a message
        if choice.get("text") and not delta.get("content"):  # Together says the same in both
            self.text.append(choice["text"])
        self.role = delta.get("role") or self.role
        _collect(self.pieces, delta, _PIECES)
        _collect(self.audio, obj(delta.get("audio")), _AUDIO)
        for call in objects(delta.get("tool_calls")):
            self._add_call(call)
        if isinstance(delta.get("function_call"), dict):
            self._add_call({"index": "function_call", "function": delta["function_call"]})

    def _add_call(self, delta: dict[str, Any]) -> None:
        call_id = call_id_of(delta)
        index = delta.get("index")
        key = index if isinstance(index, (int, str)) else call_id
        latest = self.calls[-1] if self.calls else None
        slot = latest if key is None else self.slots.get(key)
        # Some gateways number every parallel call 0: another id is another call.
        if slot is None or (call_id and slot["id"] and slot["id"] != call_id):
            slot = {"id": None, "function": {"name": None, "arguments": []}}
            self.calls.append(slot)
        if key is not None:
            self.slots[key] = slot
        slot["id"] = slot["id"] or call_id
        told = obj(delta.get("function") or delta.get("custom"))
        function = slot["function"]
        function["name"] = function["name"] or text(told.get("name"))
        given = pick(told, "arguments", "input")
        if given is not None:
            function["arguments"].append(given)

    def document(self, index: int) -> dict[str, Any]:
        message = {name: run_together(pieces) for name, pieces in self.pieces.items()}
        message["role"] = self.role or "assistant"
        if self.audio:
            message["audio"] = {name: merged_text(pieces) for name, pieces in self.audio.items()}
        if self.calls:
            message["tool_calls"] = [
                {
                    "id": call["id"],
                    "function": {
                        "name": call["function"]["name"],
                        "arguments": run_together(call["function"]["arguments"]),
                    },
                }
                for call in self.calls
            ]
        whole = {"index": index, "finish_reason": self.finish_reason, "message": message}
        return {**whole, "text": merged_text(self.text)} if self.text else whole


def _collect(pieces: dict[str, list[Any]], delta: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        piece = delta.get(name)
        if piece:
            pieces.setdefault(name, []).extend(piece if isinstance(piece, list) else [piece])


def run_together(pieces: list[Any]) -> Any:
    """The pieces as one string; as a list of blocks where some are objects, as in Mistral's thinking."""
    if all(isinstance(piece, str) for piece in pieces):
        return merged_text(pieces)
    if len(pieces) == 1:
        return pieces[0]
    blocks: list[Any] = []
    for kind, run in groupby(pieces, key=_kind):
        if kind == "text":
            blocks.append({"type": "text", "text": merged_text(_text_of(piece) for piece in run)})
        elif kind == "thinking":
            thoughts = [one for piece in run for one in objects(piece.get("thinking"))]
            blocks.append({"type": "thinking", "thinking": thoughts})
        else:
            blocks.extend(run)
    return blocks


def _kind(piece: Any) -> str | None:
    return "text" if isinstance(piece, str) else text(obj(piece).get("type"))


def _text_of(piece: Any) -> Any:
    return piece if isinstance(piece, str) else obj(piece).get("text")
