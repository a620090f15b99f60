"""What a driver is: a client library used one way, in the words that the suite's scenarios use.

Scenarios are coroutines in every case; under a synchronous driver they never wait, and no event loop runs.
A new adapter needs a driver here and a place in ``drivers.py``: the suite does the rest.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from rewind_auto.boot.hooks import ADAPTERS
from rewind_auto.driver import ProcessDriver

# As a program can ask for the body: as on the wire, decoded, as text, by lines, or all of it at once.
MANNERS = ("buffered", "raw", "bytes", "text", "lines")

# A fixed boundary for what is to be the same in every run.
BOUNDARY = "always-the-same"


@dataclass
class Got:
    """What a program got of one exchange: everything it can see.

    ``by_arrival``: the pieces are cut by when the network brought what, so two live runs differ in them.
    """

    response: dict[str, Any] | None = None
    pieces: list[bytes | str] = field(default_factory=list)
    error: dict[str, Any] | None = None
    by_arrival: bool = False

    @property
    def body(self) -> bytes | str:
        return (b"" if self.pieces and isinstance(self.pieces[0], bytes) else "").join(self.pieces)  # type: ignore[arg-type]


class Driver(ABC):
    """A client library, used one way.

    Attributes:
        library: as steps name it.
        errors: what it raises when the connection is refused, times out, and so on.
        wire: whether "raw" pieces are as on the wire, with their content coding.
        translates: whether errors of a body have other names above the seam than at it.
        by_arrival: manners whose pieces are cut by when the network brought what.
        empty_parts: whether an upload may have empty parts: some releases take one for its end.
        steady: whether when a connection is free again does not depend on when the network brought what.

    """

    library: str
    asynchronous: bool
    errors: dict[str, type[Exception] | tuple[type[Exception], ...]]
    wire = True
    translates = False
    by_arrival: tuple[str, ...] = ()
    steady = True
    empty_parts = True

    def __init__(self, name: str, module: ModuleType) -> None:
        self.id = name
        self.module = module

    def __repr__(self) -> str:
        return self.id

    @property
    def adapter(self) -> Any:
        """The adapter of the library."""
        return __import__(ADAPTERS[self.module.__name__], fromlist=["install"])

    def install(self, agent: ProcessDriver) -> None:
        self.adapter.install(self.module, agent)

    def uninstall(self) -> None:
        self.adapter.uninstall(self.module)

    @abstractmethod
    def seams(self) -> list[Any]:
        """What stands in the places that the adapter patches."""

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run a scenario to its end."""
        if self.asynchronous:
            return asyncio.run(main)
        try:
            main.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("a synchronous driver waited")

    # --- what a library is asked to do; options are those of `httpx.Client` and its `request`

    @abstractmethod
    def client(self, **options: Any) -> AbstractAsyncContextManager[Any]:
        """A client: ``timeout`` in seconds, ``follow_redirects``, and options of the library's own."""

    @abstractmethod
    async def send(self, client: Any, method: str, url: str, *, stream: bool, **options: Any) -> Any:
        """A response: ``content``, ``data``, ``files``, ``headers``, ``timeout``."""

    @abstractmethod
    async def read(self, response: Any) -> bytes:
        """The whole body, decoded."""

    @abstractmethod
    async def close(self, response: Any) -> None:
        """Let go of a response."""

    @abstractmethod
    def pieces(self, response: Any, manner: str) -> Any:
        """An iterator over the body, of the kind the library has."""

    @abstractmethod
    def look(self, response: Any) -> dict[str, Any]:
        """Everything a program can see of a response, without touching its body."""

    def midway(self, response: Any) -> Any:
        """What can be seen of a response whose body has been read so far, and may be closed now."""
        del response

    def names(self, step_error: str, error: dict[str, Any]) -> bool:
        """Whether a step's error is the one that the program saw."""
        return self.translates or step_error.startswith(f"{error['type'].__name__}: ")

    @abstractmethod
    def failed(self, error: BaseException) -> dict[str, Any]:
        """What a program can see of an error."""

    # --- and what follows from that

    async def exchange(
        self,
        client: Any,
        method: str,
        url: str,
        manner: str = "buffered",
        *,
        take: int | None = None,
        **options: Any,
    ) -> Got:
        """One request and its answer, read in this manner; ``take`` pieces of it, then it is closed."""
        got = Got(by_arrival=manner in self.by_arrival)
        try:
            if manner == "buffered":
                response = await self.send(client, method, url, stream=False, **options)
                got.pieces = [await self.read(response)]
                got.response = self.look(response)
                return got
            async with self.streaming(client, method, url, **options) as response:
                got.response = self.look(response)
                try:
                    await self.gather(self.pieces(response, manner), got.pieces, take)
                finally:
                    got.response["midway"] = self.midway(response)
            got.response |= self.look(response)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
            got.error = self.failed(error)
        return got

    @asynccontextmanager
    async def streaming(self, client: Any, method: str, url: str, **options: Any) -> AsyncIterator[Any]:
        """A response whose body is still to come."""
        response = await self.send(client, method, url, stream=True, **options)
        try:
            yield response
        finally:
            await self.close(response)

    @asynccontextmanager
    async def opened(self, client: Any, method: str, url: str, **options: Any) -> AsyncIterator[Any]:
        """A streamed exchange, and what gives its next chunk as on the wire, None at the end."""
        async with self.streaming(client, method, url, **options) as response:
            chunks = self.pieces(response, "raw")

            async def following() -> bytes | None:
                return await anext(chunks, None) if self.asynchronous else next(chunks, None)

            yield following

    def upload(self, parts: Iterable[bytes], error: Exception | None = None) -> Any:
        """A request body of unknown length that is made as it is sent, and then fails with ``error``."""

        def generate() -> Iterator[bytes]:
            yield from parts
            if error is not None:
                raise error

        async def agenerate() -> AsyncIterator[bytes]:
            for part in generate():
                yield part

        return agenerate() if self.asynchronous else generate()

    async def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """What a function gives, which under an asynchronous driver is to be awaited."""
        result = function(*args, **options)
        return await result if self.asynchronous else result

    async def gather(self, iterator: Any, into: list[Any], most: int | None = None) -> None:
        """Append what the iterator gives, ``most`` items of it. It is left where it is then."""
        if most == 0:
            return
        if self.asynchronous:
            async for item in iterator:
                into.append(item)
                if len(into) == most:
                    return
        else:
            for item in iterator:
                into.append(item)
                if len(into) == most:
                    return

    async def sleep(self, seconds: float) -> None:
        if self.asynchronous:
            import anyio

            await anyio.sleep(seconds)
        else:
            time.sleep(seconds)  # noqa: ASYNC251 - there is no event loop then
