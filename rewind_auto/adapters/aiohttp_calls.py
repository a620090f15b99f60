"""One request of aiohttp at the seam: sent and teed, or answered."""

from __future__ import annotations

from asyncio import CancelledError
from asyncio import sleep as wait  # now: tests of programs put a `sleep` of their own into the module
from types import ModuleType
from typing import Any

from rewind_auto.adapters import bodies
from rewind_auto.adapters.aiohttp_answers import Answers, is_taken_off
from rewind_auto.adapters.aiohttp_bodies import Content, Live, Parts, Upload, replaced
from rewind_auto.core import faults
from rewind_auto.core.model import Ending, Fault, Head, Request
from rewind_auto.core.seam import Driver, ServedCall, arun

# Whether a request's total time-out has fired: the library makes a TimeoutError of the cancellation only
# above the middlewares (``helpers.TimerContext.__exit__``). Without it the call counts as cancelled.
_TIMER, _FIRED = "_timer", "_cancelled"


async def intercept(
    module: ModuleType, driver: Driver, request: Any, handler: Any, *, decompress: bool | None
) -> Any:
    """Decide about a request, and carry it out.

    ``decompress`` is what the program said for this request, or None where the session's own counts.
    """
    body = request.body
    drained = None
    if not body:
        content = b""
    elif isinstance(body, module.payload.BytesPayload):
        content = await body.as_bytes()
    elif driver.needs_body:
        drained = await Parts.of(body)
        content = drained.whole
    else:
        content = b""
    internal = _to_internal(request, content)
    call: Any = await arun(driver.begin(internal, upgrade="Upgrade" in request.headers), wait)
    if call is not None and hasattr(call, "playback"):
        with replaced(body, drained and drained.write):
            return await _serve(module, request, call, decompress=_decompresses(request, decompress))
    if drained is not None:
        with replaced(body, drained.send):
            return await handler(request)
    if call is None:
        return await handler(request)
    streamed = bool(body) and not isinstance(body, module.payload.BytesPayload)
    upload = Upload(body, call.limit) if streamed else None
    live = Live(call, upload, wait)
    try:
        with replaced(body, upload and upload.write), call.scope():
            response = await handler(request)
    except BaseException as error:
        await live.finish(*_to_fault(error, request))
        raise
    await _observe(response, live, decompress=_decompresses(request, decompress))
    return response


async def _observe(response: Any, live: Live, *, decompress: bool) -> None:
    """Tell the head and put the tee in."""
    if response.status == 101:  # noqa: PLR2004 - the connection is the program's now
        await arun(live.call.leave("upgrade"), wait)
        return
    live.call.head(_to_head(response, wire=not (decompress and is_taken_off(response.headers))))
    if response.content.at_eof():
        await live.finish(Ending.EOF)
    else:
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        response.content = Content(response.content, live, chunked=chunked)


async def _serve(module: ModuleType, request: Any, call: ServedCall, *, decompress: bool) -> Any:
    answers = Answers(module, request, wait)
    await arun(bodies.pause(call.playback().head_pause), wait)
    if call.recording.head is None:
        raise bodies.unanswered(call, None, answers.to_exception)
    return await answers.to_library(call, decompress=decompress)


def _decompresses(request: Any, asked: Any) -> bool:
    """Whether the parser takes content codings off for this request."""
    return bool(request.session.auto_decompress) if asked is None else asked


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
