"""Puts another text into a recorded answer, in the wire shape that it has."""

from __future__ import annotations

import json
from typing import Any

from rewind_auto.providers.reading import is_json, parse

# Where a text of the model's stands: its key, and the types that the object around it may have.
_TYPES = (None, "text", "output_text", "text_delta", "response.output_text.done", "text-generation")
# Events of a stream that repeat all that was said.
_WHOLE = ("response.output_text.done", "response.content_part.done", "response.output_item.done")
_WHOLE_TOO = ("response.completed", "response.incomplete", "stream-end")


def with_text(body: bytes, text: str) -> bytes | None:
    """The decoded body of an answer with ``text`` in place of what the model said; of a stream, all at once.

    None when there is no text in it, or none that is known to be the model's.
    """
    writer = _Writer(text)
    if is_json(body) and b"\n{" not in body.strip():
        document = parse(body)
        streamed = isinstance(document, list)
        for one in document if streamed else [document]:
            writer.rewrite(one, streamed=streamed)
        changed = _dump(document)
    else:
        changed = b"".join(_line(line, writer) for line in body.splitlines(keepends=True))
    return changed if writer.done else None


def _line(line: bytes, writer: _Writer) -> bytes:
    """A line of a stream: of server-sent events, or JSON by itself."""
    lead, data = (b"data:", line[5:]) if line.startswith(b"data:") else (b"", line)
    document = parse(data)
    if not isinstance(document, dict) or not writer.rewrite(document, streamed=True):
        return line
    end = line[len(line.rstrip(b"\r\n")) :]
    return lead + (b" " if data.startswith(b" ") else b"") + _dump(document) + end


class _Writer:
    """Replaces the first text, and leaves nothing of the ones that go on from it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = text
        self.done = False

    def rewrite(self, document: Any, *, streamed: bool) -> bool:
        """Whether a document, which is changed in place, had a text."""
        kind = document.get("type") or document.get("event_type") if isinstance(document, dict) else None
        if not streamed or kind in _WHOLE or kind in _WHOLE_TOO:
            self._left = self._text
        return self._walk(document, "")

    def _walk(self, value: Any, under: str) -> bool:
        if isinstance(value, list):
            return any(tuple(self._walk(item, under) for item in value))  # all of them
        if not isinstance(value, dict):
            return False
        changed = False
        for key in list(value):
            if isinstance(value[key], str):
                if value[key] and _is_said(value, key, under):
                    value[key], self._left, self.done, changed = self._left, "", True, True
            else:
                changed |= self._walk(value[key], key)
        return changed


def _is_said(around: dict[str, Any], key: str, under: str) -> bool:
    if key == "text":
        return around.get("type", around.get("event_type")) in _TYPES and not around.get("thought")
    if key == "content":
        return "role" in around or under in ("delta", "message")
    if key == "delta":
        return around.get("type") == "response.output_text.delta"
    return key == "response" and "done" in around  # Ollama


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
