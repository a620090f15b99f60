"""Real servers on loopback sockets that do, byte for byte, what a test's script says."""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

_NO_BODY = (204, 304)


class Sign:
    """Something other than bytes that a server can do."""

    def __init__(self, name: str) -> None:
        self.name = name


CUT = Sign("close the connection")
RESET = Sign("reset the connection")
HANG = Sign("say nothing more until stopped")

# Bytes are sent, floats are waited for (seconds), a callable is given the socket to do as it likes.
Act = bytes | float | Sign | Callable[[socket.socket], None]
Acts = list[Act]


@dataclass(frozen=True)
class Seen:
    """One request as it came: ``head`` without its last blank line, ``raw`` the body with its framing."""

    head: bytes
    raw: bytes
    body: bytes
    whole: bool
    at: float

    @property
    def method(self) -> str:
        return self.head.partition(b" ")[0].decode()

    @property
    def target(self) -> str:
        return self.head.split(b" ")[1].decode()

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    def header(self, name: str) -> bytes | None:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode("latin-1").lower() == name:
                return value.strip()
        return None


def head(status: int, headers: Sequence[tuple[str | bytes, str | bytes]] = (), reason: str = "OK") -> bytes:
    """A status line and headers, in the very bytes given."""
    lines = [b"HTTP/1.1 %d %b" % (status, reason.encode("latin-1"))]
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def reply(
    body: bytes = b"",
    status: int = 200,
    headers: Sequence[tuple[str | bytes, str | bytes]] = (),
    *,
    reason: str = "OK",
    length: int | None = None,
) -> Acts:
    """A whole answer in one piece. ``length`` is what it says of itself, if not the truth."""
    own: list[tuple[str | bytes, str | bytes]] = []
    if status not in _NO_BODY:
        own = [("Content-Length", str(len(body) if length is None else length))]
    return [head(status, [*headers, *own], reason) + body]


def answer(data: Any, status: int = 200, **headers: str) -> Acts:
    """JSON."""
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return reply(json.dumps(data).encode(), status, [("Content-Type", "application/json"), *pairs])


def chunked(
    chunks: Sequence[bytes],
    headers: Sequence[tuple[str | bytes, str | bytes]] = (),
    *,
    pause: float = 0.0,
    end: Sequence[Act] = (b"0\r\n\r\n",),
) -> Acts:
    """A streamed answer, each chunk sent on its own, ``pause`` seconds before each but the first."""
    kind: list[tuple[str | bytes, str | bytes]] = []
    if not any(_bytes(name).lower() == b"content-type" for name, _ in headers):
        kind = [("Content-Type", "text/event-stream")]
    acts: Acts = [head(200, [*headers, *kind, ("Transfer-Encoding", "chunked")])]
    for number, chunk in enumerate(chunks):
        if pause and number:
            acts.append(pause)
        acts.append(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    return [*acts, *end]


def sse(*events: str, done: bool = True, **options: Any) -> Acts:
    """A stream of ``data:`` events, each a chunk, with a last ``[DONE]``."""
    return chunked(
        [f"data: {event}\n\n".encode() for event in (*events, *(["[DONE]"] if done else []))], **options
    )


class Server:
    """An HTTP/1.1 server on a loopback port, a thread for each connection.

    The n-th request to a path gets the n-th of its replies, then the last one again; so does a path that was
    not named, with what is under ``""``. A reply is a list of acts, or a function from `Seen` to one.

    Attributes:
        seen: every request since the start or `forget`, in order of arrival.
        connections: how many were accepted since then.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.stopping = threading.Event()
        self.tls = tls
        self._replies: dict[str, tuple[Acts | Callable[[Seen], Acts], ...]] = {"": (reply(b"", 404),)}
        self._times: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._probe = 0
        self._caught_up = threading.Event()
        # As many as a test connects at once: of more, some wait until the kernel tries again, or for ever.
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = int(self._listener.getsockname()[1])
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def on(self, path: str, *replies: Acts | Callable[[Seen], Acts]) -> None:
        """Answer requests to ``path`` (the query does not matter) with these, in order."""
        self._replies[path] = replies

    def forget(self) -> None:
        """Start again: as if no request had come yet."""
        with self._lock:
            self.seen, self.connections = [], 0
            self._times.clear()

    def acts(self, seen: Seen) -> Acts:
        """What to do about a request."""
        replies = self._replies.get(seen.path) or self._replies[""]
        with self._lock:
            self.seen.append(seen)
            number = self._times[seen.path]
            self._times[seen.path] += 1
        chosen = replies[min(number, len(replies) - 1)]
        return chosen(seen) if callable(chosen) else chosen

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and cut every connection. May be called again."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._wake.send(b"x")
        self._thread.join()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._wake.close()
        self._woken.close()

    def settle(self, most: float = 0.5) -> None:
        """Wait until what clients have sent is in `seen`: they have closed their connections, and this shows.

        Args:
            most: seconds, for a client that keeps one open.
        """
        if self.stopping.is_set():
            return
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._probe = probe.getsockname()[1]
            self._caught_up.clear()
            probe.connect(("127.0.0.1", self.port))
            self._caught_up.wait(5)
        until = time.monotonic() + most
        while self._open and time.monotonic() < until:
            time.sleep(0.001)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self) -> None:
        with self._listener:
            while not self.stopping.is_set():
                ready, _, _ = select.select([self._listener, self._woken], [], [])
                if self._listener in ready and not self.stopping.is_set():
                    connection, (_, port) = self._listener.accept()
                    if port == self._probe:
                        self._caught_up.set()
                        connection.close()
                        continue
                    with self._lock:
                        self.connections += 1
                    self._open.add(connection)
                    threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secure = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            self.converse(secure)
            if secure is not connection:
                secure.close()
        except OSError:
            pass  # the client went away, or we are stopping
        finally:
            self._open.discard(connection)
            connection.close()

    def converse(self, connection: socket.socket) -> None:
        """Answer the requests of one connection."""
        with connection.makefile("rb") as reader:
            while (seen := _read(reader)) is not None:
                for act in self.acts(seen):
                    if not self.perform(act, connection):
                        return
                if not seen.whole or b"HTTP/1.0" in seen.head:
                    return

    def perform(self, act: Act, connection: socket.socket) -> bool:
        """Do one act. False: the connection is over."""
        if isinstance(act, bytes):
            connection.sendall(act)
        elif isinstance(act, float):
            self.stopping.wait(act)
        elif callable(act):
            act(connection)
            return False
        elif act is HANG:
            while not self.stopping.is_set():
                if select.select([connection], [], [], 0.02)[0] and not connection.recv(65536):
                    return False
            return False
        else:
            if act is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.shutdown(socket.SHUT_RDWR)
            return False
        return True


def _read(reader: Any) -> Seen | None:
    """The next request of a connection, None when there is none. A body that breaks off is not ``whole``."""
    lines = []
    while (line := reader.readline()) not in (b"\r\n", b""):
        lines.append(line)
    if not lines or not line:
        return None
    seen = Seen(b"".join(lines).rstrip(b"\r\n"), b"", b"", whole=True, at=time.perf_counter())
    if (seen.header("transfer-encoding") or b"").lower() == b"chunked":
        return _read_chunks(reader, seen.head)
    length = int(seen.header("content-length") or 0)
    body = reader.read(length)
    return Seen(seen.head, body, body, len(body) == length, time.perf_counter())


def _read_chunks(reader: Any, head: bytes) -> Seen:
    raw, body = b"", b""
    while line := reader.readline():
        raw += line
        size = int(line.partition(b";")[0], 16)
        piece = reader.read(size + 2)
        raw += piece
        body += piece[:-2]
        if not size or len(piece) < size + 2:
            return Seen(head, raw, body, not size, time.perf_counter())
    return Seen(head, raw, body, False, time.perf_counter())
