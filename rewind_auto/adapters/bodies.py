"""What the adapters do alike with bodies: uploads that are kept or read, recorded answers that are served."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from types import AsyncGeneratorType
from typing import Any

from rewind_auto.core.model import Ending, Fault
from rewind_auto.core.playback import Playback
from rewind_auto.core.seam import Pauses, arun, inside

Drained = tuple[bytes, Exception | None]


async def finish(call: Any, ending: Ending, fault: Fault | None, sleep: Any) -> None:
    """End a live call from asynchronous code. A cancelled task cannot wait: the write goes on behind it."""
    if ending is Ending.CANCELLED:
        finish_now(call, ending, fault)
    else:
        await arun(call.end(ending, fault), sleep)


def finish_now(call: Any, ending: Ending, fault: Fault | None = None) -> None:
    """End a live call where nothing may wait: a store that is busy is written to behind it."""
    pauses = call.end(ending, fault)
    next(pauses, None)
    pauses.close()


def pause(seconds: float) -> Pauses[None]:
    """One pause, or none."""
    if seconds > 0:
        yield seconds


def drain(stream: Iterable[bytes]) -> Drained:
    """Read an upload as sending it would have: the stream is spent then, and the request does not know it.

    An error that the program's iterator raises is its own to see, once the call has been looked up.
    """
    parts: list[bytes] = []
    try:
        for data in stream:
            parts.append(data)  # noqa: PERF402 - what came before an error counts
    except Exception as error:  # noqa: BLE001
        return b"".join(parts), error
    return b"".join(parts), None


async def adrain(stream: AsyncIterable[bytes]) -> Drained:
    """`drain`, asynchronously."""
    parts: list[bytes] = []
    try:
        async for data in stream:
            parts.append(data)  # noqa: PERF401
    except Exception as error:  # noqa: BLE001
        return b"".join(parts), error
    return b"".join(parts), None


def call_apart(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call what is the program's own, which may make calls of its own: those are no part of this one."""
    token = inside.set(False)
    try:
        return function(*args, **options)
    finally:
        inside.reset(token)


def apart(stream: Iterable[Any]) -> Iterator[Any]:
    """What the program's own iterator gives, `call_apart` each time."""
    iterator = iter(stream)
    while True:
        try:
            data = call_apart(next, iterator)
        except StopIteration:
            return
        yield data


class AsyncApart:
    """`apart`, asynchronously. No generator: that would be one more to finalise when it is left suspended."""

    __slots__ = ("_iterator",)

    def __init__(self, stream: AsyncIterable[Any]) -> None:
        self._iterator = aiter(stream)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        token = inside.set(False)
        try:
            return await anext(self._iterator)
        finally:
            inside.reset(token)

    async def aclose(self) -> None:
        """Close a generator. What else the program has is not closed by those who send it, either."""
        if isinstance(self._iterator, AsyncGeneratorType):
            token = inside.set(False)
            try:
                await self._iterator.aclose()
            finally:
                inside.reset(token)


class Kept:
    """A streamed upload as it goes out. Above ``limit`` bytes no more of it is kept."""

    __slots__ = ("_body", "_limit", "_size", "error")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.restart()

    def restart(self) -> None:
        """It is sent once more: what counts is the last time."""
        self._body = bytearray()
        self._size = 0
        self.error: Exception | None = None

    def add(self, data: Any) -> None:
        """A part goes out. One of a kind that cannot be sent is the library's to refuse."""
        try:
            if self._size > self._limit:
                return
            if isinstance(data, str):
                data = data.encode("utf-8", "surrogateescape")
            elif not isinstance(data, bytes):
                data = bytes(memoryview(data))
            self._size += len(data)
            if self._size > self._limit:
                self._body = bytearray()
            else:
                self._body += data
        except TypeError:
            return
        except Exception as error:  # noqa: BLE001 - what is sent goes on; that it is not known is told later
            self._body, self._size, self.error = bytearray(), self._limit + 1, error

    def sent(self) -> bytes | None:
        """What went out so far; None if it is more than the limit."""
        return None if self._size > self._limit else bytes(self._body)


def uploaded(call: Any, kept: Kept) -> None:
    """Tell a call what of its upload went out."""
    try:
        if kept.error is not None:
            raise kept.error
        call.uploaded(kept.sent())
    except Exception as error:  # noqa: BLE001 - the program must not see it
        call.lost(error)


def ended_badly(call: Any, playback: Playback, to_exception: Any) -> BaseException | None:
    """What a recorded body raises at its end, if it did not end well."""
    if playback.fault is not None:
        error: BaseException = to_exception(playback.fault)
        return error
    if playback.truncated:
        beyond: BaseException = call.beyond()
        return beyond
    return None


def unanswered(call: Any, upload_error: Exception | None, to_exception: Any) -> BaseException:
    """What a call without a response raises: the error of its upload, or the recorded one."""
    fault = call.recording.fault
    call.end()
    if upload_error is not None:
        return upload_error
    error: BaseException = to_exception(fault) if fault is not None else call.beyond()
    return error
