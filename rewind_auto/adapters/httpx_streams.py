"""The streams that the httpx adapter puts in place: tees on live bodies and uploads, and recorded bodies.

Mix-ins: the adapter makes the classes by adding the byte-stream base classes of the module it is bound to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from rewind_auto.adapters import bodies
from rewind_auto.core.faults import to_fault
from rewind_auto.core.model import Ending, Fault
from rewind_auto.core.playback import Playback
from rewind_auto.core.seam import arun, run


async def sleep(seconds: float) -> None:
    """Sleep on whichever event loop runs. anyio is a dependency of both families; only a pause imports it."""
    import anyio

    with anyio.move_on_after(seconds):  # not its `sleep`: tests of programs put one of their own there
        await anyio.sleep_forever()


async def finish(call: Any, ending: Ending, fault: Fault | None = None) -> None:
    """See `bodies.finish`."""
    await bodies.finish(call, ending, fault, sleep)


class SyncTee:
    """A live body, told to the call as it flows. Nothing is read ahead."""

    def __init__(self, inner: Any, call: Any, family: Any) -> None:
        self._inner = inner
        self._call = call
        self._family = family

    def __del__(self) -> None:
        self._call.dropped()

    def __iter__(self) -> Iterator[bytes]:
        chunk = self._call.chunk
        try:
            for data in self._inner:
                chunk(data)
                yield data
        except GeneratorExit:  # the consumer stopped here; whether the exchange is over, `close` will tell
            raise
        except BaseException as error:
            run(self._call.end(*to_fault(error, "body")))
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

    def __del__(self) -> None:
        self._call.dropped()

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
            await finish(self._call, *to_fault(error, "body"))
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


class Upload:
    """A streamed request body, kept as it goes out. One that is sent again is kept once: the last time."""

    def __init__(self, stream: Any, limit: int) -> None:
        self.stream = stream
        self._kept = bodies.Kept(limit)
        self.sent = self._kept.sent

    def __iter__(self) -> Iterator[bytes]:
        self._kept.restart()
        for data in bodies.apart(self.stream):
            self._kept.add(data)
            yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._kept.restart()
        async for data in bodies.AsyncApart(self.stream):
            self._kept.add(data)
            yield data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def close(self) -> None:
        self.stream.close()

    async def aclose(self) -> None:
        await self.stream.aclose()


class _Served:
    """A recorded body."""

    def __init__(self, call: Any, playback: Playback, family: Any) -> None:
        self._call = call
        self._playback = playback
        self._family = family
        # A custom transport can give empty chunks; what others mean by one is nothing here.
        self._empty = call.recording.request.library.startswith("httpx")


class SyncServed(_Served):
    """A recorded body for synchronous clients."""

    def __iter__(self) -> Iterator[bytes]:
        for wait, data in self._playback:
            run(bodies.pause(wait))
            if data or self._empty:
                yield data
        run(self._playback.end_pauses())
        self._call.end()
        error = bodies.ended_badly(self._call, self._playback, self._family.to_exception)
        if error is not None:
            raise error

    def close(self) -> None:
        self._call.end()


class AsyncServed(_Served):
    """A recorded body for asynchronous clients."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for wait, data in self._playback:
            await arun(bodies.pause(wait), sleep)
            if data or self._empty:
                yield data
        await arun(self._playback.end_pauses(), sleep)
        self._call.end()
        error = bodies.ended_badly(self._call, self._playback, self._family.to_exception)
        if error is not None:
            raise error

    async def aclose(self) -> None:
        self._call.end()
