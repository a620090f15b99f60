"""A server on a loopback port that keeps the last request and answers with the bytes it was given."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class WireServer:
    """Shows what an SDK really sends, and shows an SDK what we are about to read."""

    def __init__(self) -> None:
        self.path = ""
        self.request = b""
        self._answer = b"{}"
        self._content_type = "application/json"
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.path = self.path
                server.request = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", server._content_type)
                self.send_header("content-length", str(len(server._answer)))
                self.end_headers()
                self.wfile.write(server._answer)

            def log_message(self, *_args: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def answers(self, body: bytes, content_type: str = "application/json") -> bytes:
        """Answer the next request with this body. Returns it."""
        self._answer = body
        self._content_type = content_type
        return body

    def streams(self, body: bytes) -> bytes:
        """Answer the next request with this stream of events. Returns it."""
        return self.answers(body, "text/event-stream")

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()
