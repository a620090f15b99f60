"""Watches for connections that must not be attempted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Connects:
    """Every attempt of this process to reach an Internet address, while it is watched."""

    def __init__(self) -> None:
        self.watched: list[Any] | None = None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.watched is not None and event in ("socket.connect", "socket.getaddrinfo"):
            where = args[1] if event == "socket.connect" else args[:2]
            if isinstance(where, tuple):  # not a socket in the file system
                self.watched.append(where)


_connects: _Connects | None = None


@contextmanager
def connection_attempts() -> Iterator[list[Any]]:
    """The addresses that this process tries to connect to, or looks up, in the block."""
    global _connects
    _connects = _connects or _Connects()  # an audit hook cannot be taken off again
    _connects.watched = attempts = []
    try:
        yield attempts
    finally:
        _connects.watched = None
