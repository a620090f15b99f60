"""Cuts a JSON request body at its messages, so that a growing conversation costs what is new.

The cut is over the bytes: joining the segments gives the body back, byte for byte. Each prefix of a
conversation has a digest of its own (of the previous prefix's digest and the next segment), so a store
finds the longest prefix it already holds without comparing content.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]

from rewind_auto.core.canonical import digest

_WORTHWHILE = 1024  # bytes; below, rows cost more than they save
_CONVERSATIONS = frozenset({"messages", "contents", "input"})
_SPACE = " \t\n\r"
_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class Segment:
    """One element of the conversation, with the bytes before it."""

    data: bytes
    prefix: bytes  # digest of everything up to and including this segment


@dataclass(frozen=True, slots=True)
class Segmented:
    """A body as shared segments and a rest of its own. ``b"".join`` of all is the body."""

    segments: tuple[Segment, ...]
    tail: bytes


def split(body: bytes) -> Segmented:
    """Cut ``body`` after each element of its top-level conversation array, if it has one."""
    if len(body) < _WORTHWHILE or body[:1] != b"{":
        return Segmented((), body)
    try:
        text = body.decode()
        cuts = _cuts(text)
    except (ValueError, IndexError, RecursionError):
        return Segmented((), body)
    segments: list[Segment] = []
    start, prefix = 0, b""
    for end in cuts:
        data = text[start:end].encode()
        prefix = digest(prefix, data)
        segments.append(Segment(data, prefix))
        start = end
    return Segmented(tuple(segments), text[start:].encode())


def _cuts(text: str) -> list[int]:
    """Character offsets after each element of the first conversation array at the top level."""
    at = _skip(text, 1)
    while text[at] == '"':
        key, at = scanstring(text, at + 1, True)  # noqa: FBT003 - json's own signature
        at = _skip(text, _skip(text, at) + 1)  # the colon
        if key in _CONVERSATIONS and text[at] == "[":
            return _elements(text, at + 1)
        _, at = _decode(text, at)
        at = _skip(text, at)
        if text[at] != ",":
            break
        at = _skip(text, at + 1)
    return []


def _elements(text: str, at: int) -> list[int]:
    cuts: list[int] = []
    at = _skip(text, at)
    while text[at] != "]":
        _, at = _decode(text, at)
        cuts.append(at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return cuts


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at
