"""What differs between httpx and httpx2: the module, its classes, and the way to and from our own values."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from rewind_auto.adapters import httpx_streams as streams
from rewind_auto.core import faults
from rewind_auto.core.faults import Trouble
from rewind_auto.core.model import Fault, Head, Request
from rewind_auto.core.seam import ServedCall

_FAMILIES = ("httpx", "httpx2")

# What transports are made of: some of its errors they let pass.
_BELOW = ("h11", "h2", "httpcore", "httpcore2")

# For errors that were recorded with another library, and the libraries.
_OTHERS = (*_BELOW, "aiohttp", "builtins", "requests", "urllib3")
_ERRORS = {
    Trouble.CONNECT: "ConnectError",
    Trouble.CONNECT_TIMEOUT: "ConnectTimeout",
    Trouble.TIMEOUT: "ReadTimeout",
    Trouble.BROKEN: "RemoteProtocolError",
}


class Family:
    """What is needed of one of the two modules, and the stream classes made of its base classes."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.name = module.__name__
        self.ByteStream: Any = module.ByteStream
        self.SyncByteStream: Any = module.SyncByteStream
        self.AsyncByteStream: Any = module.AsyncByteStream
        self.Response: Any = module.Response
        self.errors: Any = module.RequestError
        self.SyncTee = type("RewindTee", (streams.SyncTee, module.SyncByteStream), {})
        self.AsyncTee = type("RewindTee", (streams.AsyncTee, module.AsyncByteStream), {})
        self.Upload = type(
            "RewindUpload", (streams.Upload, module.SyncByteStream, module.AsyncByteStream), {}
        )
        self.SyncServed = type("RewindServed", (streams.SyncServed, module.SyncByteStream), {})
        self.AsyncServed = type("RewindServed", (streams.AsyncServed, module.AsyncByteStream), {})

    def to_internal(self, request: Any, upload: bytes = b"") -> Request:
        body = request.read() if isinstance(request.stream, self.ByteStream) else upload
        return Request(request.method, str(request.url), tuple(request.headers.raw), body, self.name)

    def head(self, response: Any, *, wire: bool = True, whole: bool = False) -> Head:
        extensions = response.extensions
        version = extensions.get("http_version", b"HTTP/1.1").decode("ascii", "replace")
        reason = extensions.get("reason_phrase")
        return Head(response.status_code, tuple(response.headers.raw), reason, version, wire, whole)

    def to_library(self, call: ServedCall, stream: Any) -> Any:
        """A response as the recorded one was handed over: with its body to come, or read already."""
        head = call.recording.head
        assert head is not None
        extensions = {"http_version": head.http_version.encode()}
        if head.reason is not None:
            extensions["reason_phrase"] = head.reason
        if head.whole:
            coded = [pair for pair in head.headers if head.wire and pair[0].lower() == b"content-encoding"]
            body = call.recording.body
            response = self.Response(head.status, headers=coded, content=body, extensions=extensions)
            response.headers = self.module.Headers(head.headers)
            call.end()
            return response
        headers = [*head.headers]
        if not head.wire:  # the body lost its coding when it was recorded: the headers must not claim one
            headers = [p for p in headers if p[0].lower() not in (b"content-encoding", b"content-length")]
        # Bytes, because the library encodes str headers as ASCII and raises on anything else.
        return self.Response(head.status, headers=headers, stream=stream, extensions=extensions)

    def to_exception(self, fault: Fault) -> BaseException:
        """The recorded error as this library's own type."""
        package = fault.module.partition(".")[0]
        if package in _BELOW:
            below = [sys.modules[name] for name in (fault.module, package) if name in sys.modules]
            cls = faults.known_class(fault, below, (Exception,))
        else:  # of the other family by name; what the program itself calls so is something else
            own = [self.module] if package in _FAMILIES else []
            cls = faults.known_class(fault, own, (self.errors, RuntimeError))
        if cls is None and package in _OTHERS:
            cls = getattr(self.module, _ERRORS[faults.trouble(fault)])
        if cls is None:  # of a transport of the program's own
            error: BaseException = self.module.TransportError(f"{fault.name}: {fault.message}")
            return error
        return faults.revive(cls, fault)

    def unread(self, response: Any) -> bool:
        return not (response.is_closed or response.is_stream_consumed)

    def read_already(self, response: Any) -> tuple[bytes, bool]:
        """Body of a response that a custom transport had read, and whether it is as on the wire."""
        if isinstance(response.stream, self.ByteStream):
            return b"".join(response.stream), True
        try:
            return response.content, False
        except Exception:  # noqa: BLE001 - the library's ResponseNotRead: closed without having been read
            return b"", True


_families: dict[int, Family] = {}


def family_of(module: ModuleType) -> Family:
    """The one `Family` of a module, until it is reloaded and has new classes."""
    family = _families.get(id(module))
    if family is None or family.module is not module or family.Response is not module.Response:
        family = _families[id(module)] = Family(module)
    return family
