"""Recorded answers as aiohttp's own responses, made by the library's own ``send`` and ``start``.

The request is sent, to a connection that leads nowhere: so the library makes the response object, sets the
headers that it sets late, and tells the program's trace configs what it tells them. Then the response
starts from a recorded head, and a content that gives the recorded pieces when they are asked for.
"""

from __future__ import annotations

import asyncio
import ssl
from types import ModuleType
from typing import Any

from rewind_auto.adapters.aiohttp_served import Connection, Quiet, Transport, served_classes
from rewind_auto.core import faults
from rewind_auto.core.faults import Trouble
from rewind_auto.core.model import Fault, Head
from rewind_auto.core.seam import ServedCall

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNBOUNDED = 2**30  # for a head that has been accepted before

# A request's progress of its upload (3.14), and which attempt of it this is: set where the library connects.
# Without them `attempts` stays 0.
_TRACKER, _ATTEMPT, _STARTED = "_upload_tracker", "_upload_gen", "_attempt_started"

# What a response asks whether it is to say, when it is dropped, that it was not released (`Quiet`).
_LOOP = "_loop"
_CODINGS = ("gzip", "deflate", "br")
_ZSTD = "ZSTDDecompressor"  # since 3.13

# For errors that were recorded with another library.
_ERRORS = {
    Trouble.CONNECT: "ClientConnectorError",
    Trouble.CONNECT_TIMEOUT: "ConnectionTimeoutError",
    Trouble.TIMEOUT: "SocketTimeoutError",
    Trouble.BROKEN: "ServerDisconnectedError",
}


def is_taken_off(module: ModuleType, headers: Any) -> bool:
    """Whether the parser removes the content coding (``http_parser.HttpParser.parse_headers``)."""
    coding = headers.get("Content-Encoding", "").lower()
    return coding in _CODINGS or (coding == "zstd" and hasattr(module.compression_utils, _ZSTD))


class Answers:
    """Makes the response to one request."""

    def __init__(self, module: ModuleType, request: Any) -> None:
        self._module = module
        self._request = request

    async def to_library(self, call: ServedCall, *, decompress: bool, bufsize: int | None) -> Any:
        """A response as the recorded one was handed over.

        Args:
            call: what to answer with.
            decompress: whether this program gets bodies without their content coding.
            bufsize: the bound of what is read ahead; None: the library's own.
        """
        head = call.recording.head
        assert head is not None
        content_class, protocol_class = served_classes(self._module)
        loop = asyncio.get_running_loop()
        protocol = protocol_class(loop)
        protocol.connection_made(Transport())
        self._prepare(protocol, bufsize)
        go_on = await self._parsed(protocol, _CONTINUE) if "Expect" in self._request.headers else None
        message, payload = await self._parsed(protocol, self._lines(head, decompress=decompress))
        content = payload
        if payload is not self._module.streams.EMPTY_PAYLOAD:
            content = content_class(protocol, payload.get_read_buffer_limits()[0], loop=loop)
            content.prepare(
                self,
                call,
                decode=decompress and head.wire and is_taken_off(self._module, message.headers),
                chunked=message.chunked,
            )
        connection = Connection(protocol, self._request, call)
        tracker = getattr(self._request, _TRACKER, None)
        if tracker is not None and hasattr(tracker, _STARTED):
            setattr(self._request, _ATTEMPT, getattr(tracker, _STARTED)())
        protocol.answer = (message, content)
        response = None
        try:
            response = await self._request.send(connection)
            if go_on is not None:
                protocol.feed_data(go_on, 0)
            await response.start(connection)
            if loop.get_debug() and hasattr(response, _LOOP):
                setattr(response, _LOOP, Quiet(loop))
        except BaseException:
            if response is not None:
                response.close()
            connection.close()
            raise
        if content is payload:
            call.end()
        else:
            content.begin()
        return response

    def to_exception(self, fault: Fault) -> BaseException:
        """The recorded error as this library's own type."""
        module, request = self._module, self._request
        cls = faults.known_class(fault, [module.client_exceptions], (module.ClientError, TimeoutError))
        if cls is None and fault.name == "TimeoutError":
            cls = TimeoutError
        if cls is None:
            trouble = faults.trouble(fault)
            broken_body = trouble is Trouble.BROKEN and fault.phase == "body"
            cls = getattr(module, "ClientPayloadError" if broken_body else _ERRORS[trouble])
        if issubclass(cls, module.ClientConnectorCertificateError):
            reason = ssl.SSLCertVerificationError(fault.facts.get("errno"), fault.facts.get("strerror"))
            return cls(request.connection_key, reason)  # type: ignore[no-any-return]
        if issubclass(cls, module.ClientConnectorError):
            told = OSError(fault.facts.get("errno"), fault.facts.get("strerror", fault.message))
            return self._unconnected(cls, told)
        if issubclass(cls, module.ClientResponseError) and "status" in fault.facts:
            about = request.request_info
            if issubclass(cls, module.ClientHttpProxyError) and request.proxy is not None:
                about = type(about)(about.url, "CONNECT", about.headers, request.proxy)
            made: BaseException = cls(about, (), status=fault.facts["status"], message=fault.facts["message"])
            return made
        return faults.revive(cls, fault)

    def _unconnected(self, cls: Any, reason: OSError) -> BaseException:
        request, key = self._request, self._request.connection_key
        if issubclass(cls, self._module.ClientProxyConnectionError) and request.proxy is not None:
            proxy = request.proxy
            key = key._replace(host=proxy.raw_host, port=proxy.port, is_ssl=proxy.scheme == "https")
        path = getattr(
            request.session.connector, "path", None
        )  # of a connector to a socket in the file system
        made: BaseException = (
            cls(path, key, reason) if cls.__name__ == "UnixClientConnectorError" else cls(key, reason)
        )
        return made

    @property
    def session_closed(self) -> bool:
        """Whether the session has been closed, and with it what it had open."""
        return bool(self._request.session.closed)

    def undecodable(self, error: Exception) -> BaseException:
        """What reading a body gives that is not in the coding that it is said to be in."""
        made: BaseException = self._module.ClientPayloadError(f"Can not decode content-encoding: {error}")
        return made

    def _prepare(self, protocol: Any, bufsize: int | None) -> None:
        """Make the library's parser, as it would be for this request."""
        bounds = {
            name: _UNBOUNDED
            for name in ("max_line_size", "max_field_size", "max_headers")
            if hasattr(self._request.session, f"_{name}")
        }
        if bufsize is not None:
            bounds["read_bufsize"] = bufsize
        protocol.set_response_params(
            skip_payload=self._request.method == "HEAD", read_until_eof=True, auto_decompress=False, **bounds
        )

    def _lines(self, head: Head, *, decompress: bool) -> bytes:
        """The head as it came over the connection."""
        pairs = head.headers
        if not head.wire and not decompress:  # the coding is gone, and this program would take it off
            pairs = tuple(p for p in pairs if p[0].lower() not in (b"content-encoding", b"content-length"))
        version = head.http_version if head.http_version.startswith("HTTP/1.") else "HTTP/1.1"
        lines = [b"%b %d %b" % (version.encode(), head.status, head.reason or b"")]
        lines += [b"%b: %b" % pair for pair in pairs]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    async def _parsed(self, protocol: Any, lines: bytes) -> tuple[Any, Any]:
        """A head as the library's parser gives it, and the content that it makes: only its kind counts."""
        protocol.data_received(lines)
        message, payload = await protocol.read()
        return message, payload
