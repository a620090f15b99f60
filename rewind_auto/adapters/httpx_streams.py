"""The streams that the httpx adapter puts in place: tees on live bodies and uploads, and recorded bodies.

Mix-ins: the adapter makes the classes by adding the byte-stream base classes of the module it is bound to.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
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

    _call: Any = None  # where an exception of the program's comes up before it is made

    def __init__(self, inner: Any, call: Any, family: Any) -> None:
        self._inner = inner
        self._call = call
        self._family = family

    def __del__(self) -> None:
        if self._call is not None:
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

    _call: Any = None  # as above

    def __init__(self, inner: Any, call: Any, family: Any) -> None:
        self._inner = inner
        self._call = call
        self._family = family

    def __del__(self) -> None:
        if self._call is not None:
            self._call.dropped()

    def __aiter__(self) -> AsyncIterator[bytes]:
        inner = self._inner.__aiter__()
        # httpx2 closes an iterator of a body if it can be (``BoundAsyncStream`` in its ``_client.py``).
        kind = _TeedGenerator if isinstance(inner, AsyncGenerator) else _Teed
        return kind(inner, self, self._call)

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        except BaseException as error:
            await finish(self._call, Ending.CLOSED if isinstance(error, Exception) else Ending.CANCELLED)
            raise
        await arun(self._call.end(Ending.CLOSED), sleep)


class _Teed:
    """An iterator over a live body.

    No generator: an event loop finalises one that is left suspended in a task of its own, beside those of the
    library's generators that it would be waiting for, and says so where they meet.
    """

    __slots__ = ("_call", "_chunk", "_inner", "_tee")

    def __init__(self, inner: Any, tee: AsyncTee, call: Any) -> None:
        self._inner = inner
        self._tee = tee  # is not dropped while somebody iterates
        self._call = call
        self._chunk = call.chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            data: bytes = await self._inner.__anext__()
        except StopAsyncIteration:
            await arun(self._call.end(Ending.EOF), sleep)
            raise
        except GeneratorExit:
            raise
        except BaseException as error:
            await finish(self._call, *to_fault(error, "body"))
            raise
        self._chunk(data)
        return data


class _TeedGenerator(_Teed):
    """`_Teed` over a generator, and closed as one: it has what `collections.abc.AsyncGenerator` looks for."""

    __slots__ = ()

    def asend(self, value: Any) -> Any:
        return self._inner.asend(value)

    def athrow(self, *error: Any) -> Any:
        return self._inner.athrow(*error)

    def aclose(self) -> Any:
        return self._inner.aclose()


class Upload:
    """A streamed request body, kept as it goes out. One that is sent again is kept once: the last time."""

    def __init__(self, stream: Any, limit: int) -> None:
        self.stream = stream
        self.kept = bodies.Kept(limit)

    def __iter__(self) -> Iterator[bytes]:
        self.kept.restart()
        for data in bodies.apart(self.stream):
            self.kept.add(data)
            yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.kept.restart()
        # Closed with this generator, as httpcore2 closes what it uploads; httpcore leaves both to the loop.
        async with aclosing(bodies.AsyncApart(self.stream)) as parts:
            async for data in parts:
                self.kept.add(data)
                yield data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def close(self) -> None:
        self.stream.close()

    async def aclose(self) -> None:
        await self.stream.aclose()


class _Served:
    """A recorded body."""

    _call: Any = None  # where an exception of the program's comes up before it is made

    def __init__(self, call: Any, playback: Playback, family: Any) -> None:
        self._call = call
        self._playback = playback
        self._family = family
        # A custom transport can give empty chunks; what others mean by one is nothing here.
        self._empty = call.recording.request.library.startswith("httpx")

    def __del__(self) -> None:
        if self._call is not None:
            self._call.dropped()


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
