"""Trace ids, as people copy them out of their backends."""

from __future__ import annotations

from typing import Final

_DIGITS: Final = 32
_HEX: Final = frozenset("0123456789abcdef")
_TRACEPARENT: Final = [2, 32, 16, 2]  # version, trace id, span id, flags: W3C Trace Context, 3.2
_X_RAY: Final = [1, 8, 24]  # version, and the trace id in two parts


def parse(text: str) -> str | None:
    """The 32 lower-case hex digits of a trace id, or None for what is none.

    Taken as backends write it: in capitals, with the dashes of a UUID, without leading zeros, after ``0x``
    or MLflow's ``tr-``, as AWS X-Ray has it, or inside a ``traceparent`` header.
    """
    words = text.strip().lower().removeprefix("tr-").removeprefix("0x").split("-")
    lengths = [len(word) for word in words]
    if lengths == _TRACEPARENT:
        words = words[1:2]
    elif lengths == _X_RAY:
        words = words[1:]
    digits = "".join(words)
    if len(digits) > _DIGITS or not _HEX.issuperset(digits) or not digits.strip("0"):
        return None
    return digits.zfill(_DIGITS)
