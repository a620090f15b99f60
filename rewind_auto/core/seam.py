"""What an adapter and the rest agree on.

An adapter asks its `Driver` at every request to a host that may be ours, and tells the `LiveCall` it gets
what happens, or serves the `ServedCall`. Wherever somebody may have to wait, the answer is a generator of
pauses (seconds): `run` sleeps through them in synchronous code, `arun` in asynchronous code, and the rest
is shared. Closing such a generator early means: the caller cannot wait; finish without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from time import sleep as block  # now: tests of programs put a `sleep` of their own into the module
from typing import Protocol, TypeVar

from rewind_auto.core.model import Ending, Fault, Head, Recording, Request, StepRef
from rewind_auto.core.playback import Playback

T = TypeVar("T")
Pauses = Generator[float, None, T]

# True while the inner transport of a call of ours runs: a client below it (httpx2 over aiohttp, a retrying
# transport with a client of its own) is part of that call, not another one. The outermost wins.
inside: ContextVar[object] = ContextVar("rewind_inside", default=False)

# The step of the outermost function of the program's own that runs here: what it calls is part of it.
within: ContextVar[StepRef | None] = ContextVar("rewind_within", default=None)


class LiveCall(Protocol):
    """A call that goes out, told of its events in order."""

    @property
    def limit(self) -> int:
        """Bytes of request plus response above which nothing of them is kept."""

    def scope(self) -> AbstractContextManager[None]:
        """To be held while the inner transport produces the response."""

    def around(self) -> AbstractContextManager[None]:
        """To be held while a function of the program's own runs, which may make calls itself."""

    def uploaded(self, body: bytes | None) -> None:
        """The request body, where it was streamed. None: it is larger than `limit`."""

    def head(self, head: Head) -> None:
        """The response came."""

    def decoded(self) -> None:
        """The body is handed over with its content coding removed. Told before its first chunk."""

    def chunk_open(self) -> None:
        """The next chunk is a part of an HTTP chunk, not its end: for libraries that tell the program."""

    def chunk(self, data: bytes) -> None:
        """A piece of the body, before the program sees it."""

    def lost(self, error: Exception) -> None:
        """Something of it is not known, for an error of ours: nothing of it is kept."""

    def end(self, ending: Ending, fault: Fault | None = None) -> Pauses[None]:
        """The exchange is over, told before the program learns of it. Later calls do nothing."""

    def dropped(self) -> None:
        """Nobody can read on or close it any more. Told by a finalizer, so at any time and in any thread."""

    def leave(self, why: str) -> Pauses[None]:
        """It turned out to be no exchange of ours (a protocol upgrade): let go of it."""


class ServedCall(Protocol):
    """A call that is answered from a recording."""

    @property
    def recording(self) -> Recording:
        """What it is answered with."""

    def playback(self) -> Playback:
        """The recorded body, paced. One per call: iterators of it share their position."""

    def end(self) -> None:
        """The program is done with the answer."""

    def dropped(self) -> None:
        """Nobody can read on or close it any more. Told by a finalizer, so at any time and in any thread."""

    def beyond(self) -> BaseException:
        """What to raise when the program asks for more than was recorded."""


class Driver(Protocol):
    """The way from an adapter to the rest of the agent."""

    @property
    def needs_body(self) -> bool:
        """Whether a streamed upload has to be read before `begin`: in record mode it is teed instead."""

    def wants(self, host: str, port: int | None) -> bool:
        """Whether requests to this host may be ours. On every request of the program: costs a look-up."""

    def begin(self, request: Request, *, upgrade: bool = False) -> Pauses[LiveCall | ServedCall | None]:
        """Decide about a request. None: leave it alone.

        Raises:
            RewindReplayDivergenceError: strict replay has no answer. Nothing was sent.
        """

    def failed(self, where: str, error: Exception) -> None:
        """An error of ours kept a request from `begin`: leave it alone.

        Raises:
            RewindReplayDivergenceError: a strict replay lets nothing out that it has not seen.
        """


def run(pauses: Pauses[T]) -> T:
    """Go through a generator of pauses in synchronous code."""
    while True:
        try:
            pause = next(pauses)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            block(pause)
        except BaseException:
            pauses.close()
            raise


async def arun(pauses: Pauses[T], sleep: Callable[[float], Awaitable[object]]) -> T:
    """Go through a generator of pauses in asynchronous code."""
    while True:
        try:
            pause = next(pauses)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            await sleep(pause)
        except BaseException:
            pauses.close()
            raise
