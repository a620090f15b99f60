"""The adapter that a session is given in place of its own for a call that may be ours."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from wrapt import ObjectProxy

from rewind_auto.adapters import bodies
from rewind_auto.adapters.requests_answers import Answers
from rewind_auto.adapters.requests_bodies import Raw, Urllib3Raw, in_memory, upload_of
from rewind_auto.core.faults import to_fault
from rewind_auto.core.model import Ending, Head, Request
from rewind_auto.core.seam import Driver, LiveCall, ServedCall, inside, run

_BLOCK = 65536  # bytes of a file read at a time

# How the body is read and what cookies are set is as the message has it, whatever an adapter makes of these.
_OF_THE_MESSAGE = ("content-encoding", "content-length", "set-cookie", "transfer-encoding")


class Sending(ObjectProxy):  # type: ignore[type-arg]
    """The session's adapter in all but `send`."""

    def __init__(self, inner: Any, driver: Driver, module: ModuleType) -> None:
        super().__init__(inner)
        self._self_driver = driver
        self._self_module = module

    def __copy__(self) -> Any:
        return copy.copy(self.__wrapped__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self.__wrapped__, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__wrapped__.__reduce_ex__(protocol)

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        """Send a prepared request, or answer it."""
        if inside.get():
            return self.__wrapped__.send(request, *args, **options)
        driver: Driver = self._self_driver
        call: Any = None
        drained = body = None
        try:
            body = in_memory(request.body)
            if body is None and driver.needs_body:
                drained = _drain(request.body)
            internal = to_internal(request, drained.body if drained else body or b"")
            call = run(driver.begin(internal, upgrade="Upgrade" in request.headers))
        except Exception as error:  # noqa: BLE001 - the program must not see it
            driver.failed("request of requests", error)
        if call is not None and hasattr(call, "playback"):
            answer = self._serve(request, call, drained)
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                return answer
            call = None
        if drained is not None:
            return self._send_drained(request, drained, args, options)
        if call is None:
            return self.__wrapped__.send(request, *args, **options)
        return self._live(request, call, args, options, streamed=body is None)

    def _live(self, request: Any, call: LiveCall, args: Any, options: Any, *, streamed: bool) -> Any:
        body = request.body
        upload = kept = None
        try:
            if streamed:
                upload, kept = upload_of(body, call.limit)
        except Exception as error:  # noqa: BLE001
            call.lost(error)
        try:
            if upload is not None:
                request.body = upload
            with call.scope():
                response = self.__wrapped__.send(request, *args, **options)
        except BaseException as error:
            if kept is not None:
                bodies.uploaded(call, kept)
            run(call.end(*to_fault(error, "send")))
            raise
        finally:
            if upload is not None:
                request.body = body
        if kept is not None:
            bodies.uploaded(call, kept)
        try:
            self._observe(response, call)
        except Exception as error:  # noqa: BLE001 - of a response that is like no other
            try:
                call.lost(error)
            finally:
                run(call.end(Ending.EOF))
        return response

    def _observe(self, response: Any, call: LiveCall) -> None:
        """Tell the head and put the tee in."""
        if response.status_code == 101:  # noqa: PLR2004 - the connection is the program's now
            run(call.leave("upgrade"))
            return
        if getattr(response, "connection", None) is self.__wrapped__:
            # Digest auth sends its second leg through the response's `connection`.
            response.connection = self
        raw, content = response.raw, getattr(response, "_content", False)  # False: not read yet
        if content is not False or raw is None:
            call.head(to_head(response, whole=True))
            if isinstance(content, bytes) and content:
                call.chunk(content)
            run(call.end(Ending.EOF))
            return
        call.head(to_head(response))
        if getattr(raw, "closed", False):  # an answer without a body is over when its head has come
            run(call.end(Ending.EOF))
        else:
            response.raw = (Urllib3Raw if hasattr(raw, "stream") else Raw)(raw, call)

    def _serve(self, request: Any, call: ServedCall, drained: _Drained | None) -> Any:
        """The recorded answer: a response, or what it raises. None: it cannot be had."""
        try:
            answers = Answers(self._self_module, request, self)
            run(call.playback().head_pauses())
            if call.recording.head is None:
                return bodies.unanswered(call, drained and drained.error, answers.to_exception)
            return answers.to_library(call)
        except Exception as error:  # noqa: BLE001 - the program must not see it
            call.end()
            self._self_driver.failed("a recorded answer", error)
            return None
        except BaseException:  # cancelled while it waited
            call.end()
            raise

    def _send_drained(self, request: Any, drained: _Drained, args: Any, options: Any) -> Any:
        """Send after all a request whose upload has been read."""
        if drained.error is not None:
            raise drained.error
        body, request.body = request.body, drained.again()
        try:
            return self.__wrapped__.send(request, *args, **options)
        finally:
            request.body = body


class _Drained(NamedTuple):
    """An upload that was read to its end."""

    body: bytes
    error: Exception | None
    again: Callable[[], Any]  # one to send in its place


def _drain(body: Any) -> _Drained:
    if not hasattr(body, "read"):
        whole, error = bodies.drain(body)
        return _Drained(whole, error, lambda: iter([whole] if whole else []))
    where = body.tell() if hasattr(body, "tell") and hasattr(body, "seek") else None
    whole, error = bodies.drain(iter(lambda: _bytes(body.read(_BLOCK)), b""))

    def again() -> Any:
        if where is None:
            return whole
        body.seek(where)
        return body

    return _Drained(whole, error, again)


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def to_internal(request: Any, body: bytes) -> Request:
    """A prepared request in our words."""
    pairs = tuple((_latin(name), _latin(value)) for name, value in request.headers.items())
    return Request(request.method or "GET", str(request.url), pairs, body, "requests")


def to_head(response: Any, *, whole: bool = False) -> Head:
    """The head of a response in our words.

    From the message that http.client parsed, which requests itself looks at for its cookies: urllib3 puts
    headers of equal names together, and requests makes one of them. What an adapter of the program's own
    made of the headers of the response takes their place.
    """
    raw = response.raw
    message = getattr(getattr(raw, "_original_response", None), "msg", None)
    below = getattr(raw, "headers", None)
    pairs = list((message or below or response.headers).items())
    if below and (changed := _changed(response.headers, below)):
        pairs = [pair for pair in pairs if pair[0].lower() not in changed]
        pairs += [pair for pair in response.headers.items() if pair[0].lower() in changed]
    version = getattr(raw, "version", None)
    return Head(
        response.status_code or 0,
        tuple((_latin(name), _latin(value)) for name, value in pairs),
        None if response.reason is None else _latin(response.reason),
        {9: "HTTP/0.9", 10: "HTTP/1.0", 20: "HTTP/2"}.get(version, "HTTP/1.1"),  # type: ignore[arg-type]
        whole=whole,
    )


def _changed(shown: Any, below: Any) -> set[str]:
    """Names of headers, in lower case, that the program sees otherwise than urllib3 does."""
    if len(shown) == len(below) and all(below.get(name) == value for name, value in shown.items()):
        return set()
    names = {name.lower() for name in (*shown, *below) if below.get(name) != shown.get(name)}
    return {name for name in names.difference(_OF_THE_MESSAGE) if not {*"\r\n"} & {*str(shown.get(name))}}


def _latin(text: Any) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return str(text).encode("latin-1")
    except UnicodeEncodeError:  # of an adapter of the program's own
        return str(text).encode("utf-8", "surrogateescape")
