"""Text that can be exported. The OTLP encoder refuses a whole batch for one lone surrogate in a string."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

AttributeValue: TypeAlias = str | bool | int | float | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]


def text(value: str) -> str:
    """``value`` as a plain ``str`` that UTF-8 can carry."""
    if value.isascii():
        return value if type(value) is str else str.__str__(value)
    return value.encode("utf-8", "replace").decode("utf-8")


def cleaned(attributes: Iterable[tuple[str, AttributeValue | None]]) -> dict[str, AttributeValue]:
    """The attributes that have a value, their strings fit to be exported."""
    return {
        name: text(value) if isinstance(value, str) else value
        for name, value in attributes
        if value is not None and value != ""
    }
