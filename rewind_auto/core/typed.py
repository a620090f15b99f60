"""Python values as JSON, and back with their types.

Plain JSON values stand for themselves. Any other is an object with a ``$``: tuples, sets, bytes, dates,
decimals, UUIDs, enums, named tuples, dataclasses and pydantic models, of any depth. Reading never imports,
and makes nothing but these: a class is looked up by name among what the program has loaded, has to be of the
kind that was written, and one that is to be expected (`rewind_auto.core.reach`).
"""

from __future__ import annotations

import dataclasses
import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from rewind_auto.core import guard

_PLAIN = (str, int, float, bool, type(None))
_TEXTS: Mapping[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    bytes: (lambda value: b64encode(value).decode(), b64decode),
    datetime: (datetime.isoformat, datetime.fromisoformat),
    date: (date.isoformat, date.fromisoformat),
    time: (time.isoformat, time.fromisoformat),
    timedelta: (
        lambda value: f"{value.days} {value.seconds} {value.microseconds}",
        lambda text: timedelta(*map(int, text.split())),
    ),
    Decimal: (str, Decimal),
    complex: (str, complex),
    UUID: (str, UUID),
}
_TEXT_KINDS = {kind.__name__: read for kind, (_, read) in _TEXTS.items()}
_SEQUENCES = {"tuple": tuple, "set": set, "frozenset": frozenset}


class _Home(NamedTuple):
    names: Mapping[str, Any]
    allows: Callable[[type], bool]


class UntypedError(TypeError):
    """A value, or its class, cannot be kept or found again. One line that names it."""


def dump(value: Any) -> bytes:
    """A value as JSON that `load` gives back with its type.

    Raises:
        UntypedError: it is, or has in it, something of another kind, or cannot be written: it is part of
            itself, or a number of thousands of digits.
    """
    try:
        text = json.dumps(_dump(value, loose=False), ensure_ascii=False, separators=(",", ":"))
    except UntypedError:
        raise
    except Exception as error:  # noqa: BLE001 - a model may have serializers of its own
        guard.not_programs(error)
        raise UntypedError(f"cannot be written: {type(error).__name__}: {error}") from None
    return text.encode("utf-8", "surrogatepass")


def identity(value: Any) -> bytes:
    """A value as JSON that is equal for equal values; of what cannot be written only its class counts."""
    try:
        return _identity(_dump(value, loose=True))
    except Exception as error:  # noqa: BLE001 - as in `dump`
        guard.not_programs(error)
        parts = value if type(value) is dict else {"": value}
        return _identity({str(name): _of_a_part(part) for name, part in parts.items()})


def tells_apart(identity: bytes) -> bool:
    """Whether an identity has all of the value in it: of nothing only the class."""
    return b'{"$":"object"' not in identity  # in a text the quotes are escaped


def _of_a_part(value: Any) -> Any:
    try:
        dumped = _dump(value, loose=True)
        _identity(dumped)
    except Exception as error:  # noqa: BLE001 - as in `dump`
        guard.not_programs(error)
        return {"$": "object", "c": type(value).__qualname__}
    return dumped


def _identity(dumped: Any) -> bytes:
    return json.dumps(dumped, sort_keys=True, separators=(",", ":")).encode()


def load(data: bytes, home: Mapping[str, Any], allows: Callable[[type], bool] = lambda _: False) -> Any:
    """The value that was dumped.

    Args:
        data: what `dump` gave.
        home: global names of the function that the value is of, for classes whose module is called
            something else now, as ``__main__`` is.
        allows: whether an object of a class may be made that is not among these.

    Raises:
        UntypedError: a class is not to be found, or has other fields now, or the data was not made by `dump`.
    """
    try:
        return _load(json.loads(data.decode("utf-8", "surrogatepass")), _Home(home, allows))
    except UntypedError:
        raise
    except Exception as error:  # noqa: BLE001 - a class may have code of its own for how it is made
        raise UntypedError(f"cannot be read: {type(error).__name__}: {error}") from None


def _dump(value: Any, *, loose: bool) -> Any:
    cls = type(value)
    if cls in _PLAIN:
        return value
    if cls is list:
        return [_dump(item, loose=loose) for item in value]
    if cls is dict:
        if all(type(key) is str for key in value) and "$" not in value:
            return {key: _dump(item, loose=loose) for key, item in value.items()}
        pairs = [[_dump(key, loose=loose), _dump(item, loose=loose)] for key, item in value.items()]
        return {"$": "dict", "v": pairs}
    if cls in _TEXTS:
        return {"$": cls.__name__, "v": _TEXTS[cls][0](value)}
    if cls.__name__ in _SEQUENCES and cls.__module__ == "builtins":
        items = [_dump(item, loose=loose) for item in value]
        return {"$": cls.__name__, "v": items if cls is tuple else sorted(items, key=json.dumps)}
    return _dump_object(value, cls, loose=loose)


def _dump_object(value: Any, cls: Any, *, loose: bool) -> Any:
    kind = _kind(cls)
    if kind is None or ("<locals>" in cls.__qualname__ and not loose):
        if loose:
            return {"$": "object", "c": cls.__qualname__}
        where = " is defined inside a function" if kind else " is no JSON value, dataclass or pydantic model"
        raise UntypedError(f"{cls.__qualname__}{where}")
    module = "" if loose else f"{cls.__module__}:"
    named: dict[str, Any] = {"$": kind, "c": f"{module}{cls.__qualname__}"}
    if kind == "enum":
        # A combination of flags has a name that cannot be looked up, or none: a list, with its value.
        looked_up = loose or value.name in cls.__members__
        return {**named, "v": value.name if looked_up else [_dump(value.value, loose=loose)]}
    if kind == "model":
        return {**named, "v": _dump_model(value, loose=loose)}
    if kind == "namedtuple":
        return {**named, "v": [_dump(item, loose=loose) for item in value]}
    names = [field.name for field in dataclasses.fields(value)]
    fields = {name: getattr(value, name) for name in names if hasattr(value, name)}
    if len(fields) < len(names) and not loose:  # else it would be read as of another release of the class
        named["unset"] = [name for name in names if name not in fields]
    return {**named, "v": {name: _dump(item, loose=loose) for name, item in fields.items()}}


def _dump_model(value: Any, *, loose: bool) -> Any:
    if loose:
        return value.model_dump(mode="json", serialize_as_any=True)  # fields of a subclass count too
    dumped = value.model_dump(mode="json", by_alias=True, round_trip=True)
    if type(value).model_validate(dumped) != value:  # a secret, a value in a field of any type
        raise UntypedError(f"{type(value).__qualname__} is another one after it was written as JSON")
    return dumped


def _load(value: Any, home: _Home) -> Any:
    if isinstance(value, list):
        return [_load(item, home) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("$")
    if kind is None:
        return {key: _load(item, home) for key, item in value.items()}
    inner = value["v"]
    if kind == "dict":
        return {_load(key, home): _load(item, home) for key, item in inner}
    if kind in _TEXT_KINDS:
        return _TEXT_KINDS[kind](inner)
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](_load(item, home) for item in inner)
    cls = _find(kind, value["c"], home)
    if kind == "dataclass":
        _check_fields(cls, {*inner, *value.get("unset", ())})
    return _load_object(kind, cls, inner, home)


def _check_fields(cls: Any, recorded: set[str]) -> None:
    fields = {field.name for field in dataclasses.fields(cls)}
    for name in sorted(recorded - fields):
        raise UntypedError(f"{cls.__qualname__} has no field {name!r}")
    for name in sorted(fields - recorded):
        raise UntypedError(f"{cls.__qualname__} has a field {name!r} that was not recorded")


def _load_object(kind: str, cls: Any, inner: Any, home: _Home) -> Any:
    if kind == "enum":
        return cls[inner] if isinstance(inner, str) else cls(_load(inner[0], home))
    if kind == "model":
        return cls.model_validate(inner)
    if kind == "namedtuple":
        return cls._make(_load(item, home) for item in inner)
    made = cls.__new__(cls)
    for name, item in inner.items():
        object.__setattr__(made, name, _load(item, home))  # as it was: neither computed again nor refused
    return made


def _kind(cls: type) -> str | None:
    if issubclass(cls, Enum):
        return "enum"
    if dataclasses.is_dataclass(cls):
        return "dataclass"
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return "namedtuple"
    pydantic = sys.modules.get("pydantic")
    return "model" if pydantic is not None and issubclass(cls, pydantic.BaseModel) else None


def _find(kind: str, named: str, home: _Home) -> Any:
    module, _, name = named.partition(":")
    places = [vars(sys.modules[module])] if module in sys.modules else []
    found = None
    for place in (home.names, *places):
        found = _lookup(place, name)
        if isinstance(found, type) and _kind(found) == kind:
            if place is home.names and found.__module__ in (module, home.names.get("__name__")):
                return found
            if found.__module__ == module and home.allows(found):
                return found
    if isinstance(found, type) and _kind(found) == kind:
        raise UntypedError(
            f"{module}.{name} is neither what the function declares nor of a package that it uses"
        )
    raise UntypedError(f"{module}.{name} is not to be found: what it was recorded as is not loaded here")


def _lookup(place: Mapping[str, Any], name: str) -> Any:
    first, *rest = name.split(".")
    found = place.get(first)
    for part in rest:
        found = vars(found).get(part) if isinstance(found, type) else None
    return found
