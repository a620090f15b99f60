"""What an item that waits for export weighs: long are the messages, if anything is."""

from __future__ import annotations

from collections.abc import Mapping
from sys import getsizeof
from typing import Any, Final

from rewind_auto.telemetry import names
from rewind_auto.telemetry.processor import ITEM

_LONG: Final = (
    names.GEN_AI_SYSTEM_INSTRUCTIONS,
    names.GEN_AI_INPUT_MESSAGES,
    names.GEN_AI_OUTPUT_MESSAGES,
    names.GEN_AI_TOOL_DEFINITIONS,
)


def weight(attributes: Mapping[str, Any] | None) -> int:
    """About how many bytes an item with these attributes takes, in memory and as sent."""
    get = (attributes or {}).get
    return ITEM + sum([_weight(value) for name in _LONG if (value := get(name)) is not None])


def _weight(value: object) -> int:
    if isinstance(value, str):
        return getsizeof(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    return sum(map(_weight, value)) if isinstance(value, list | tuple) else 0
