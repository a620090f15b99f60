"""One request of aiohttp at the seam: sent and teed, or answered."""

from __future__ import annotations

from asyncio import CancelledError
from asyncio import sleep as wait  # now: tests of programs put a `sleep` of their own into the module
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from rewind_auto.adapters import bodies
from rewind_auto.adapters.aiohttp_answers import Answers, is_taken_off
from rewind_auto.adapters.aiohttp_bodies import Content, Live
from rewind_auto.adapters.aiohttp_uploads import Parts, Upload, in_memory, replaced
from rewind_auto.core import faults
from rewind_auto.core.model import Ending, Fault, Head, Request
from rewind_auto.core.seam import Driver, ServedCall, arun

# Whether a request's total time-out has fired: the library makes a TimeoutError of the cancellation only
# above the middlewares (``helpers.TimerContext.__exit__``). Without it the call counts as cancelled.
_TIMER, _FIRED = "_timer", "_cancelled"

# A session's bound of what is read ahead, which also is what a line may be long. Without it the library's.
_BUFSIZE = "_read_bufsize"


async def intercept(
    module: ModuleType, driver: Driver, request: Any, handler: Any, asked: Mapping[str, Any]
) -> Any:
    """Decide about a request, and carry it out.

    ``asked`` is what the program said about reading for this request; where it said nothing, the session's
    own counts.
    """
    body, content, drained = request.body, None, None
    call: Any = None
    try:
        content = await in_memory(module, body)
        if content is None and driver.needs_body:
            drained = await Parts.of(body, _length(request))
        internal = _to_internal(request, drained.whole if drained else content or b"")
        call = await arun(driver.begin(internal, upgrade="Upgrade" in request.headers), wait)
    except Exception as error:  # noqa: BLE001 - the program must not see it
        driver.failed("request of aiohttp", error)
    if hasattr(call, "playback") and not await _is_there(driver, call):
        call = None
    if call is None:
        with replaced(body, drained and drained.send):
            return await handler(request)
    if hasattr(call, "playback"):
        with replaced(body, drained and drained.write):
            return await _serve(Answers(module, request), request, call, asked)
    upload = None
    try:
        if content is None and drained is None:
            upload = Upload(body, call.limit)
    except Exception as error:  # noqa: BLE001 - of a payload that is like no other
        call.lost(error)
    live = Live(call, upload, wait)
    with replaced(body, upload.write if upload else drained and drained.send):
        response = await _sent(request, handler, live)
    try:
        await _observe(module, response, live, decompress=_decompresses(request, asked))
    except Exception as error:  # noqa: BLE001 - of a response that is like no other
        call.lost(error)
        await live.finish(Ending.EOF)
    return response


async def _is_there(driver: Driver, call: ServedCall) -> bool:
    """Wait for the head of a recorded answer. False: it cannot be had."""
    try:
        await arun(call.playback().head_pauses(), wait)
    except Exception as error:  # noqa: BLE001 - the program must not see it
        call.end()
        driver.failed("a recorded answer", error)
        return False
    except BaseException:  # cancelled while it waited
        call.end()
        raise
    return True


async def _sent(request: Any, handler: Any, live: Live) -> Any:
    try:
        with live.call.scope():
            return await handler(request)
    except BaseException as error:
        await live.finish(*_to_fault(error, request))
        raise


async def _observe(module: ModuleType, response: Any, live: Live, *, decompress: bool) -> None:
    """Tell the head and put the tee in."""
    if response.status == 101:  # noqa: PLR2004 - the connection is the program's now
        await arun(live.call.leave("upgrade"), wait)
        return
    decoded = decompress and is_taken_off(module, response.headers)
    live.call.head(_to_head(response, wire=not decoded))
    if response.content.at_eof():
        await live.finish(Ending.EOF)
    else:
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        response.content = Content(response.content, live, chunked=chunked)


async def _serve(answers: Answers, request: Any, call: ServedCall, asked: Mapping[str, Any]) -> Any:
    try:
        if call.recording.head is None:
            raise bodies.unanswered(call, None, answers.to_exception)
        bufsize = asked.get("read_bufsize")
        if bufsize is None:
            bufsize = getattr(request.session, _BUFSIZE, None)
        return await answers.to_library(call, decompress=_decompresses(request, asked), bufsize=bufsize)
    except BaseException:
        call.end()
        raise


def _decompresses(request: Any, asked: Mapping[str, Any]) -> bool:
    """Whether the parser takes content codings off for this request."""
    said = asked.get("auto_decompress")
    return bool(request.session.auto_decompress) if said is None else said


def _length(request: Any) -> int | None:
    """How much of a body is sent, at most."""
    said = request.headers.get("Content-Length", "")
    return int(said) if said.isascii() and said.isdigit() else None


def _to_internal(request: Any, body: bytes) -> Request:
    pairs = tuple((_latin(name), _latin(value)) for name, value in request.headers.items())
    return Request(request.method, str(request.url), pairs, body, "aiohttp")


def _to_head(response: Any, *, wire: bool) -> Head:
    version = response.version
    return Head(
        response.status,
        tuple(response.raw_headers),
        None if response.reason is None else _latin(response.reason),
        f"HTTP/{version.major}.{version.minor}",
        wire,
    )


def _to_fault(error: BaseException, request: Any) -> tuple[Ending, Fault | None]:
    if isinstance(error, CancelledError) and getattr(getattr(request, _TIMER, None), _FIRED, False) is True:
        error = TimeoutError()
    ending, fault = faults.to_fault(error, "send")
    if fault is not None and isinstance(getattr(error, "status", None), int):  # ClientResponseError
        fault.facts.update(status=error.status, message=str(error.message))  # type: ignore[attr-defined]
    return ending, fault


def _latin(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
