"""Reads the text of an option or a variable. Every function raises ``ValueError`` with what is wrong."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from rewind_auto.core.model import MAX_BODY, Match, Mode

LOG_LEVELS = ("debug", "info", "warning", "error", "critical", "off")
ALL_HOSTS = "all"
_NOT_YET = "not yet available in this release"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def read_mode(text: str) -> Mode:
    word = text.strip().lower()
    if word not in set(Mode):
        raise ValueError(f"not one of {', '.join(Mode)}")
    return Mode(word)


def split_fork(text: str) -> tuple[str, int | None]:
    """``REF`` or ``REF@STEP`` in two. What follows an ``@`` and is no number belongs to the REF."""
    ref, at, step = text.rpartition("@")
    if not (at and ref and step.isascii() and step.isdigit()):
        return text, None
    if not int(step):
        raise ValueError("steps are numbered from 1")
    return ref, int(step)


def as_utf8(text: str) -> str:
    """``text`` as it would be where the locale's encoding is UTF-8: some of a run's processes may have C."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_text(text: str) -> str:
    shown = as_utf8(text)
    if not shown.strip():
        raise ValueError("is empty")
    if not shown.isprintable():
        raise ValueError("has a character that cannot be printed")
    return shown.strip()


def _read_path(text: str) -> str:
    read_text(text)
    return text.strip()  # its own bytes, in whatever encoding


def read_name(text: str) -> str:
    name = read_text(text)
    if name == "last" or name.startswith("trace:"):
        raise ValueError("is how other sessions are referred to, choose another name")
    return name


def read_store(text: str) -> str:
    path = _read_path(text)
    scheme, separator, rest = path.partition("://")
    if separator:
        if scheme in ("postgresql", "postgres", "redis", "rediss"):
            raise ValueError(f"{scheme}: {_NOT_YET}")
        if scheme != "sqlite":
            raise ValueError("not a path and not sqlite:///PATH")
        # As SQLAlchemy has it: three slashes and a relative path, or four and an absolute one.
        path = rest.removeprefix("/")
        if not rest.startswith("/") or path in ("", ":memory:"):
            raise ValueError("names no file: sqlite:///PATH")
    return os.path.abspath(os.path.expanduser(path))


def read_file(text: str) -> str:
    return os.path.abspath(os.path.expanduser(_read_path(text)))


def read_session_by(text: str) -> str:
    word = text.strip()
    kind, colon, name = word.partition(":")
    if kind == "header" and colon and name.isascii() and name.isprintable() and " " not in name and name:
        from rewind_auto.core.secret_shapes import is_name

        if is_name(name) or "cookie" in name.lower():  # its value is the name of a session
            raise ValueError("that header holds a credential")
        return f"header:{name.lower()}"
    if word in ("process", "trace"):
        return "" if word == "process" else word
    raise ValueError("not process, trace or header:NAME")


def read_match(text: str) -> Match:
    word = text.strip().lower()
    if word not in set(Match):
        raise ValueError(f"not one of {', '.join(Match)}")
    return Match(word)


def read_order(text: str) -> str:
    word = text.strip().lower()
    if word not in ("any", "recorded"):
        raise ValueError("not any or recorded")
    return word


def read_hosts(text: str) -> tuple[str, ...]:
    from rewind_auto.providers.hosts import parse_host

    hosts = tuple(host.strip() for host in text.split(",") if host.strip())
    for host in hosts:
        parse_host(host)
    return hosts


def read_tools(text: str) -> tuple[str, ...]:
    return (ALL_HOSTS,) if text.strip().lower() == ALL_HOSTS else read_hosts(text)


def read_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("not a number") from None
    if not math.isfinite(number) or number < 0:
        raise ValueError("not a number from 0 up")
    return number


def _scaled(text: str, units: Mapping[str, int]) -> float:
    trimmed = text.strip().lower()
    unit = trimmed[-1:]
    number = read_number(trimmed[:-1] if unit in units else trimmed) * units.get(unit, 1)
    if not number:
        raise ValueError("must be more than 0")
    return number


def read_seconds(text: str) -> float:
    return _scaled(text, _SECONDS)


def read_size(text: str) -> int:
    size = int(_scaled(text, _BYTES))
    if size > MAX_BODY:
        raise ValueError(f"must be at most {MAX_BODY >> 20}m")
    return size


def read_level(text: str) -> str:
    level = text.strip().lower()
    if level not in LOG_LEVELS:
        raise ValueError(f"not one of {', '.join(LOG_LEVELS)}")
    return level


def read_paths(text: str) -> tuple[str, ...]:
    from rewind_auto.core.canonical import parse_path

    paths = tuple(path.strip() for path in text.split(",") if path.strip())
    for path in paths:
        parse_path(path)
    return paths


def read_redactions(text: str) -> tuple[str, ...]:
    from rewind_auto.core.rules import split

    return split(text)


def read_pid(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not number:
        raise ValueError("not the number of a process")
    return number


def read_switch(text: str) -> bool:
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("not 1 or 0")


def _is_url(text: str) -> bool:
    """Whether this is an http(s) URL with a host, and a port that there is."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def read_otlp(text: str) -> str | None:
    if _is_url(text.strip()):
        return text.strip()
    try:
        return "1" if read_switch(text) else None
    except ValueError:
        raise ValueError("not an http(s) URL, 1 or 0") from None
