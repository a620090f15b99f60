"""Recorded answers as aiohttp's own responses, made by the library's own ``send`` and ``start``.

The request is sent, to a connection that leads nowhere: so the library makes the response object, sets the
headers that it sets late, and tells the program's trace configs what it tells them. Then the response
starts from a recorded head, and a content that gives the recorded pieces when they are asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from rewind_auto.adapters import bodies
from rewind_auto.core import faults
from rewind_auto.core.decode import Decoder
from rewind_auto.core.faults import Trouble
from rewind_auto.core.model import Fault, Head
from rewind_auto.core.seam import ServedCall

_LIMIT = 2**16  # bytes, of a buffer that is filled on demand
_CONTINUE = 100
_CODINGS = ("gzip", "deflate", "br", "zstd")

# For errors that were recorded with another library.
_ERRORS = {
    Trouble.CONNECT: "ClientConnectorError",
    Trouble.CONNECT_TIMEOUT: "ConnectionTimeoutError",
    Trouble.TIMEOUT: "SocketTimeoutError",
    Trouble.BROKEN: "ServerDisconnectedError",
}

_classes: dict[int, tuple[ModuleType, Any, Any]] = {}


def is_taken_off(headers: Any) -> bool:
    """Whether the parser removes the content coding (``http_parser.HttpParser.parse_headers``)."""
    return headers.get("Content-Encoding", "").lower() in _CODINGS


class Answers:
    """Makes the response to one request."""

    def __init__(self, module: ModuleType, request: Any, sleep: Callable[[float], Awaitable[object]]) -> None:
        self._module = module
        self._request = request
        self._sleep = sleep

    async def to_library(self, call: ServedCall, *, decompress: bool) -> Any:
        """A response as the recorded one was handed over.

        ``decompress`` says whether this program gets bodies without their content coding.
        """
        head = call.recording.head
        assert head is not None
        content_class, protocol_class = _served_classes(self._module)
        loop = asyncio.get_running_loop()
        protocol = protocol_class(loop)
        protocol.connection_made(_Transport())
        connection = _Connection(protocol, self._request, call)
        response = await self._request.send(connection)
        message, payload = await self._parsed(protocol, head, decompress=decompress)
        if payload is self._module.streams.EMPTY_PAYLOAD:
            call.end()
            content = payload
        else:
            content = content_class(protocol, _LIMIT, loop=loop)
            content.prepare(
                self,
                call,
                decode=decompress and head.wire and is_taken_off(message.headers),
                chunked=message.chunked,
            )
        if "Expect" in self._request.headers:
            interim = message._replace(code=_CONTINUE)
            protocol.feed_data((interim, self._module.streams.EMPTY_PAYLOAD), 0)
        else:
            await protocol.sent
        protocol.feed_data((message, content), 0)
        await response.start(connection)
        if content is not payload:
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
            return cls(request.connection_key, ValueError(fault.message))  # type: ignore[no-any-return]
        if issubclass(cls, module.ClientConnectorError):
            reason = OSError(fault.facts.get("errno"), fault.facts.get("strerror", fault.message))
            return cls(request.connection_key, reason)  # type: ignore[no-any-return]
        if issubclass(cls, module.ClientResponseError) and "status" in fault.facts:
            made: BaseException = cls(
                request.request_info, (), status=fault.facts["status"], message=fault.facts["message"]
            )
            return made
        return faults.revive(cls, fault)

    async def sleep(self, seconds: float) -> None:
        await self._sleep(seconds)

    async def _parsed(self, protocol: Any, head: Head, *, decompress: bool) -> tuple[Any, Any]:
        """The head as the library's parser gives it, and the content that it makes: only its kind counts."""
        pairs = head.headers
        if not head.wire and not decompress:  # the coding is gone, and this program would take it off
            pairs = tuple(p for p in pairs if p[0].lower() not in (b"content-encoding", b"content-length"))
        version = head.http_version if head.http_version.startswith("HTTP/1.") else "HTTP/1.1"
        lines = [b"%b %d %b" % (version.encode(), head.status, head.reason or b"")]
        lines += [b"%b: %b" % pair for pair in pairs]
        protocol.set_response_params(
            skip_payload=self._request.method == "HEAD", read_until_eof=True, auto_decompress=False
        )
        protocol.data_received(b"\r\n".join(lines) + b"\r\n\r\n")
        message, payload = await protocol.read()
        return message, payload


class _Pieces:
    """Mix-in that makes a StreamReader one which is fed when it has nothing left to give.

    The library's own readers wait in ``_wait`` for the parser to feed them, in every release from 3.8 on.
    """

    def prepare(self, answers: Answers, call: ServedCall, *, decode: bool, chunked: bool) -> None:
        self._answers = answers
        self._call = call
        self._playback = call.playback()
        self._left = len(call.recording.cuts)
        assert call.recording.head is not None
        self._decoder = Decoder(call.recording.head) if decode else None
        self._chunked = chunked

    def begin(self: Any) -> None:
        """Be as full as a connection that has just brought the head, if nothing has to be waited for."""
        if not self._left:
            self._maybe_end()
        elif self._playback.speed == 0:
            self._give(next(iter(self._playback))[1])

    async def _wait(self: Any, _func_name: str) -> None:
        item = next(iter(self._playback), None)
        if item is None:
            await self._end()
            return
        if item[0] > 0:
            with self._timer:
                await self._answers.sleep(item[0])
        self._give(item[1])

    async def wait_eof(self: Any) -> None:
        while not self._eof:
            await self._wait("wait_eof")

    def _give(self: Any, data: bytes) -> None:
        self._left -= 1
        if self._decoder is not None:
            data = self._decoder.feed(data)
        if self._chunked:
            self.begin_http_chunk_receiving()
        self.feed_data(data)
        if self._chunked and self._playback.whole_chunk:
            self.end_http_chunk_receiving()
        if not self._left:
            self._maybe_end()

    def _maybe_end(self: Any) -> None:
        """The end comes with the last piece, where nothing has to be waited for or said."""
        playback = self._playback
        if not playback.end_pause and playback.fault is None and not playback.truncated:
            self._call.end()
            self.feed_eof()

    async def _end(self: Any) -> None:
        if self._playback.end_pause > 0:
            with self._timer:
                await self._answers.sleep(self._playback.end_pause)
        self._call.end()
        error = bodies.ended_badly(self._call, self._playback, self._answers.to_exception)
        if error is None:
            self.feed_eof()
            return
        if isinstance(error, Exception):
            self.set_exception(error)
        raise error


class _Sent:
    """Mix-in for the library's protocol: knows when the request is out."""

    def __init__(self: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)  # type: ignore[call-arg]
        self.sent = loop.create_future()

    def start_timeout(self: Any) -> None:
        if not self.sent.done():
            self.sent.set_result(None)

    def set_exception(self: Any, *args: Any, **options: Any) -> None:
        super().set_exception(*args, **options)  # type: ignore[misc]
        self.start_timeout()


def _served_classes(module: ModuleType) -> tuple[Any, Any]:
    """The content and protocol classes for this aiohttp."""
    found = _classes.get(id(module))
    if found is None or found[0] is not module:
        content = type("StreamReader", (_Pieces, module.StreamReader), {})
        protocol = type("RewindProtocol", (_Sent, module.client_proto.ResponseHandler), {})
        found = _classes[id(module)] = (module, content, protocol)
    return found[1:]


class _Connection:
    """What the library takes from its connector: here it ends in nothing."""

    def __init__(self, protocol: Any, request: Any, call: ServedCall) -> None:
        self.protocol = protocol
        self.transport = None
        self._connector = request.session.connector  # `ClientRequest.send` asks it whether to keep alive
        self._call = call
        self._callbacks: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> None:
        """To be called when the program lets go of it: the library stops its timer then."""
        self._callbacks.append(callback)

    @property
    def closed(self) -> bool:
        return self.protocol is None

    def release(self) -> None:
        self.protocol = None
        self._call.end()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    close = release


class _Transport(asyncio.Transport):
    """Takes everything and says nothing."""

    def write(self, data: Any) -> None:
        del data

    def writelines(self, list_of_data: Any) -> None:
        del list_of_data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        return None

    def abort(self) -> None:
        return None

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None
