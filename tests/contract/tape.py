"""A server that says to every run what the first run was told.

The offline provider never gives an answer twice; plain and recorded runs can only be compared exactly when
they get the same one.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from servers import CUT, Acts, Seen, Server

if TYPE_CHECKING:
    from offline_provider import OfflineProvider


class Tape(Server):
    """Asks ``provider`` the first time, and repeats its bytes after `forget`."""

    def __init__(self, provider: OfflineProvider) -> None:
        super().__init__()
        self.provider = provider
        self._taken: dict[tuple[bytes, bytes, int], Acts] = {}

    def acts(self, seen: Seen) -> Acts:
        line = seen.head.partition(b"\r\n")[0]
        with self._lock:
            self.seen.append(seen)
            number = self._times[line + seen.body]
            self._times[line + seen.body] += 1
        key = (line, seen.body, number)
        if key not in self._taken:
            self._taken[key] = self._ask(seen)
        return self._taken[key]

    def _ask(self, seen: Seen) -> Acts:
        head = seen.head.replace(b"Connection: keep-alive", b"Connection: close")
        with socket.create_connection(("127.0.0.1", self.provider.port)) as connection:
            connection.sendall(head + b"\r\n\r\n" + seen.raw)
            answer = b""
            while data := connection.recv(65536):
                answer += data
        return [answer] if _whole(answer) else [answer, CUT]


def _whole(answer: bytes) -> bool:
    """Whether the connection can be used for another answer after this one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return len(body) == int(length[1]) if length else body.endswith(b"0\r\n\r\n")
