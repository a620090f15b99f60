"""A real HTTP proxy."""

from __future__ import annotations

import select
import socket
from urllib.parse import urlsplit

from servers import Acts, Seen, Server, head


class Proxy(Server):
    """Forwards everything, tunnelled or not, to ``upstream``, whatever host is asked for."""

    def __init__(self, upstream: Server) -> None:
        super().__init__()
        self.upstream = upstream

    def acts(self, seen: Seen) -> Acts:
        with self._lock:
            self.seen.append(seen)
        if seen.method == "CONNECT":
            return [head(200, reason="Connection established"), self._tunnel]
        parts = urlsplit(seen.target)
        line = seen.head.replace(
            seen.target.encode(), (parts.path + ("?" + parts.query if parts.query else "")).encode(), 1
        )
        return [lambda client: self._relay(client, line + b"\r\n\r\n" + seen.raw)]

    def _tunnel(self, client: socket.socket) -> None:
        self._relay(client, b"")

    def _relay(self, client: socket.socket, first: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self.upstream.port)) as server:
            server.sendall(first)
            other = {client: server, server: client}
            while not self.stopping.is_set():
                for ready in select.select(list(other), [], [], 0.5)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other[ready].sendall(data)
