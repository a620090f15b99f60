"""An offline LLM provider: OpenAI, Anthropic and Gemini wire shapes on a loopback port.

    python examples/offline_provider.py [--port N] [--delay SECONDS]

prints ``listening on http://127.0.0.1:PORT`` and serves until it is interrupted. In tests::

    with OfflineProvider(delay=0.01) as provider:
        OpenAI(base_url=f"{provider.url}/v1", api_key="any")

It misbehaves on request: every field of ``Knobs`` can be given to the constructor, and a directive such as
``[fail=2]`` or ``[encoding=gzip]`` in the user's prompt sets it for that prompt alone. It needs nothing but
the standard library.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from offline.delivery import Knobs, encode_stream, encode_whole
from offline.routes import Reply, Seen, reply_to

__all__ = ["Knobs", "OfflineProvider", "Seen"]


class OfflineProvider:
    """The provider, on threads of this process.

    Attributes:
        knobs: how answers are delivered; may be replaced while it runs.
        requests: every request since the start, in order of arrival.
        stopping: set when it stops.
    """

    def __init__(self, port: int = 0, **knobs: Any) -> None:
        """Bind to ``port`` of the loopback interface, 0 for any free one; ``knobs`` are fields of ``Knobs``.

        Raises:
            OSError: the port is taken.
            TypeError: no such knob.
        """
        self.knobs = Knobs(**knobs)
        self.requests: list[Seen] = []
        self.stopping = threading.Event()
        self._numbers = itertools.count(1)
        self._times_seen: Counter[tuple[str, bytes]] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def connections(self) -> int:
        """Number of TCP connections accepted since the start."""
        return self._server.accepted

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and cut every open connection. May be called again."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_connections()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def reply_to(self, seen: Seen) -> Reply:
        key = (seen.path, seen.body)
        with self._lock:
            self.requests.append(seen)
            self._times_seen[key] += 1
            times = self._times_seen[key]
        return reply_to(seen, self.knobs, self._numbers.__next__, times)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], provider: OfflineProvider) -> None:
        super().__init__(address, _Handler)
        self.provider = provider
        self.accepted = 0
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.accepted += 1
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """Kept-alive connections outlive a server's shutdown: their threads would go on answering."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print a traceback for a fault of our own, nothing for a client that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one packet; streams flush each piece
    server: _Server

    def version_string(self) -> str:
        return "cloudflare"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Keep the terminal for the program."""

    def do_GET(self) -> None:
        began = time.perf_counter()
        provider = self.server.provider
        headers = tuple(self.headers.items())
        reply = provider.reply_to(Seen(self.command, self.path, headers, self._read_body()))
        provider.stopping.wait(reply.knobs.wait)
        told = reply.wire.headers(round((time.perf_counter() - began) * 1000))
        if reply.retry_after is not None:
            told.append(("retry-after", f"{reply.retry_after:g}"))
        self._send(reply, told)

    do_POST = do_GET  # noqa: N815 - the base class names it

    def _read_body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(self._read_chunks())
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _read_chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _send(self, reply: Reply, headers: list[tuple[str, str]]) -> None:
        knobs, streamed = reply.knobs, reply.frames is not None
        encoding = knobs.encoding if knobs.encoding in self.headers.get("accept-encoding", "") else ""
        if reply.frames is not None:
            pieces = encode_stream(reply.frames, encoding, knobs)
            headers.append(("content-type", "text/event-stream; charset=utf-8"))
            headers.append(("transfer-encoding", "chunked"))
        else:
            length, pieces = encode_whole(reply.whole, encoding, knobs)
            headers.append(("content-type", "application/json"))
            headers.append(("content-length", str(length)))
        if encoding:
            headers.append(("content-encoding", encoding))

        if self._gives_up(0, knobs):
            return
        self.send_response(reply.status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        for count, piece in enumerate(pieces, 1):
            if streamed and count > 1:
                self.server.provider.stopping.wait(knobs.delay)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if streamed else piece)
            if streamed or knobs.cut:
                self.wfile.flush()
            if self._gives_up(count, knobs):
                return
        if streamed:
            self.wfile.write(b"0\r\n\r\n")

    def _gives_up(self, sent: int, knobs: Knobs) -> bool:
        """Whether the answer ends here, ``sent`` pieces into it."""
        if sent not in (knobs.hang, knobs.disconnect):
            return False
        self.wfile.flush()
        if sent == knobs.hang:
            self.server.provider.stopping.wait()
        self.close_connection = True
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="loopback port, 0 for any free one")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each piece of a stream")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with OfflineProvider(given.port, delay=given.delay) as provider, suppress(KeyboardInterrupt):
        print(f"listening on {provider.url}", flush=True)
        provider.stopping.wait()


if __name__ == "__main__":
    main()
