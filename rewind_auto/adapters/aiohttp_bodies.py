"""Tees for aiohttp: around a live response's content, and on uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wrapt import ObjectProxy

from rewind_auto.adapters import bodies
from rewind_auto.adapters.bodies import Kept
from rewind_auto.core.faults import to_fault
from rewind_auto.core.model import Ending, Fault
from rewind_auto.core.seam import LiveCall

_WRITE = "write_with_length"


class Live:
    """A live call, whose upload may still be under way when the answer comes."""

    def __init__(
        self, call: LiveCall, upload: Upload | None, sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self.call = call
        self._upload = upload
        self._sleep = sleep

    async def finish(self, ending: Ending, fault: Fault | None = None) -> None:
        """It is over."""
        self._uploaded()
        await bodies.finish(self.call, ending, fault, self._sleep)

    def finish_now(self, ending: Ending) -> None:
        """It is over, told from code that is not a coroutine."""
        self._uploaded()
        bodies.finish_now(self.call, ending)

    def _uploaded(self) -> None:
        if self._upload is not None:
            self.call.uploaded(self._upload.kept.sent())
            self._upload = None


class Content(ObjectProxy):  # type: ignore[type-arg]
    """A response's ``content``, told to the call as it is read. Nothing is read ahead."""

    def __init__(self, content: Any, live: Live, *, chunked: bool) -> None:
        super().__init__(content)
        self._self_live = live
        self._self_chunked = chunked

    async def read(self, n: int = -1) -> Any:
        if n >= 0:
            return await self._self_take(self.__wrapped__.read(n))
        try:
            return await type(self.__wrapped__).read(self, n)  # the library's own loop, over our `readany`
        except BaseException as error:
            await self._self_live.finish(*to_fault(error, "body"))
            raise

    async def readany(self) -> Any:
        return await self._self_take(self.__wrapped__.readany())

    async def readline(self, *args: Any, **options: Any) -> Any:
        return await self._self_take(self.__wrapped__.readline(*args, **options))

    async def readuntil(self, *args: Any, **options: Any) -> Any:
        return await self._self_take(self.__wrapped__.readuntil(*args, **options))

    async def readexactly(self, *args: Any, **options: Any) -> Any:
        return await self._self_take(self.__wrapped__.readexactly(*args, **options))

    async def readchunk(self) -> tuple[Any, bool]:
        last: bool | None = None

        async def data() -> Any:
            nonlocal last
            got, last = await self.__wrapped__.readchunk()
            if self._self_chunked and (got or last):
                if not last:
                    self._self_live.call.chunk_open()
                elif not got:
                    self._self_live.call.chunk(b"")  # the end of the HTTP chunk, told after its data
            return got

        return await self._self_take(data()), bool(last)

    def read_nowait(self, *args: Any, **options: Any) -> Any:
        data = self.__wrapped__.read_nowait(*args, **options)
        if data:
            self._self_live.call.chunk(data)
        if self.__wrapped__.at_eof():
            self._self_live.finish_now(Ending.EOF)
        return data

    # The library's own iterators, over the methods above.

    def __aiter__(self) -> Any:
        return type(self.__wrapped__).__aiter__(self)

    def iter_any(self) -> Any:
        return type(self.__wrapped__).iter_any(self)

    def iter_chunked(self, *args: Any, **options: Any) -> Any:
        return type(self.__wrapped__).iter_chunked(self, *args, **options)

    def iter_chunks(self) -> Any:
        return type(self.__wrapped__).iter_chunks(self)

    def set_exception(self, *args: Any, **options: Any) -> None:
        """Called by a response that is released or closed, whether or not it has been read to its end."""
        over = self.__wrapped__.at_eof()
        self.__wrapped__.set_exception(*args, **options)
        self._self_live.finish_now(Ending.EOF if over else Ending.CLOSED)

    async def _self_take(self, reading: Awaitable[Any]) -> Any:
        live = self._self_live
        try:
            data = await reading
        except asyncio.IncompleteReadError as error:
            if error.partial:
                live.call.chunk(error.partial)
            await live.finish(Ending.EOF)
            raise
        except BaseException as error:
            await live.finish(*to_fault(error, "body"))
            raise
        if data:
            live.call.chunk(data)
        if self.__wrapped__.at_eof():
            await live.finish(Ending.EOF)
        return data


class Upload:
    """A payload that is not in memory, kept as it is written."""

    def __init__(self, payload: Any, limit: int) -> None:
        self.kept = Kept(limit)
        self._write = getattr(payload, _WRITE)

    async def write(self, writer: Any, content_length: int | None) -> None:
        """Write it, as the payload does."""
        self.kept.restart()
        await self._write(_Writer(writer, self.kept.add), content_length)


class Parts:
    """A payload that has been written to us, to be looked up."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._error: Exception | None = None

    @classmethod
    async def of(cls, payload: Any) -> Parts:
        """Read an upload as sending it would have: the payload's own way of writing itself."""
        parts = cls()
        try:
            await getattr(payload, _WRITE)(_Collector(parts._parts.append), None)
        except Exception as error:  # noqa: BLE001 - the program's own, for the library to handle
            parts._error = error
        return parts

    @property
    def whole(self) -> bytes:
        return b"".join(self._parts)

    async def write(self, writer: Any, _content_length: int | None) -> None:
        """Write it again."""
        for part in self._parts:
            await writer.write(part)

    async def send(self, writer: Any, content_length: int | None) -> None:
        """Write it again, with the error that its iterator raised."""
        await self.write(writer, content_length)
        if self._error is not None:
            raise self._error


@contextmanager
def replaced(payload: Any, write: Any) -> Iterator[None]:
    """Have a payload write itself in another way, if one is given, while its request is being sent."""
    if write is None:
        yield
        return
    setattr(payload, _WRITE, write)
    try:
        yield
    finally:
        payload.__dict__.pop(_WRITE, None)


class _Writer:
    """The library's writer, with what goes through it told."""

    def __init__(self, inner: Any, told: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._told = told

    async def write(self, data: Any, *args: Any, **options: Any) -> None:
        self._told(bytes(data))
        await self._inner.write(data, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Collector:
    """A writer to nowhere."""

    def __init__(self, told: Callable[[bytes], None]) -> None:
        self._told = told

    async def write(self, data: Any, *_: Any, **__: Any) -> None:
        self._told(bytes(data))

    async def drain(self) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        if data:
            self._told(bytes(data))
