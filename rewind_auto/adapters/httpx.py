"""httpx and httpx2: one adapter, bound to whichever module object it is given.

The seam is where a client asks which transport to use. Everything a client does around its transport
(redirects, auth flows, cookies, event hooks, ``elapsed``, decoding, ``raise_for_status``) stays the
library's own, on live calls and on replay, whatever the transport: mounted, proxied, custom, or made
before this was installed.

The method is private, and the same in every release from httpx 0.20 and httpx2 2.0 on
(``_client.py``, used once, in ``_send_single_request``). Where it is missing, the public
``HTTPTransport.handle_request`` is wrapped instead, which covers the default transports only.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from types import ModuleType
from typing import Any

from rewind_auto.adapters import httpx_streams as streams
from rewind_auto.core.model import Ending, Fault, Head, Request
from rewind_auto.core.playback import Playback
from rewind_auto.core.seam import Driver, LiveCall, ServedCall, arun, inside, run

_SEAM = "_transport_for_url"
_ORIGINAL = "__wrapped__"
_FALLBACK = (("HTTPTransport", "handle_request"), ("AsyncHTTPTransport", "handle_async_request"))


def install(module: ModuleType, driver: Driver) -> bool:
    """Wrap the clients of ``module`` (httpx or httpx2, under whatever name). Twice is once.

    Returns:
        Whether the seam was there; False: the fallback was used.
    """
    family = _family(module)
    found = [_wrap_seam(getattr(module, name), driver, family) for name in ("Client", "AsyncClient")]
    if not all(found):
        for name, method in _FALLBACK:
            _wrap_transport(getattr(module, name), method, driver, family)
    return all(found)


def uninstall(module: ModuleType) -> None:
    """Put every original attribute back."""
    for name, attribute in (("Client", _SEAM), ("AsyncClient", _SEAM), *_FALLBACK):
        cls = getattr(module, name)
        current = cls.__dict__.get(attribute)
        if getattr(current, "_rewind", False):
            setattr(cls, attribute, getattr(current, _ORIGINAL))


def is_installed(module: ModuleType) -> bool:
    """Whether `install` has been done on this module."""
    places = (("Client", _SEAM), _FALLBACK[0])
    return any(getattr(getattr(module, name).__dict__.get(attr), "_rewind", False) for name, attr in places)


def _wrap_seam(cls: Any, driver: Driver, family: _Family) -> bool:
    original = cls.__dict__.get(_SEAM)
    if original is None:
        return False
    if getattr(original, "_rewind", False):
        return True
    transport = family.transport(cls)
    wants = driver.wants

    # A plain function: this runs for every request of the program, and a wrapt wrapper alone would
    # cost 1.5 µs of the 3 µs that a request to a foreign host may.
    def _transport_for_url(self: Any, url: Any) -> Any:
        inner = original(self, url)
        return transport(inner, driver, family) if wants(url.host, url.port) else inner

    _mark(_transport_for_url, original)
    setattr(cls, _SEAM, _transport_for_url)
    return True


def _wrap_transport(cls: Any, method: str, driver: Driver, family: _Family) -> None:
    original = cls.__dict__[method]
    if getattr(original, "_rewind", False):
        return
    transport = family.transport(cls)

    def handle(self: Any, request: Any) -> Any:
        inner = _Bound(method, original.__get__(self))
        wanted = driver.wants(request.url.host, request.url.port)
        outer = transport(inner, driver, family) if wanted else inner
        return getattr(outer, method)(request)

    _mark(handle, original)
    setattr(cls, method, handle)


class _Bound:
    """Stands for a transport whose method is wrapped: calls the original."""

    def __init__(self, method: str, call: Callable[[Any], Any]) -> None:
        setattr(self, method, call)


def _mark(wrapper: Any, original: Any) -> None:
    wrapper.__name__, wrapper.__qualname__ = original.__name__, original.__qualname__
    wrapper.__doc__, wrapper.__module__ = original.__doc__, original.__module__
    setattr(wrapper, _ORIGINAL, original)
    wrapper._rewind = True


class _Family:
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
        self.Upload = type("RewindUpload", (streams.Upload, module.SyncByteStream, module.AsyncByteStream), {})
        self.SyncServed = type("RewindServed", (streams.SyncServed, module.SyncByteStream), {})
        self.AsyncServed = type("RewindServed", (streams.AsyncServed, module.AsyncByteStream), {})

    def transport(self, cls: Any) -> type[_SyncTransport | _AsyncTransport]:
        return _AsyncTransport if cls.__name__.startswith("Async") else _SyncTransport

    def to_internal(self, request: Any) -> Request:
        body = request.read() if isinstance(request.stream, self.ByteStream) else b""
        return Request(request.method, str(request.url), tuple(request.headers.raw), body, self.name)

    def head(self, response: Any, *, wire: bool = True) -> Head:
        extensions = response.extensions
        version = extensions.get("http_version", b"HTTP/1.1").decode("ascii", "replace")
        reason = extensions.get("reason_phrase", b"")
        return Head(response.status_code, tuple(response.headers.raw), reason, version, wire)

    def to_library(self, call: ServedCall, stream: Any) -> Any:
        head = call.recording.head
        assert head is not None  # noqa: S101 - callers raise the recorded fault when there is none
        headers = [*head.headers]
        if not head.wire:  # the body lost its coding when it was recorded: the headers must not claim one
            headers = [p for p in headers if p[0].lower() not in (b"content-encoding", b"content-length")]
        # Bytes, because the library encodes str headers as ASCII and raises on anything else.
        extensions = {"http_version": head.http_version.encode()} | (
            {"reason_phrase": head.reason} if head.reason or head.http_version != "HTTP/2" else {}
        )
        return self.Response(head.status, headers=headers, stream=stream, extensions=extensions)

    def to_fault(self, error: BaseException, phase: str) -> tuple[Ending, Fault | None]:
        if not isinstance(error, Exception):
            return Ending.CANCELLED, None
        cls = type(error)
        return Ending.FAULT, Fault(cls.__module__, cls.__qualname__, str(error), phase)

    def to_exception(self, fault: Fault) -> BaseException:
        """The recorded error as this library's own type, by name; never a class that data could choose freely."""
        for namespace in (self.module, builtins):
            cls = getattr(namespace, fault.name, None)
            if isinstance(cls, type) and issubclass(cls, (self.errors, ValueError, OSError, RuntimeError, TypeError)):
                return cls(fault.message)
        error: BaseException = self.module.TransportError(f"{fault.name}: {fault.message}")
        return error

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


_families: dict[int, _Family] = {}


def _family(module: ModuleType) -> _Family:
    family = _families.get(id(module))
    if family is None or family.module is not module:
        family = _families[id(module)] = _Family(module)
    return family


class _Transport:
    """A thin transport around the one the client would have used."""

    __slots__ = ("_driver", "_family", "_inner")

    def __init__(self, inner: Any, driver: Driver, family: _Family) -> None:
        self._inner = inner
        self._driver = driver
        self._family = family

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _upload(self, request: Any) -> Any:
        """The tee of a streamed upload, in place of its stream; None when the body is in memory."""
        if isinstance(request.stream, self._family.ByteStream):
            return None
        request.stream = upload = self._family.Upload(request.stream)
        return upload

    def _tee(self, response: Any, call: LiveCall, tee: Any, base: Any) -> bool:
        """Tell the head and put the tee in. False: there is no body to wait for, and it has been told."""
        family = self._family
        if family.unread(response) and isinstance(response.stream, base):
            call.head(family.head(response))
            response.stream = tee(response.stream, call, family)
            return True
        body, wire = family.read_already(response)
        call.head(family.head(response, wire=wire))
        if body:
            call.chunk(body)
        return False


class _SyncTransport(_Transport):
    def handle_request(self, request: Any) -> Any:
        if inside.get():
            return self._inner.handle_request(request)
        driver, family = self._driver, self._family
        if driver.needs_body:
            request.read()
        call = run(driver.begin(family.to_internal(request), upgrade="upgrade" in request.headers))
        if call is None:
            return self._inner.handle_request(request)
        if hasattr(call, "playback"):
            return self._serve(call)
        return self._live(request, call)

    def _live(self, request: Any, call: Any) -> Any:
        family = self._family
        upload = self._upload(request)
        try:
            with call.scope():
                response = self._inner.handle_request(request)
        except BaseException as error:
            if upload is not None:
                call.uploaded(upload.sent())
            run(call.end(*family.to_fault(error, "send")))
            raise
        finally:
            if upload is not None:
                request.stream = upload.stream
        if upload is not None:
            call.uploaded(upload.sent())
        if response.status_code == 101:  # noqa: PLR2004 - the connection is the program's now
            run(call.leave("upgrade"))
        elif not self._tee(response, call, family.SyncTee, family.SyncByteStream):
            run(call.end(Ending.EOF))
        return response

    def _serve(self, call: Any) -> Any:
        playback: Playback = call.playback()
        run(streams.pause(playback.head_pause))
        if call.recording.head is None:
            raise streams.unanswered(call, self._family)
        return self._family.to_library(call, self._family.SyncServed(call, playback, self._family))


class _AsyncTransport(_Transport):
    async def handle_async_request(self, request: Any) -> Any:
        if inside.get():
            return await self._inner.handle_async_request(request)
        driver, family = self._driver, self._family
        if driver.needs_body:
            await request.aread()
        begin = driver.begin(family.to_internal(request), upgrade="upgrade" in request.headers)
        call = await arun(begin, streams.sleep)
        if call is None:
            return await self._inner.handle_async_request(request)
        if hasattr(call, "playback"):
            return await self._serve(call)
        return await self._live(request, call)

    async def _live(self, request: Any, call: Any) -> Any:
        family = self._family
        upload = self._upload(request)
        try:
            with call.scope():
                response = await self._inner.handle_async_request(request)
        except BaseException as error:
            if upload is not None:
                call.uploaded(upload.sent())
            await streams.finish(call, *family.to_fault(error, "send"))
            raise
        finally:
            if upload is not None:
                request.stream = upload.stream
        if upload is not None:
            call.uploaded(upload.sent())
        if response.status_code == 101:  # noqa: PLR2004 - the connection is the program's now
            await arun(call.leave("upgrade"), streams.sleep)
        elif not self._tee(response, call, family.AsyncTee, family.AsyncByteStream):
            await arun(call.end(Ending.EOF), streams.sleep)
        return response

    async def _serve(self, call: Any) -> Any:
        playback: Playback = call.playback()
        await arun(streams.pause(playback.head_pause), streams.sleep)
        if call.recording.head is None:
            raise streams.unanswered(call, self._family)
        return self._family.to_library(call, self._family.AsyncServed(call, playback, self._family))
