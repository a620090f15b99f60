"""httpx and httpx2, synchronous or not."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from driving import Driver

# Loading certificates takes longer than everything else a client does.
PLAIN_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class HttpxDriver(Driver):
    """httpx or httpx2, on no event loop, asyncio's or trio's."""

    def __init__(self, module: ModuleType, *, asynchronous: bool, backend: str = "asyncio") -> None:
        kind = backend if asynchronous and backend != "asyncio" else "async" if asynchronous else "sync"
        super().__init__(f"{module.__name__}-{kind}", module)
        self.library = module.__name__
        self.asynchronous = asynchronous
        self.backend = backend
        self.errors = {
            "refused": module.ConnectError,
            "timeout of the connection": module.ConnectTimeout,
            "timeout of the answer": module.ReadTimeout,
            "timeout of the body": module.ReadTimeout,
        }
        self.Client: Any = module.AsyncClient if asynchronous else module.Client
        self.HTTPTransport: Any = module.AsyncHTTPTransport if asynchronous else module.HTTPTransport

    def seams(self) -> list[Any]:
        return [
            getattr(self.module, name).__dict__["_transport_for_url"] for name in ("Client", "AsyncClient")
        ]

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        if self.backend == "trio":
            import trio

            async def whole() -> Any:
                return await main

            return trio.run(whole)
        return super().run(main)

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Any]:
        options = {"verify": PLAIN_TLS, "trust_env": False, **options}
        async with self.within(self.Client(**options)) as client:
            yield client

    async def send(self, client: Any, method: str, url: str, *, stream: bool, **options: Any) -> Any:
        if stream:
            return await self.call(client.send, client.build_request(method, url, **options), stream=True)
        return await self.call(client.request, method, url, **options)

    async def read(self, response: Any) -> bytes:
        return bytes(await self.call(self.method(response, "read")))

    async def close(self, response: Any) -> None:
        await self.call(self.method(response, "close"))

    def pieces(self, response: Any, manner: str) -> Any:
        return self.method(response, f"iter_{manner}")()

    def midway(self, response: Any) -> Any:
        return response.is_closed, response.is_stream_consumed

    def failed(self, error: BaseException) -> dict[str, Any]:
        try:
            request = error.request  # type: ignore[attr-defined]
        except (AttributeError, RuntimeError) as missing:
            seen: Any = type(missing).__name__
        else:
            seen = (request.method, str(request.url))
        return {"type": type(error), "text": str(error), "request": seen}

    def look(self, response: Any) -> dict[str, Any]:
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

    # --- what the family's own tests use

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
