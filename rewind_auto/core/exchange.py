"""The tee: builds the recording of one live exchange from the events of a seam.

Sans-IO. An adapter tells what it sees (`head`, `chunk`, `finish`); nothing is read ahead, nothing is
delayed, and the bytes are the adapter's own objects, kept by reference until the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter_ns

from rewind_auto.core.decode import uncoded
from rewind_auto.core.model import Ending, Fault, Head, Recording, Request

_PIECES, _PIECE = 1000, 128


class Exchange:
    """One exchange in flight.

    Args:
        request: the request; its body may follow later through `uploaded`.
        limit: bytes of request plus response above which the bodies are let go (`oversized`). So are those
            that come in more pieces than `_PIECES` and one for each `_PIECE` bytes of it, for a piece takes
            memory too (`crumbled`).
        ended: whether a body cut short by the program already held its provider's last event. Asked only
            then: nothing is parsed while chunks flow.
    """

    __slots__ = (
        "_chunks",
        "_ended",
        "_most",
        "_offsets",
        "_open_cuts",
        "_size",
        "_start",
        "crumbled",
        "finished",
        "head_us",
        "limit",
        "oversized",
        "request",
        "response_head",
        "streamed_upload",
    )

    def __init__(self, request: Request, *, limit: int, ended: Callable[[Head, bytes], bool]) -> None:
        self.request = request
        self.response_head: Head | None = None
        self.head_us = 0
        self.finished = False
        self.streamed_upload = False
        self.limit = limit
        self.crumbled = False
        self._most = _PIECES + limit // _PIECE
        self._ended = ended
        self._size = 0
        self.oversized = False
        self._chunks: list[bytes] = []
        self._offsets: list[int] = []
        self._open_cuts: list[int] = []
        self._start = perf_counter_ns()
        if request.oversized:
            self.let_go()
        else:
            self._grow(len(request.body))

    def uploaded(self, body: bytes | None) -> None:
        """The request body, where it was only known once sent. None: it is above the limit."""
        self.streamed_upload = True
        if body is None:
            self.let_go()
        else:
            self._grow(len(body))
        if body is not None and not self.oversized:
            self.request = uncoded(replace(self.request, body=body))

    def head(self, head: Head) -> None:
        """Status and headers have come."""
        self.response_head = head
        self.head_us = self._now()

    def decoded(self) -> None:
        """The program has the body decoded by the library, above or at the seam."""
        if self.response_head is not None and self.response_head.wire:
            self.response_head = replace(self.response_head, wire=False)

    def chunk_open(self) -> None:
        """The chunk to come next is not the end of an HTTP chunk, and the program is told so."""
        self._open_cuts.append(len(self._offsets))

    def chunk(self, data: bytes) -> None:
        """A piece of the body is about to reach the program."""
        self._size += len(data)
        if self._size > self.limit:
            self._grow(0)
            return
        if len(self._chunks) == self._most:
            self.crumbled = True
            self.let_go()
            return
        self._chunks.append(data)
        self._offsets.append(perf_counter_ns())

    def let_go(self) -> None:
        """Keep nothing of the bodies, neither what has come nor what is to come."""
        self.limit, self.oversized = -1, True
        if self.request.body:
            self.request = replace(self.request, body=b"")
        self._chunks.clear()
        self._offsets.clear()
        self._open_cuts.clear()

    def finish(self, ending: Ending, fault: Fault | None = None) -> Recording | None:
        """The body ended, this way. Returns the recording the first time, None afterwards."""
        if self.finished:
            return None
        self.finished = True
        start = self._start
        # At exit a daemon thread may still be adding to them: a chunk first, then its time.
        offsets = self._offsets[:]
        chunks = self._chunks[: len(offsets)]
        body = b"".join(chunks)
        cuts = tuple((len(c), (at - start) // 1000) for c, at in zip(chunks, offsets, strict=True))
        self._chunks, self._offsets = [], []
        if (
            ending in (Ending.CLOSED, Ending.CANCELLED)  # openai limits the time it drains what comes after
            and self.response_head is not None
            and self._ended(self.response_head, body)
        ):
            ending = Ending.TERMINAL
        return Recording(
            request=self.request,
            head=self.response_head,
            body=body,
            cuts=cuts,
            open_cuts=tuple(index for index in self._open_cuts if index < len(cuts)),
            head_us=self.head_us,
            end_us=self._now(),
            ending=ending,
            fault=fault,
        )

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self.limit:
            self.let_go()

    def _now(self) -> int:
        return (perf_counter_ns() - self._start) // 1000
