"""Says in the terms of an LLM request what differs between two of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from rewind_auto.core.model import Request

_ABSENT: Any = object()
_SHOWN = 60  # characters of a value around the first difference
_MOST = 20
_PLAIN = re.compile(r"""[^\s.,*'"$\[\]](?:[^.,*'"\[\]]*[^\s.,*'"\[\]])?""")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``old`` is what was recorded, ``new`` what was asked now; None: null, or not there.

    ``state`` is changed, added or removed. In ``path``, a name that no ignore path can have stands in quotes.
    """

    path: str
    old: Any
    new: Any
    where: str = ""
    state: str = "changed"

    def as_dict(self) -> dict[str, Any]:
        """For JSON output and for the attributes of the divergence error."""
        return {"path": self.path, "old": self.old, "new": self.new}

    def __str__(self) -> str:
        place = f"{self.path} ({self.where})" if self.where else self.path
        if self.state == "added":
            return f"{place}: added {_short(self.new)}"
        if self.state == "removed":
            return f"{place}: removed {_short(self.old)}"
        old, new = _focus(self.old, self.new)
        return f"{place}: {old} → {new}"


def compare(old: Request, new: Request) -> tuple[Change, ...]:
    """The differences between a recorded request and the one made now, the first cause first."""
    changes: list[Change] = []
    if old.method != new.method:
        changes.append(Change("method", old.method, new.method))
    if _path(old.url) != _path(new.url):
        changes.append(Change("url", _path(old.url), _path(new.url)))
    if old.body != new.body:
        left, right = _load(old.body), _load(new.body)
        if left is _ABSENT or right is _ABSENT:
            changes.append(Change("body", f"{len(old.body)} bytes", f"{len(new.body)} bytes, other content"))
        else:
            changes += _found(left, right)
    return tuple(changes[:_MOST])


def differences(old: Any, new: Any) -> tuple[Change, ...]:
    """The differences between two JSON values."""
    return tuple(_found(old, new)[:_MOST])


def distance(old: Request, new: Request) -> float:
    """How far apart two requests are: 0 for equal ones. Only good for ordering."""
    far = 0.0 if (old.method, _path(old.url)) == (new.method, _path(new.url)) else 1000.0
    left, right = _load(old.body), _load(new.body)
    if not isinstance(left, dict) or not isinstance(right, dict):
        return far + (0 if old.body == new.body else 10)
    return far + len(_found(left, right))


def _path(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2]


def _load(body: bytes) -> Any:
    try:
        return json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return _ABSENT


def _found(old: Any, new: Any) -> list[Change]:
    changes: list[Change] = []
    try:
        _walk(old, new, "", "", changes)
    except RecursionError:  # from Python 3.12 on, JSON may be nested more deeply than our own calls
        changes.append(Change("body", "nested", "otherwise, too deeply to say where"))
    return changes


def _walk(old: Any, new: Any, path: str, where: str, into: list[Change]) -> None:
    if len(into) >= _MOST or old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        where = _describe(new) or where
        for key in [*old, *(k for k in new if k not in old)]:
            _walk(old.get(key, _ABSENT), new.get(key, _ABSENT), _below(path, key), where, into)
    elif isinstance(old, list) and isinstance(new, list):
        # What was put in or taken out somewhere is one change, not one for all that comes after it.
        tail = _equal_tail(old, new) if len(old) != len(new) else 0
        length, old, new = max(len(old), len(new)) - tail, old[: len(old) - tail], new[: len(new) - tail]
        for index in range(length):
            left = old[index] if index < len(old) else _ABSENT
            right = new[index] if index < len(new) else _ABSENT
            _walk(left, right, f"{path}[{index}]", where, into)
    else:
        described = where or _describe(new if isinstance(new, dict) else old)
        if old is _ABSENT:
            into.append(Change(path, None, new, described, "added"))
        elif new is _ABSENT:
            into.append(Change(path, old, None, described, "removed"))
        else:
            into.append(Change(path, old, new, described))


def _equal_tail(old: list[Any], new: list[Any]) -> int:
    """How many last items are equal."""
    count, most = 0, min(len(old), len(new))
    while count < most and old[-1 - count] == new[-1 - count]:
        count += 1
    return count


def _below(path: str, key: str) -> str:
    if not _PLAIN.fullmatch(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def _describe(value: Any) -> str:
    """What an object is to a reader: a message by its role, a tool by its name."""
    if not isinstance(value, dict):
        return ""
    parts = [
        f"{key} {value[key]}"
        for key in ("role", "tool_call_id", "tool_use_id")
        if isinstance(value.get(key), str)
    ]
    function = value.get("function")
    name = function.get("name") if isinstance(function, dict) else value.get("name")
    if isinstance(name, str) and "role" not in value:
        parts.append(f"tool {name}")
    return ", ".join(parts)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _focus(old: Any, new: Any) -> tuple[str, str]:
    """Both values, cut to the region where long texts first differ."""
    if not (isinstance(old, str) and isinstance(new, str)) or max(len(old), len(new)) <= _SHOWN:
        return _short(old), _short(new)
    same = next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    start = max(0, same - _SHOWN // 3)
    lead = "…" if start else ""
    return _short(lead + old[start : start + _SHOWN]), _short(lead + new[start : start + _SHOWN])
