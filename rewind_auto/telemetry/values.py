"""Makes a value what its attribute's convention says it is.

Requests come from JSON, where a temperature of ``1`` is an int and a seed may exceed 64 bits. A backend
keeps the first type it sees in a column, and the OTLP encoder refuses a whole batch for one lone surrogate
in a span's name: what does not fit is converted when that loses nothing, and left out when not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from rewind_auto.telemetry import names

AttributeValue: TypeAlias = str | bool | int | float | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]

_INT64: Final = 2**63


def text(value: str) -> str:
    """``value`` as a plain ``str`` that UTF-8 can carry."""
    if value.isascii():
        return value if type(value) is str else str.__str__(value)
    return value.encode("utf-8", "replace").decode("utf-8")


def _string(value: object) -> str | None:
    return text(value) if isinstance(value, str) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_INT64 <= value < _INT64:
        return None
    return int(value) if value == int(value) else None


def _double(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _strings(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return (text(value),)
    if not isinstance(value, list | tuple):
        return None
    return tuple(text(item) for item in value if isinstance(item, str))


def _as_given(value: object) -> AttributeValue | None:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, list | tuple):
        return _strings(value) or None
    return None


_KINDS: Final[Mapping[str, Callable[[object], AttributeValue | None]]] = {
    names.GEN_AI_REQUEST_STREAM: _boolean,
    names.GEN_AI_REQUEST_MAX_TOKENS: _integer,
    names.GEN_AI_REQUEST_TOP_K: _integer,
    names.GEN_AI_REQUEST_SEED: _integer,
    names.GEN_AI_REQUEST_CHOICE_COUNT: _integer,
    names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT: _integer,
    names.GEN_AI_REQUEST_TEMPERATURE: _double,
    names.GEN_AI_REQUEST_TOP_P: _double,
    names.GEN_AI_REQUEST_FREQUENCY_PENALTY: _double,
    names.GEN_AI_REQUEST_PRESENCE_PENALTY: _double,
    names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: _double,
    names.GEN_AI_REQUEST_STOP_SEQUENCES: _strings,
    names.GEN_AI_REQUEST_ENCODING_FORMATS: _strings,
    names.GEN_AI_RESPONSE_FINISH_REASONS: _strings,
    names.GEN_AI_CONVERSATION_ID: _string,
    names.GEN_AI_OUTPUT_TYPE: _string,
    names.GEN_AI_REQUEST_MODEL: _string,
    names.GEN_AI_REQUEST_REASONING_LEVEL: _string,
    names.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID: _string,
    names.GEN_AI_RESPONSE_ID: _string,
    names.GEN_AI_RESPONSE_MODEL: _string,
    names.SERVER_PORT: _integer,
    names.HTTP_RESPONSE_STATUS_CODE: _integer,
    names.REWIND_STEP: _integer,
    names.REWIND_SOURCE_STEP: _integer,
}


def cleaned(attributes: Iterable[tuple[str, object]]) -> dict[str, AttributeValue]:
    """The attributes that have a value of their convention's type. None, "" and misfits are left out."""
    kept: dict[str, AttributeValue] = {}
    for name, value in attributes:
        if value is not None and value != "" and (fit := _KINDS.get(name, _as_given)(value)) is not None:
            kept[name] = fit
    return kept
