"""A real HTTP/2 server over TLS."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import h2.config
import h2.connection
import h2.events
from servers import Seen, Server


class Http2Server(Server):
    """Answers each request with the chunks of its reply, a DATA frame each.

    A reply is a list of bytes here; status and headers are always the same.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        tls.set_alpn_protocols(["h2"])
        super().__init__(tls)

    def converse(self, connection: socket.socket) -> None:
        h2_connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        h2_connection.initiate_connection()
        connection.sendall(h2_connection.data_to_send())
        heads: dict[int, Any] = {}
        bodies: dict[int, bytes] = {}
        while data := connection.recv(65536):
            for event in h2_connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    heads[event.stream_id] = dict(event.headers)
                    bodies[event.stream_id] = b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    h2_connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self._answer(
                        h2_connection, event.stream_id, heads[event.stream_id], bodies[event.stream_id]
                    )
                connection.sendall(h2_connection.data_to_send())

    def _answer(self, connection: Any, stream: int, headers: dict[bytes, bytes], body: bytes) -> None:
        line = b"%b %b HTTP/2" % (headers[b":method"], headers[b":path"])
        rest = b"".join(b"\r\n%b: %b" % pair for pair in sorted(headers.items()) if pair[0][:1] != b":")
        acts = self.acts(Seen(line + rest, body, body, whole=True, at=0.0))
        connection.send_headers(
            stream, [(":status", "200"), ("content-type", "text/plain"), ("x-a", "1"), ("x-a", "2")]
        )
        for act in acts:
            if act == b"reset":
                connection.reset_stream(stream, 2)
                return
            connection.send_data(stream, act)
        connection.end_stream(stream)
