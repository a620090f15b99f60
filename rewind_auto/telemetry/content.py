"""Message content on spans: off unless asked for, and cut to size without ever breaking its JSON.

Backends drop a list of messages whole when its JSON does not parse or does not match the schema, so the
cut falls inside the longest strings; only when the structure alone is too long do the oldest items go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from rewind_auto.telemetry.values import text

#: JSON values as the conventions' schemas have them: ``[{"role": …, "parts": […]}]`` and the like.
Content: TypeAlias = Sequence[Mapping[str, Any]]
ContentSource: TypeAlias = Callable[[], Content | None]

CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
DEFAULT_LIMIT: Final = 64 * 1024

EVENT_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"

_ON: Final = frozenset({"span_only", "span_and_event", "true"})
_ON_EVENTS: Final = frozenset({"event_only", "span_and_event"})
_LIMIT_VARIABLES: Final = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
_INT64: Final = 2**63
_DIGITS: Final = len(str(-_INT64))
_SHORT: Final = 64  # roles, types, ids and names: never cut


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether messages go on spans."""
    return _said(environ, CAPTURE_VARIABLE) in _ON


def wanted_on_events(environ: Mapping[str, str]) -> bool:
    """Whether messages go on events."""
    return _said(environ, CAPTURE_VARIABLE) in _ON_EVENTS


def events_wanted(environ: Mapping[str, str]) -> bool:
    """Whether there are events, with or without messages. As opentelemetry-util-genai has it.

    Messages on events ask for them; ``OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT`` has the last word either way.
    """
    said = _said(environ, EVENT_VARIABLE)
    return said == "true" or (said != "false" and wanted_on_events(environ))


def _said(environ: Mapping[str, str], variable: str) -> str:
    return environ.get(variable, "").strip().lower()


def limit(environ: Mapping[str, str]) -> int:
    """Most bytes of UTF-8 that one content attribute may have.

    The SDK cuts any string at these variables' length, which would break our JSON: we cut before it does.
    """
    for variable in _LIMIT_VARIABLES:
        value = environ.get(variable, "").strip()
        if value.isascii() and value.isdigit():
            return min(DEFAULT_LIMIT, int(value))
    return DEFAULT_LIMIT


def to_json(content: Content, limit: int) -> str | None:
    """``content`` as JSON of at most ``limit`` bytes, or None when not even its newest item fits."""
    whole = _dumps(content)
    size = _size(whole)
    if size <= limit:
        return whole
    items = _newest(content, limit)
    lengths = sorted(_lengths(items), reverse=True)
    keep = max(_SHORT, _level(lengths, sum(lengths) + _size(_dumps(_shortened(items, 0))) - limit))
    while items:
        # Escapes and multi-byte characters make bytes differ from characters: go down until it fits.
        shorter = _dumps(_shortened(items, keep))
        if _size(shorter) <= limit:
            return shorter
        keep = max(_SHORT, keep * 3 // 4)
    return None


def structured(content: Content, limit: int) -> Any:
    """The same as `to_json` has it, not as text. None when not even its newest item fits."""
    cut = to_json(content, limit)
    return None if cut is None else json.loads(cut, parse_int=_encodable)


def _encodable(digits: str) -> int | str:
    """A number, or where OTLP's 64 bits cannot carry it, its digits."""
    if len(digits) <= _DIGITS and -_INT64 <= (number := int(digits)) < _INT64:
        return number
    return digits


def _newest(items: Content, limit: int) -> list[Any]:
    """The items, from the newest back, that fit when all their long strings are cut."""
    kept: list[Any] = []
    room = limit - 2
    for item in reversed(items):
        room -= _size(_dumps(_shortened(item, _SHORT))) + 1
        if room < 0:
            break
        kept.append(item)
    return kept[::-1]


def _dumps(value: object) -> str:
    return text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))


def _size(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode())


def _lengths(value: object) -> list[int]:
    """Lengths of the strings that may be cut."""
    if isinstance(value, str):
        return [len(value)] if len(value) > _SHORT else []
    if isinstance(value, Mapping):
        value = list(value.values())
    return [n for child in value for n in _lengths(child)] if isinstance(value, list | tuple) else []


def _level(lengths: list[int], excess: int) -> int:
    """The length to cut every longer string to, so that about ``excess`` characters go. Longest first."""
    taken = 0
    for count, length in enumerate(lengths, start=1):
        below = lengths[count] if count < len(lengths) else 0
        taken += count * (length - below)
        if taken >= excess:
            return below + (taken - excess) // count
    return 0


def _shortened(value: Any, keep: int) -> Any:
    if isinstance(value, str):
        if len(value) <= max(keep, _SHORT):
            return value
        mark = f"…[{len(value)} characters]"
        return value[: max(0, keep - len(mark))] + mark
    if isinstance(value, Mapping):
        return {key: _shortened(child, keep) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(child, keep) for child in value]
    return value
