"""Recorded answers as responses of requests, by the library's own code.

What is recorded is made into the bytes of an HTTP/1.1 message again, chunk framing included, and read by
http.client and urllib3 as from a connection: chunk boundaries, lengths, decoding and cookies are theirs.
"""

from __future__ import annotations

import http.client
import io
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from rewind_auto.adapters import bodies
from rewind_auto.core import faults
from rewind_auto.core.faults import Trouble
from rewind_auto.core.model import Fault, Head
from rewind_auto.core.seam import ServedCall, run

# urllib3 makes its decoder at the first read unless there is one (``_init_decoder``, 1.26 to 2.8).
_DECODER = "_decoder"

_OWN = ("requests", "urllib3", "builtins")

# For errors that were recorded with another library: raised by an adapter, and by urllib3 under a body.
_ERRORS = {
    Trouble.CONNECT: "ConnectionError",
    Trouble.CONNECT_TIMEOUT: "ConnectTimeout",
    Trouble.TIMEOUT: "ReadTimeout",
    Trouble.BROKEN: "ConnectionError",
}
_BODY_ERRORS = {Trouble.TIMEOUT: "ReadTimeoutError"}


class Answers:
    """Makes the responses to one prepared request."""

    def __init__(self, module: ModuleType, request: Any, adapter: Any) -> None:
        self._module = module
        self._request = request
        self._adapter = adapter
        self._urllib3 = sys.modules["urllib3"]  # requests has imported it

    def to_library(self, call: ServedCall) -> Any:
        """A response as the recorded one was handed over."""
        head = call.recording.head
        assert head is not None
        raw = self._raw(call, head)
        response = self._module.adapters.HTTPAdapter.build_response(self._adapter, self._request, raw)
        if head.whole:
            _ = response.content
        return response

    def to_exception(self, fault: Fault) -> BaseException:
        """The recorded error as requests' or urllib3's own type."""
        ours = self._module.exceptions
        lower = self._urllib3.exceptions
        namespaces = [ours, lower] if fault.module.startswith("requests") else [lower, ours]
        cls = None
        if fault.module.partition(".")[0] in _OWN:
            cls = faults.known_class(fault, namespaces, (ours.RequestException, lower.HTTPError))
        if cls is None:
            trouble = faults.trouble(fault)
            if fault.phase == "body":
                cls = getattr(lower, _BODY_ERRORS.get(trouble, "ProtocolError"))
            else:
                cls = getattr(ours, _ERRORS[trouble])
        error = faults.revive(cls, fault)
        cause = self._within(fault.facts.get("within"))
        if cause is not None and str(cause) == fault.message:
            # As requests raises them: programs look at what urllib3 said, in the first argument.
            error.args, error.__context__ = (cause,), cause
        if isinstance(error, ours.RequestException):
            error.request, error.response = self._request, None
        return error

    def _within(self, told: Any) -> BaseException | None:
        """An exception of urllib3's that is an argument of one of requests', with its reason."""
        if not isinstance(told, dict):
            return None
        fault = Fault(told["module"], told["name"], told["message"], "send")
        cls = faults.known_class(fault, [self._urllib3.exceptions], (self._urllib3.exceptions.HTTPError,))
        if cls is None:
            return None
        error: Any = cls.__new__(cls)
        error.args = (fault.message,)
        # Not by attribute: some are properties.
        vars(error).update(pool=None, url=None, reason=self._within(told.get("reason")))
        return error  # type: ignore[no-any-return]

    def _raw(self, call: ServedCall, head: Head) -> Any:
        keeps_length = head.wire or not _has(head, b"content-encoding")
        chunked = _has(head, b"transfer-encoding", b"chunked")
        # urllib3 1.26 gives what a read of so many bytes of the connection decodes to, more or less.
        by_piece = not head.wire and not chunked and not hasattr(self._urllib3.HTTPResponse, "read1")
        wire = _Wire(self._message(call, head, chunked=chunked), call, by_piece=by_piece)
        answer = http.client.HTTPResponse(_Socket(wire), method=self._request.method)  # type: ignore[arg-type]
        answer.begin()
        if not keeps_length and answer.length:
            answer.length = None  # that of the body with its coding, which is gone
        headers = self._urllib3._collections.HTTPHeaderDict()  # noqa: SLF001 - public in 2.x only
        for name, value in answer.headers.items():
            headers.add(name, value)
        options: dict[str, Any] = {} if keeps_length else {"enforce_content_length": False}
        if hasattr(self._urllib3.HTTPResponse, "url"):  # urllib3 1.26 does not say it
            options["request_url"] = self._request.path_url
        raw = self._urllib3.HTTPResponse(
            body=answer,
            headers=headers,
            status=answer.status,
            version=answer.version,
            reason=answer.reason,
            preload_content=False,
            decode_content=False,
            original_response=answer,
            request_method=self._request.method,
            retries=getattr(self._adapter, "max_retries", None),
            **options,
        )
        if hasattr(raw, "version_string"):
            raw.version_string = "HTTP/1.1"  # what the connection speaks, whatever the answer says
        raw.drain_conn = wire.close  # there is no connection to be made free, and no more than was recorded
        if not head.wire:
            if hasattr(raw, _DECODER):
                setattr(raw, _DECODER, _Decoded())
            else:
                raw.headers.pop("content-encoding", None)
        return raw

    def _message(self, call: ServedCall, head: Head, *, chunked: bool) -> Iterator[bytes]:
        """The recorded message as it would come over a connection."""
        version = head.http_version if head.http_version.startswith("HTTP/1.") else "HTTP/1.1"
        lines = [b"%b %d %b" % (version.encode(), head.status, head.reason or b"")]
        lines += [b"%b: %b" % pair for pair in head.headers]
        yield b"\r\n".join(lines) + b"\r\n\r\n"
        playback = call.playback()
        for wait, data in playback:
            run(bodies.pause(wait))
            if data:
                yield b"%x\r\n%b\r\n" % (len(data), data) if chunked else data
        run(playback.end_pauses())
        call.end()
        error = bodies.ended_badly(call, playback, self.to_exception)
        if error is not None:
            raise error
        if chunked:
            yield b"0\r\n\r\n"


def _has(head: Head, name: bytes, part: bytes = b"") -> bool:
    return any(key.lower() == name and part in value.lower() for key, value in head.headers)


class _Decoded:
    """A decoder for what was decoded when it was recorded."""

    has_unconsumed_tail = False

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:  # noqa: ARG002 - urllib3's signature
        return data

    def flush(self) -> bytes:
        return b""


class _Wire:
    """A message as the file of a connection: what http.client and urllib3 use of one.

    A read gives as much as it is asked for, unless the message ends or breaks off: what came before an error
    is given first, as it was when it was recorded. So `io.BufferedReader`, which would lose it, is no help.
    """

    def __init__(self, message: Iterator[bytes], call: ServedCall, *, by_piece: bool) -> None:
        self._message = message
        self._by_piece = by_piece  # whether a read gives one recorded piece, however much it asks for
        self._call = call
        self._left = memoryview(b"")
        self._error: BaseException | None = None
        self.closed = False

    def read(self, size: int | None = -1) -> bytes:
        if self._by_piece and size and size > 0:
            piece = bytes(self._left) if self._fill() else b""
            self._left = memoryview(b"")
            return piece
        parts: list[memoryview] = []
        wanted = sys.maxsize if size is None or size < 0 else size
        while wanted and self._fill(held=bool(parts)):
            part = self._left[:wanted]
            parts.append(part)
            self._left = self._left[len(part) :]
            wanted -= len(part)
        return b"".join(parts)

    def read1(self, size: int = -1) -> bytes:
        self._fill()
        return self.read(len(self._left) if size < 0 else min(size, len(self._left)))

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self, limit: int = -1) -> bytes:
        line = b""
        while (limit < 0 or len(line) < limit) and not line.endswith(b"\n") and self._fill(held=bool(line)):
            end = bytes(self._left).find(b"\n") + 1 or len(self._left)
            end = end if limit < 0 else min(end, limit - len(line))
            line += bytes(self._left[:end])
            self._left = self._left[end:]
        return line

    def peek(self, _size: int = 0) -> bytes:
        self._fill()
        return bytes(self._left)

    def flush(self) -> None:
        return None

    def fileno(self) -> int:
        raise io.UnsupportedOperation("a recorded answer has no file descriptor")

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._call.end()

    def _fill(self, *, held: bool = False) -> bool:
        """Have something to give. False: nothing more comes, or not before ``held`` data has been given."""
        if self._error is not None:
            raise self._error
        try:
            while not self._left:
                self._left = memoryview(next(self._message))
        except StopIteration:
            return False
        except Exception as error:
            if not held:
                raise
            self._error = error
            return False
        return True


class _Socket:
    """What http.client asks for a file."""

    def __init__(self, file: _Wire) -> None:
        self._file = file

    def makefile(self, *_: object) -> _Wire:
        return self._file
