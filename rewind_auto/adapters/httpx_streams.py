"""The streams that the httpx adapter puts in place: tees on live bodies and uploads, and recorded bodies.

Mix-ins: the adapter makes the classes by adding the byte-stream base classes of the module it is bound to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from rewind_auto.core.model import Ending, Fault
from rewind_auto.core.playback import Playback
from rewind_auto.core.seam import Pauses, arun, run

Drained = tuple[bytes, Exception | None]


async def sleep(seconds: float) -> None:
    """Sleep on whichever event loop runs. anyio is a dependency of both families; only a pause imports it."""
    import anyio

    with anyio.move_on_after(seconds):  # not its `sleep`: tests of programs put one of their own there
        await anyio.sleep_forever()


async def finish(call: Any, ending: Ending, fault: Fault | None = None) -> None:
    """End a live call from asynchronous code. A cancelled task cannot wait: the write goes on behind it."""
    pauses = call.end(ending, fault)
    if ending is Ending.CANCELLED:
        next(pauses, None)
        pauses.close()
    else:
        await arun(pauses, sleep)


def pause(seconds: float) -> Pauses[None]:
    """One pause, or none."""
    if seconds > 0:
        yield seconds


class SyncTee:
    """A live body, told to the call as it flows. Nothing is read ahead."""

    def __init__(self, inner: Any, call: Any, family: Any) -> None:
        self._inner = inner
        self._call = call
        self._family = family

    def __iter__(self) -> Iterator[bytes]:
        chunk = self._call.chunk
        try:
            for data in self._inner:
                chunk(data)
                yield data
        except GeneratorExit:  # the consumer stopped here; whether the exchange is over, `close` will tell
            raise
        except BaseException as error:
            run(self._call.end(*self._family.to_fault(error, "body")))
            raise
        run(self._call.end(Ending.EOF))

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            run(self._call.end(Ending.CLOSED))


class AsyncTee:
    """`SyncTee` for asynchronous bodies.

    SDKs iterate a second time, from the middle, after the last event (openai's ``_streaming_cleanup.py``):
    each iterator goes on from where the connection is.
    """

    def __init__(self, inner: Any, call: Any, family: Any) -> None:
        self._inner = inner
        self._call = call
        self._family = family

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunk = self._call.chunk
        inner = self._inner.__aiter__()
        try:
            async for data in inner:
                chunk(data)
                yield data
        except GeneratorExit:
            raise
        except BaseException as error:
            await finish(self._call, *self._family.to_fault(error, "body"))
            raise
        finally:
            # An async generator left suspended is finalised by the event loop, later, in another task.
            aclose = getattr(inner, "aclose", None)
            if aclose is not None:
                await aclose()
        await arun(self._call.end(Ending.EOF), sleep)

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        except BaseException as error:
            await finish(self._call, Ending.CLOSED if isinstance(error, Exception) else Ending.CANCELLED)
            raise
        await arun(self._call.end(Ending.CLOSED), sleep)


def drain(stream: Any) -> Drained:
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


async def adrain(stream: Any) -> Drained:
    """`drain`, asynchronously."""
    parts: list[bytes] = []
    try:
        async for data in stream:
            parts.append(data)  # noqa: PERF401
    except Exception as error:  # noqa: BLE001
        return b"".join(parts), error
    return b"".join(parts), None


class Upload:
    """A streamed request body, kept as it goes out. One that is sent again is kept once: the last time.

    Above ``limit`` bytes no more of it is kept.
    """

    def __init__(self, stream: Any, limit: int) -> None:
        self.stream = stream
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        self._parts, self._size = [], 0
        for data in self.stream:
            self._keep(data)
            yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._parts, self._size = [], 0
        async for data in self.stream:
            self._keep(data)
            yield data

    def _keep(self, data: bytes) -> None:
        if self._size <= self._limit:
            self._size += len(data)
            self._parts.append(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def close(self) -> None:
        self.stream.close()

    async def aclose(self) -> None:
        await self.stream.aclose()

    def sent(self) -> bytes:
        """What went out so far; of more than the limit, enough to be more than it."""
        return b"".join(self._parts)


class SyncServed:
    """A recorded body."""

    def __init__(self, call: Any, playback: Playback, family: Any) -> None:
        self._call = call
        self._playback = playback
        self._family = family

    def __iter__(self) -> Iterator[bytes]:
        for wait, data in self._playback:
            run(pause(wait))
            yield data
        run(pause(self._playback.end_pause))
        self._call.end()
        _finale(self._call, self._playback, self._family)

    def close(self) -> None:
        self._call.end()


class AsyncServed:
    """`SyncServed` for asynchronous clients."""

    def __init__(self, call: Any, playback: Playback, family: Any) -> None:
        self._call = call
        self._playback = playback
        self._family = family

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for wait, data in self._playback:
            await arun(pause(wait), sleep)
            yield data
        await arun(pause(self._playback.end_pause), sleep)
        self._call.end()
        _finale(self._call, self._playback, self._family)

    async def aclose(self) -> None:
        self._call.end()


def _finale(call: Any, playback: Playback, family: Any) -> None:
    """How the recorded body ended, if not well."""
    if playback.fault is not None:
        raise family.to_exception(playback.fault)
    if playback.truncated:
        raise call.beyond()


def unanswered(call: Any, family: Any, drained: Drained | None) -> BaseException:
    """What a call without a response raises: the error of its upload, or the recorded one."""
    fault = call.recording.fault
    call.end()
    if drained is not None and drained[1] is not None:
        return drained[1]
    error: BaseException = family.to_exception(fault) if fault is not None else call.beyond()
    return error
