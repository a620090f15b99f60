"""What the suite needs to know of a client library: one driver for each way of using it.

Scenarios are coroutines in every case; under a synchronous driver they never wait, and no event loop runs.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import httpx
import httpx2

from rewind_auto.adapters import httpx as adapter
from rewind_auto.driver import ProcessDriver

# As a program can ask for the body: as on the wire, decoded, as text, by lines, or all of it at once.
MANNERS = ("buffered", "raw", "bytes", "text", "lines")

# Loading certificates takes longer than everything else a client does.
PLAIN_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class Got:
    """What a program got of one exchange: everything it can see."""

    response: dict[str, Any] | None = None
    pieces: list[bytes | str] = field(default_factory=list)
    error: dict[str, Any] | None = None

    @property
    def body(self) -> bytes | str:
        return (b"" if self.pieces and isinstance(self.pieces[0], bytes) else "").join(self.pieces)  # type: ignore[arg-type]


class Driver(Protocol):
    """A client library, used one way."""

    id: str
    library: str  # as steps name it
    asynchronous: bool
    errors: dict[str, type[Exception]]  # what it raises when the connection is refused, times out, ...

    def install(self, agent: ProcessDriver) -> None: ...

    def uninstall(self) -> None: ...

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run a scenario to its end."""

    def client(self, **options: Any) -> AbstractAsyncContextManager[Any]:
        """A client of the library; ``options`` are its own."""

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

    def opened(
        self, client: Any, method: str, url: str, **options: Any
    ) -> AbstractAsyncContextManager[Callable[[], Awaitable[bytes | None]]]:
        """A streamed exchange, and what gives its next chunk as on the wire, None at the end."""

    def upload(self, parts: Iterable[bytes], error: Exception | None = None) -> Any:
        """A request body of unknown length that is made as it is sent, and then fails with ``error``."""

    def failed(self, error: BaseException) -> dict[str, Any]:
        """What a program can see of an error."""


class HttpxDriver:
    """httpx or httpx2, synchronous or not."""

    def __init__(self, module: ModuleType, *, asynchronous: bool, backend: str = "asyncio") -> None:
        kind = backend if asynchronous and backend != "asyncio" else "async" if asynchronous else "sync"
        self.id = f"{module.__name__}-{kind}"
        self.library = module.__name__
        self.module = module
        self.asynchronous = asynchronous
        self.errors = {
            "refused": module.ConnectError,
            "timeout of the connection": module.ConnectTimeout,
            "timeout of the answer": module.ReadTimeout,
        }
        self.backend = backend
        self.Client: Any = module.AsyncClient if asynchronous else module.Client
        self.HTTPTransport: Any = module.AsyncHTTPTransport if asynchronous else module.HTTPTransport

    def __repr__(self) -> str:
        return self.id

    def install(self, agent: ProcessDriver) -> None:
        adapter.install(self.module, agent)

    def uninstall(self) -> None:
        adapter.uninstall(self.module)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        if self.backend == "trio":
            import trio

            async def whole() -> Any:
                return await main

            return trio.run(whole)
        if self.asynchronous:
            return asyncio.run(main)
        try:
            main.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("a synchronous driver waited")

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Any]:
        options = {"verify": PLAIN_TLS, "trust_env": False, **options}
        async with self.within(self.Client(**options)) as client:
            yield client

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
        got = Got()
        try:
            if manner == "buffered":
                response = await self.call(client.request, method, url, **options)
                got.response, got.pieces = self.look(response), [response.content]
                return got
            async with self.within(client.stream(method, url, **options)) as response:
                got.response = self.look(response)
                try:
                    await self.gather(self.pieces(response, manner), got.pieces, take)
                finally:
                    got.response["midway"] = (response.is_closed, response.is_stream_consumed)
            got.response |= self.look(response)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
            got.error = self.failed(error)
        return got

    @asynccontextmanager
    async def opened(self, client: Any, method: str, url: str, **options: Any) -> AsyncIterator[Any]:
        async with self.within(client.stream(method, url, **options)) as response:
            chunks = self.pieces(response, "raw")

            async def following() -> bytes | None:
                return await anext(chunks, None) if self.asynchronous else next(chunks, None)

            yield following

    def upload(self, parts: Iterable[bytes], error: Exception | None = None) -> Any:
        def generate() -> Iterator[bytes]:
            yield from parts
            if error is not None:
                raise error

        async def agenerate() -> AsyncIterator[bytes]:
            for part in generate():
                yield part

        return agenerate() if self.asynchronous else generate()

    def failed(self, error: BaseException) -> dict[str, Any]:
        try:
            request = error.request  # type: ignore[attr-defined]
        except (AttributeError, RuntimeError) as missing:
            seen: Any = type(missing).__name__
        else:
            seen = (request.method, str(request.url))
        return {"type": type(error), "text": str(error), "request": seen}

    # --- what the family's own tests use

    async def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        return await result if self.asynchronous else result

    @asynccontextmanager
    async def within(self, manager: Any) -> AsyncIterator[Any]:
        if self.asynchronous:
            async with manager as value:
                yield value
        else:
            with manager as value:
                yield value

    def method(self, thing: Any, name: str) -> Any:
        """``read`` or ``aread``, and so on."""
        return getattr(thing, f"a{name}" if self.asynchronous else name)

    def pieces(self, response: Any, manner: str) -> Any:
        return self.method(response, f"iter_{manner}")()

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

    async def read(self, response: Any) -> bytes:
        return bytes(await self.call(self.method(response, "read")))

    async def sleep(self, seconds: float) -> None:
        if self.asynchronous:
            import anyio

            await anyio.sleep(seconds)
        else:
            time.sleep(seconds)  # noqa: ASYNC251 - there is no event loop then

    def look(self, response: Any) -> dict[str, Any]:
        """Everything a program can see of a response, without touching its body."""
        seen = {
            "status": response.status_code,
            "reason": response.reason_phrase,
            "version": response.http_version,
            "url": str(response.url),
            "headers": tuple(response.headers.raw),
            "cookies": dict(response.cookies),
            "encoding": response.charset_encoding,
            "closed": response.is_closed,
            "consumed": response.is_stream_consumed,
            "downloaded": response.num_bytes_downloaded,
            "links": response.links,
            "next": response.next_request and str(response.next_request.url),
            "history": [self.look(hop) for hop in response.history],
            "request": (
                response.request.method,
                str(response.request.url),
                tuple(response.request.headers.raw),
            ),
            "repr": repr(response),
            "class": type(response),
        }
        try:
            seen["text"] = response.text
        except self.module.ResponseNotRead as error:
            seen["text"] = repr(error)
        try:
            seen["elapsed"] = response.elapsed.total_seconds() >= 0
        except RuntimeError as error:
            seen["elapsed"] = str(error)
        return seen


ASYNC_DRIVERS = [HttpxDriver(module, asynchronous=True) for module in (httpx, httpx2)]
SYNC_DRIVERS = [HttpxDriver(module, asynchronous=False) for module in (httpx, httpx2)]
DRIVERS: list[Driver] = [*SYNC_DRIVERS, *ASYNC_DRIVERS]
TRIO_DRIVERS = [HttpxDriver(module, asynchronous=True, backend="trio") for module in (httpx, httpx2)]
