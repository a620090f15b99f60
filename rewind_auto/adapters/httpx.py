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

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from rewind_auto.adapters import bodies, patching
from rewind_auto.adapters import httpx_streams as streams
from rewind_auto.adapters.httpx_family import Family, family_of
from rewind_auto.core.faults import to_fault
from rewind_auto.core.model import Ending
from rewind_auto.core.playback import Playback
from rewind_auto.core.seam import Driver, LiveCall, Pauses, arun, inside, run

WITHOUT_SEAM = "transports other than the default ones are not covered"

_SEAM = "_transport_for_url"
_CLIENTS = ("Client", "AsyncClient")
_FALLBACK = (("HTTPTransport", "handle_request"), ("AsyncHTTPTransport", "handle_async_request"))


def install(module: ModuleType, driver: Driver) -> bool:
    """Wrap the clients of ``module`` (httpx or httpx2, under whatever name). Twice is once.

    Returns:
        Whether the seam was there; False: the fallback was used.
    """
    family = family_of(module)
    found = [
        patching.wrap(cls, _SEAM, driver, partial(_seam, transport=_transport(cls), family=family))
        for cls in (getattr(module, name) for name in _CLIENTS)
    ]
    if not all(found):
        for name, method in _FALLBACK:
            cls = getattr(module, name)
            make = partial(_fallback, method=method, transport=_transport(cls), family=family)
            patching.wrap(cls, method, driver, make)
    return all(found)


def has_seam(module: ModuleType) -> bool:
    """Whether this release has what `install` looks for."""
    return all(hasattr(getattr(module, name), _SEAM) for name in _CLIENTS)


def uninstall(module: ModuleType) -> None:
    """Put every original attribute back."""
    for name, attribute in _places():
        patching.unwrap(getattr(module, name), attribute)


def is_installed(module: ModuleType) -> bool:
    """Whether `install` has been done on this module."""
    return any(patching.is_wrapped(getattr(module, name, None), attribute) for name, attribute in _places())


def _places() -> tuple[tuple[str, str], ...]:
    return (*((name, _SEAM) for name in _CLIENTS), *_FALLBACK)


def _seam(patch: patching.Patch, *, transport: Any, family: Family) -> Any:
    original = patch.original

    # A plain function: this runs for every request of the program, and a wrapt wrapper alone would
    # cost 1.5 µs of the 3 µs that a request to a foreign host may.
    def _transport_for_url(self: Any, url: Any) -> Any:
        inner = original(self, url)
        driver = patch.driver
        if driver is None:
            return inner
        try:
            if not driver.wants(url.host, url.port):
                return inner
            return transport(inner, driver, family)
        except Exception as error:  # noqa: BLE001 - the program must not see it
            driver.failed("choice of a transport", error)
            return inner

    return _transport_for_url


def _transport(cls: Any) -> type[_SyncTransport | _AsyncTransport]:
    return _AsyncTransport if cls.__name__.startswith("Async") else _SyncTransport


def _fallback(patch: patching.Patch, *, method: str, transport: Any, family: Family) -> Any:
    def handle(self: Any, request: Any) -> Any:
        driver = patch.driver
        if driver is None or not driver.wants(request.url.host, request.url.port):
            return patch.original(self, request)
        inner = _Bound(method, partial(patch.original, self))
        return getattr(transport(inner, driver, family), method)(request)

    return handle


class _Bound:
    """Stands for a transport whose method is wrapped: calls the original."""

    def __init__(self, method: str, call: Callable[[Any], Any]) -> None:
        setattr(self, method, call)


class _Transport:
    """A thin transport around the one the client would have used."""

    __slots__ = ("_driver", "_family", "_inner")

    def __init__(self, inner: Any, driver: Driver, family: Family) -> None:
        self._inner = inner
        self._driver = driver
        self._family = family

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _must_drain(self, request: Any) -> bool:
        return self._driver.needs_body and not isinstance(request.stream, self._family.ByteStream)

    def _restore(self, request: Any, drained: bodies.Drained) -> None:
        """Make a request whose upload was read ready to be sent after all."""
        body, failure = drained
        if failure is not None:
            raise failure
        request.stream = self._family.ByteStream(body)

    def _upload(self, request: Any, call: LiveCall) -> Any:
        """The tee of a streamed upload, in place of its stream; None when the body is in memory."""
        try:
            if isinstance(request.stream, self._family.ByteStream):
                return None
            request.stream = upload = self._family.Upload(request.stream, call.limit)
        except Exception as error:  # noqa: BLE001
            call.lost(error)
            return None
        return upload

    def _tee(self, response: Any, call: LiveCall, tee: Any, base: Any) -> bool:
        """Tell the head and put the tee in. False: there is no body to wait for, and it has been told."""
        try:
            family = self._family
            if family.unread(response) and isinstance(response.stream, base):
                call.head(family.head(response))
                response.stream = tee(response.stream, call, family)
                return True
            body, wire = family.read_already(response)
            call.head(family.head(response, wire=wire, whole=True))
            if body:
                call.chunk(body)
        except Exception as error:  # noqa: BLE001 - of a response that is like no other
            call.lost(error)
        return False

    def _serve(self, call: Any, drained: bodies.Drained | None, served: Any) -> Pauses[Any]:
        """The recorded answer: a response, its body a ``served``, or what it raises. None: cannot be had."""
        try:
            playback: Playback = call.playback()
            yield from playback.head_pauses()
            if call.recording.head is None:
                return bodies.unanswered(call, drained and drained[1], self._family.to_exception)
            return self._family.to_library(call, served(call, playback, self._family))
        except Exception as error:  # noqa: BLE001 - the program must not see it
            call.end()
            self._driver.failed("a recorded answer", error)
            return None
        except BaseException:  # cancelled while it waited
            call.end()
            raise


class _SyncTransport(_Transport):
    def handle_request(self, request: Any) -> Any:
        if inside.get():
            return self._inner.handle_request(request)
        driver, family = self._driver, self._family
        call, drained = None, None
        try:
            if self._must_drain(request):
                drained = bodies.drain(request.stream)
            internal = family.to_internal(request, drained[0] if drained else b"")
            call = run(driver.begin(internal, upgrade="upgrade" in request.headers))
        except Exception as error:  # noqa: BLE001 - the program must not see it
            driver.failed("request of httpx", error)
        if call is not None and hasattr(call, "playback"):
            answer = run(self._serve(call, drained, family.SyncServed))
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                return answer
            call = None
        if drained is not None:
            self._restore(request, drained)
        if call is None:
            return self._inner.handle_request(request)
        return self._live(request, call)

    def _live(self, request: Any, call: Any) -> Any:
        family = self._family
        upload = self._upload(request, call)
        try:
            with call.scope():
                response = self._inner.handle_request(request)
        except BaseException as error:
            if upload is not None:
                bodies.uploaded(call, upload.kept)
            run(call.end(*to_fault(error, "send")))
            raise
        finally:
            if upload is not None:
                request.stream = upload.stream
        if upload is not None:
            bodies.uploaded(call, upload.kept)
        if response.status_code == 101:  # noqa: PLR2004 - the connection is the program's now
            run(call.leave("upgrade"))
        elif not self._tee(response, call, family.SyncTee, family.SyncByteStream):
            run(call.end(Ending.EOF))
        return response


class _AsyncTransport(_Transport):
    async def handle_async_request(self, request: Any) -> Any:
        if inside.get():
            return await self._inner.handle_async_request(request)
        driver, family = self._driver, self._family
        call, drained = None, None
        try:
            if self._must_drain(request):
                drained = await bodies.adrain(request.stream)
            internal = family.to_internal(request, drained[0] if drained else b"")
            call = await arun(driver.begin(internal, upgrade="upgrade" in request.headers), streams.sleep)
        except Exception as error:  # noqa: BLE001 - the program must not see it
            driver.failed("request of httpx", error)
        if call is not None and hasattr(call, "playback"):
            answer = await arun(self._serve(call, drained, family.AsyncServed), streams.sleep)
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                return answer
            call = None
        if drained is not None:
            self._restore(request, drained)
        if call is None:
            return await self._inner.handle_async_request(request)
        return await self._live(request, call)

    async def _live(self, request: Any, call: Any) -> Any:
        family = self._family
        upload = self._upload(request, call)
        try:
            with call.scope():
                response = await self._inner.handle_async_request(request)
        except BaseException as error:
            if upload is not None:
                bodies.uploaded(call, upload.kept)
            await streams.finish(call, *to_fault(error, "send"))
            raise
        finally:
            if upload is not None:
                request.stream = upload.stream
        if upload is not None:
            bodies.uploaded(call, upload.kept)
        if response.status_code == 101:  # noqa: PLR2004 - the connection is the program's now
            await arun(call.leave("upgrade"), streams.sleep)
        elif not self._tee(response, call, family.AsyncTee, family.AsyncByteStream):
            await arun(call.end(Ending.EOF), streams.sleep)
        return response
