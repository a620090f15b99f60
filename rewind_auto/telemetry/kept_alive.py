"""Kept-alive connections to a collector, in programs that close descriptors that are not theirs.

A socket writes to its number, whatever file of the program has that number now, and so it closes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any


def watch(session: Any) -> None:
    """Have a session of requests give up connections whose sockets have become something else."""
    send = session.send if "send" in vars(session) else None
    sockets: dict[Any, tuple[int, int] | None] = {}

    def watched(*args: Any, **options: Any) -> Any:
        for connection in _connections(session):
            socket = connection.sock
            if socket in sockets and sockets[socket] != _file(socket):
                socket.detach()
                connection.sock = None  # it connects anew
        try:
            # What others patch later on, or take out again, is to be found on the class.
            return (send or partial(type(session).send, session))(*args, **options)
        finally:
            sockets.clear()
            sockets.update((connection.sock, _file(connection.sock)) for connection in _connections(session))

    session.send = watched


def _connections(session: Any) -> Iterator[Any]:
    """Those that wait in a session's pools: urllib3 has no public way to them."""
    with suppress(AttributeError):
        for adapter in session.adapters.values():
            for manager in chain([adapter.poolmanager], adapter.proxy_manager.values()):
                for key in manager.pools.keys():  # noqa: SIM118 - it is no mapping that can be iterated
                    for connection in tuple(manager.pools[key].pool.queue):
                        if getattr(connection, "sock", None) is not None:
                            yield connection


def _file(socket: Any) -> tuple[int, int] | None:
    try:
        found = os.stat(socket.fileno())
    except OSError:
        return None
    return found.st_dev, found.st_ino
