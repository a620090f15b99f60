"""What stands in for a connection of aiohttp, and what comes over it, while a recorded answer is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

from wrapt import ObjectProxy

from rewind_auto.adapters import bodies
from rewind_auto.core.decode import Decoder
from rewind_auto.core.seam import ServedCall

_classes: dict[int, tuple[ModuleType, Any, Any]] = {}


class _Pieces:
    """Mix-in that makes a StreamReader one which is fed when it has nothing left to give.

    The library's own readers wait in ``_wait`` for the parser to feed them, in every release from 3.8 on, and
    look at ``_size``, ``_eof`` and ``_waiter``: without these a body could not be served piece by piece.
    A request's total time-out is not at work here: how long the program takes between two reads must not
    count, and a recorded time-out comes with what was recorded.
    """

    def prepare(self: Any, answers: Any, call: ServedCall, *, decode: bool, chunked: bool) -> None:
        self._answers = answers
        self._call = call
        self._playback = call.playback()
        self._left = len(call.recording.cuts)
        assert call.recording.head is not None
        self._decoder = Decoder(call.recording.head) if decode else None
        self._chunked = chunked
        self._unsaid = False
        self._next: tuple[float, bytes] | None = None

    def begin(self: Any) -> None:
        """Be as full as a connection that has just brought the head, if nothing has to be waited for."""
        if not self._left:
            self._maybe_end()
        elif self._playback.speed == 0:
            self._deliver("")
            self._unsaid = self._chunked and self._playback.whole_chunk

    async def readchunk(self: Any) -> Any:
        if self._unsaid and self._size:
            self.end_http_chunk_receiving()
        self._unsaid = False
        return await super().readchunk()  # type: ignore[misc]

    def read_nowait(self: Any, n: int = -1) -> Any:
        # Who polls may do so more often than when that was recorded: that is not to ask for more of it.
        hungry = not self._size and not self._eof and self._due() <= 0
        if hungry and (self._next is not None or not self._playback.truncated):
            self._deliver("read_nowait")
        return super().read_nowait(n)  # type: ignore[misc]

    async def _wait(self: Any, func_name: str) -> None:
        if self._answers.session_closed:
            self._protocol.transport = None  # the connector would have closed it: the library says so
        self._coming = self._loop.call_later(self._due(), self._deliver, func_name)
        try:
            await super()._wait(func_name)  # type: ignore[misc]
        finally:
            self._coming.cancel()

    async def wait_eof(self: Any) -> None:
        while not self._eof:
            await self._wait("wait_eof")

    def _due(self: Any) -> float:
        """Seconds until the next piece, or the end, is there."""
        if self._next is None:
            item = next(iter(self._playback), None)
            if item is None:
                return self._playback.end_pause  # type: ignore[no-any-return]
            self._next = (self._loop.time() + item[0], item[1])
        seconds: float = self._next[0] - self._loop.time()
        return max(0.0, seconds)

    def _deliver(self: Any, func_name: str) -> None:
        """Feed the next piece, or the end, to the reader of this name, which must not wait for ever."""
        try:
            self._feed(func_name)
        except Exception as error:  # noqa: BLE001 - there is nobody above us but the event loop
            self._call.end()
            self.set_exception(error)

    def _feed(self: Any, func_name: str) -> None:
        due = self._due()
        if self._next is None:
            if due > 0:  # it is another answer's turn
                self._coming = self._loop.call_later(due, self._deliver, func_name)
            else:
                self._end()
            return
        data, self._next = self._next[1], None
        self._left -= 1
        if self._chunked:
            self.begin_http_chunk_receiving()
        try:
            self.feed_data(data if self._decoder is None else self._decoder.feed(data), 0)
        except Exception as error:  # noqa: BLE001 - codecs share no base error
            self._call.end()
            self.set_exception(self._answers.undecodable(error))
            return
        # Other readers do not tell where an HTTP chunk ends, and their pieces need not end there.
        if self._chunked and self._playback.whole_chunk and func_name == "readchunk":
            self.end_http_chunk_receiving()
        if not self._left:
            self._maybe_end()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():  # a piece without data wakes nobody
            waiter.set_result(None)

    def _maybe_end(self: Any) -> None:
        """The end comes with the last piece, where nothing has to be waited for or said."""
        playback = self._playback
        if not playback.end_pause and playback.fault is None and not playback.truncated:
            self._call.end()
            self.feed_eof()

    def _end(self: Any) -> None:
        self._call.end()
        error = bodies.ended_badly(self._call, self._playback, self._answers.to_exception)
        if error is None:
            self.feed_eof()
        else:
            self.set_exception(error)


class _Sent:
    """Mix-in for the library's protocol: the answer comes when the request is out."""

    answer: Any = None

    def start_timeout(self: Any) -> None:
        # Not at once: the task that has written the request is over then, as it is in a live exchange.
        answer, self.answer = self.answer, None
        if answer is not None:
            self._loop.call_soon(self.feed_data, answer, 0)


def served_classes(module: ModuleType) -> tuple[Any, Any]:
    """The content and protocol classes for this aiohttp."""
    found = _classes.get(id(module))
    if found is None or found[0] is not module:
        content = type("StreamReader", (_Pieces, module.StreamReader), {})
        protocol = type("RewindProtocol", (_Sent, module.client_proto.ResponseHandler), {})
        found = _classes[id(module)] = (module, content, protocol)
    return found[1:]


class Connection:
    """What the library takes from its connector: here it ends in nothing."""

    def __init__(self, protocol: Any, request: Any, call: ServedCall) -> None:
        self.protocol = protocol
        self._connector = request.session.connector  # `ClientRequest.send` asks it whether to keep alive
        self._call = call
        self._callbacks: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> None:
        """To be called when the program lets go of it: the library stops its timer then."""
        self._callbacks.append(callback)

    @property
    def transport(self) -> Any:
        return None if self.protocol is None else self.protocol.transport

    @property
    def closed(self) -> bool:
        return self.protocol is None

    def release(self) -> None:
        self.protocol = None
        self._call.end()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    close = release


class Quiet(ObjectProxy):  # type: ignore[type-arg]
    """An event loop that is in debug mode, for a response that may be dropped.

    A live one is held by its connection then, and closed without a word when its body is there. Here nothing
    holds it.
    """

    def get_debug(self) -> bool:
        return False


class Transport(asyncio.Transport):
    """Takes everything and says nothing."""

    def write(self, data: Any) -> None:
        del data

    def writelines(self, list_of_data: Any) -> None:
        del list_of_data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        return None

    def abort(self) -> None:
        return None

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None
