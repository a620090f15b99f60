"""The events of a ConverseStream, put together into the answer that Converse would have given in one piece.

Amazon's Nova sends the same events as chunks of InvokeModelWithResponseStream.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rewind_auto.providers.reading import integer, merged_text, obj, objects


def fold(events: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Put the events together, each with its name; "error" is that of what `error_code` reads."""
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {}
    blocks: dict[int, _Block] = {}
    for name, event in events:
        index = integer(event.get("contentBlockIndex")) or 0
        if name == "contentBlockDelta":
            blocks.setdefault(index, _Block()).grow(obj(event.get("delta")))
        elif name == "contentBlockStart":
            blocks.setdefault(index, _Block()).start = obj(event.get("start"))
        elif name == "messageStart":
            message["role"] = event.get("role")
        elif name in ("messageStop", "metadata"):
            whole.update(event)
        elif name == "error":
            whole["error"] = event
    if message or blocks:
        content = (blocks[index].document() for index in sorted(blocks))
        whole["output"] = {"message": {**message, "content": _run_together(content)}}
    return whole


class _Block:
    """One block of content while it grows."""

    __slots__ = ("pieces", "start")

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        self.pieces: dict[str, list[Any]] = {}

    def grow(self, delta: dict[str, Any]) -> None:
        for name, piece in delta.items():
            self.pieces.setdefault(name, []).append(piece)

    def document(self) -> dict[str, Any]:
        whole = dict(self.start)
        for name, pieces in self.pieces.items():
            if name == "text":
                whole["text"] = merged_text(pieces)
            elif name == "toolUse":
                given = merged_text(obj(piece).get("input") for piece in pieces)
                whole["toolUse"] = {**obj(whole.get("toolUse")), "input": given or {}}
            elif name == "toolResult":
                content = [one for piece in pieces for one in objects(piece)]
                whole["toolResult"] = {**obj(whole.get("toolResult")), "content": content}
            elif name == "reasoningContent":
                thought = merged_text(obj(piece).get("text") for piece in pieces)
                whole["reasoningContent"] = {"reasoningText": {"text": thought}} if thought else pieces[0]
            elif name == "image":
                whole["image"] = {**obj(whole.get("image")), **obj(pieces[-1])}
        return whole


def _run_together(blocks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One block of text where the stream has several: some of Nova's give each token a block of its own."""
    whole: list[dict[str, Any]] = []
    for is_text, run in groupby(blocks, key=lambda block: list(block) == ["text"]):
        same = list(run)
        whole += [{"text": merged_text(block["text"] for block in same)}] if is_text else same
    return whole
