"""The tee for aiohttp: around a live response's content."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from wrapt import ObjectProxy

from rewind_auto.adapters import bodies
from rewind_auto.adapters.aiohttp_uploads import Upload
from rewind_auto.core.faults import to_fault
from rewind_auto.core.model import Ending, Fault
from rewind_auto.core.seam import LiveCall

# How many bytes of a content have been read: goes back where the program gives some of them back
# (`unread_data`). Without it those count twice.
_READ_SO_FAR = "_cursor"


class Live:
    """A live call, whose upload may still be under way when the answer comes.

    Attributes:
        interrupted: whether the latest read was, by a cancellation. That alone ends nothing: a program may
            wait for a piece with a time limit, and again.
    """

    def __init__(
        self, call: LiveCall, upload: Upload | None, sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self.call = call
        self.interrupted = False
        self._upload = upload
        self._sleep = sleep
        self._loop = asyncio.get_running_loop()
        self._over = False

    async def finish(self, ending: Ending, fault: Fault | None = None) -> None:
        """It is over."""
        self._uploaded()
        await bodies.finish(self.call, ending, fault, self._sleep)

    def finish_now(self, ending: Ending, fault: Fault | None = None) -> None:
        """It is over, told from code that is not a coroutine."""
        self._uploaded()
        bodies.finish_now(self.call, ending, fault)

    def dropped(self) -> Ending:
        """How it ends if the program wants no more of it."""
        return Ending.CANCELLED if self.interrupted else Ending.CLOSED

    def _uploaded(self) -> None:
        self._over = True
        if self._upload is not None:
            bodies.uploaded(self.call, self._upload.kept)
            self._upload = None

    def __del__(self) -> None:
        # A response that was neither read to its end nor released. Not here: a collection of garbage may
        # come at any time, in the middle of our own work with the store.
        if not self._over:
            with suppress(Exception):  # the loop is closed: the end of the program tells
                self._loop.call_soon_threadsafe(bodies.finish_now, self.call, self.dropped())


class Content(ObjectProxy):  # type: ignore[type-arg]
    """A response's ``content``, told to the call as it is read. Nothing is read ahead."""

    def __init__(self, content: Any, live: Live, *, chunked: bool) -> None:
        super().__init__(content)
        self._self_live = live
        self._self_chunked = chunked
        self._self_reading = 0
        self._self_told = 0
        self._self_line: list[bytes] = []

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    async def read(self, n: int = -1) -> Any:
        if n >= 0:
            return await self._self_take(self.__wrapped__.read(n))
        try:
            return await type(self.__wrapped__).read(self, n)  # the library's own loop, over our `readany`
        except BaseException as error:
            await self._self_failed(error)
            raise

    async def readany(self) -> Any:
        return await self._self_take(self.__wrapped__.readany())

    async def readline(self, *args: Any, **options: Any) -> Any:
        return await type(self.__wrapped__).readline(self, *args, **options)

    async def readuntil(self, *args: Any, **options: Any) -> Any:
        self._self_line = []
        try:
            return await self._self_take(type(self.__wrapped__).readuntil(self, *args, **options))
        except Exception as error:
            if not self._self_broken(error):
                self._self_tell(b"".join(self._self_line))  # too long a line is gone when that is said
            raise

    def _read_nowait_chunk(self, *args: Any) -> Any:
        """What the library makes a line of. Without it, what was read of too long a line is lost."""
        data = self.__wrapped__._read_nowait_chunk(*args)  # noqa: SLF001
        self._self_line.append(data)
        return data

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
        try:
            data = self.__wrapped__.read_nowait(*args, **options)
        except Exception as error:
            if self._self_broken(error):
                self._self_live.finish_now(*to_fault(error, "body"))
            raise
        self._self_tell(data)
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
        over, live = self.__wrapped__.at_eof(), self._self_live
        live.interrupted |= self._self_reading > 0  # closed by one task while another waits for more
        self.__wrapped__.set_exception(*args, **options)
        live.finish_now(Ending.EOF if over else live.dropped())

    async def _self_take(self, reading: Awaitable[Any]) -> Any:
        live = self._self_live
        self._self_reading += 1
        try:
            data = await reading
        except asyncio.IncompleteReadError as error:
            self._self_tell(error.partial)
            live.finish_now(Ending.EOF)
            raise
        except BaseException as error:
            await self._self_failed(error)
            raise
        finally:
            self._self_reading -= 1
        self._self_tell(data)
        if self.__wrapped__.at_eof():
            live.finish_now(Ending.EOF)  # nothing may be awaited that could be cancelled: the data is taken
        return data

    def _self_tell(self, data: bytes) -> None:
        try:
            if not data:
                return
            self._self_live.interrupted = False
            so_far = getattr(self.__wrapped__, _READ_SO_FAR, None)
            if so_far is not None:
                data = data[max(0, self._self_told - (so_far - len(data))) :]
                self._self_told = max(self._self_told, so_far)
            if data:
                self._self_live.call.chunk(data)
        except Exception as error:  # noqa: BLE001 - the program must not see it
            self._self_live.call.lost(error)

    async def _self_failed(self, error: BaseException) -> None:
        if not isinstance(error, Exception):
            self._self_live.interrupted = True
        elif self._self_broken(error):
            await self._self_live.finish(*to_fault(error, "body"))

    def _self_broken(self, error: Exception) -> bool:
        """Whether nothing comes after it; what was asked in a wrong way can be followed by other reads."""
        try:
            return self.__wrapped__.exception() is not None or isinstance(error, TimeoutError)
        except Exception as failure:  # noqa: BLE001
            self._self_live.call.lost(failure)
            return False
