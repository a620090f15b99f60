"""Whether values that were read from somewhere are of the kind that they have to be.

What is read may have been damaged, or made by somebody else. Each of these gives the value back, or raises
``ValueError`` with what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rewind_auto.core.model import Recording, Session, Step

STATUSES = ("running", "completed", "interrupted", "diverged")
STEP_FIELDS = (
    *(
        "step",
        "lane",
        "method",
        "url",
        "status",
        "error",
        "library",
        "provider",
        "operation",
        "model",
        "stream",
    ),
    *("complete", "chunks", "usage", "started_at", "duration_ms", "first_chunk_ms", "trace_id", "span_id"),
    *("call_site", "note", "detail", "inside"),
)
_NEVER_NONE = frozenset(
    ("lane", "method", "url", "library", "chunks", "started_at", "detail", "name", "command")
)
_YEAR_10000 = 253_402_300_800  # seconds since the epoch: what comes then has no date in Python
_SHOWN = 40  # characters of a value that is wrong


def session(one: Session) -> Session:
    """A session whose fields are all of their kind."""
    for name in ("name", "fork_step", "started_at", "ended_at", "parent", "outer"):
        _field(one, name)
    for texts in (one.command, one.llm_hosts, one.tool_hosts):
        for word in texts:
            text(word)
    text(one.id), text(one.status), text(one.session_by)
    return one


def step(one: Step) -> Step:
    """A step whose fields are all of their kind."""
    for name in STEP_FIELDS:
        _field(one, name)
    if one.source is not None:
        text(one.source.session), natural(one.source.step)
    digests = one.fingerprint and (one.fingerprint.exact, one.fingerprint.canonical)
    if not all(isinstance(digest, bytes) for digest in digests or ()):
        raise ValueError("a fingerprint is no bytes")
    return one


def recording(one: Recording) -> Recording:
    """A recording whose fields are all of their kind, and whose chunks make up the body."""
    head, fault = one.head, one.fault
    _encodable(one.request.method), _encodable(one.request.url), text(one.request.library)
    natural(one.head_us), natural(one.end_us)
    if head is not None:
        natural(head.status), text(head.http_version)
    if fault is not None:
        text(fault.module), text(fault.name), text(fault.message), text(fault.phase), object_of(fault.facts)
    if sum(natural(length) + 0 * natural(at) for length, at in one.cuts) != len(one.body):
        raise ValueError("the chunks of a body are not as long as the body")
    for index in one.open_cuts:
        natural(index)
    return one


def _field(one: Any, name: str) -> None:
    value = getattr(one, name)
    if value is None and name in _NEVER_NONE:
        raise ValueError(f"there is no {name}")
    try:
        checked(name, value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def checked(name: str, value: Any) -> Any:
    """A field of its own kind, or None."""
    kind: Callable[[Any], Any] = _KINDS.get(name, text)
    return None if value is None else kind(value)


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_said(value)} is no text")  # noqa: TRY004 - the file is wrong, not the caller
    return value


def _encodable(value: Any) -> str:
    """Text without half of a character, which nothing could print, nor make a fingerprint of."""
    text(value).encode()
    return str(value)


def natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"{_said(value)} is no count")
    return value


def positive(value: Any) -> int:
    if natural(value) < 1:
        raise ValueError(f"{_said(value)} is no number of a step")
    return int(value)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or value - value != 0:
        raise ValueError(f"{_said(value)} is no number")
    return float(value)


def _time(value: Any) -> float:
    if not 0 <= _number(value) < _YEAR_10000:
        raise ValueError(f"{_said(value)} is no time")
    return float(value)


def _usage(value: Any) -> dict[str, int]:
    return {name: natural(count) for name, count in object_of(value).items()}


def object_of(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{_said(value)} is no object")  # noqa: TRY004
    return value


def session_id(value: Any) -> str:
    if not (isinstance(value, str) and value.isascii() and value.isalnum()):
        raise ValueError(f"{_said(value)} is no session id")
    return value


_KINDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("status", "fork_step", "chunks", "inside"), natural),
    **dict.fromkeys(("started_at", "ended_at"), _time),
    **dict.fromkeys(("duration_ms", "first_chunk_ms"), _number),
    "method": _encodable,
    "url": _encodable,
    "usage": _usage,
    "detail": object_of,
    "step": positive,
    **dict.fromkeys(("stream", "complete"), bool),
    **dict.fromkeys(("parent", "outer"), session_id),
}


def _said(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
