"""aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from driving import BOUNDARY, Driver


class AiohttpDriver(Driver):
    """aiohttp on asyncio's event loop."""

    library = "aiohttp"
    asynchronous = True
    wire = False
    steady = False
    by_arrival = ("bytes", "text")
    errors = {  # noqa: RUF012
        "refused": aiohttp.ClientConnectorError,
        "timeout of the connection": aiohttp.ConnectionTimeoutError,
        "timeout of the answer": aiohttp.SocketTimeoutError,
        "timeout of the body": aiohttp.SocketTimeoutError,
        "upload": aiohttp.ClientConnectionError,
    }

    def __init__(self) -> None:
        super().__init__("aiohttp", aiohttp)

    def seams(self) -> list[Any]:
        return [aiohttp.ClientSession.__dict__["_request"]]

    @asynccontextmanager
    async def client(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - httpx's word for it
        follow_redirects: bool = False,
        **options: Any,
    ) -> AsyncIterator[Any]:
        async with aiohttp.ClientSession(timeout=_timeout(timeout), **options) as session:
            yield _Client(session, follow_redirects)

    async def send(self, client: Any, method: str, url: str, *, stream: bool, **options: Any) -> Any:
        options = {"allow_redirects": client.follows, **_translated(options)}
        response = await client.session.request(method, url, **options)
        if not stream:
            await response.read()
        return response

    async def read(self, response: Any) -> bytes:
        return await response.read()

    async def close(self, response: Any) -> None:
        await response.__aexit__(None, None, None)

    def pieces(self, response: Any, manner: str) -> Any:
        content = response.content
        if manner == "lines":
            return content
        if manner == "raw":
            return _data_of(content)
        return content.iter_any() if manner == "bytes" else content.iter_chunked(2**16)

    def failed(self, error: BaseException) -> dict[str, Any]:
        about = getattr(error, "request_info", None)
        return {
            "type": type(error),
            "text": str(error),
            "request": about and (about.method, str(about.url)),
            "errno": getattr(error, "errno", None),
            "status": getattr(error, "status", None),
            "message": getattr(error, "message", None) and str(error.message),  # type: ignore[attr-defined]
        }

    def look(self, response: Any) -> dict[str, Any]:
        about = response.request_info
        return {
            "status": response.status,
            "reason": response.reason,
            "version": tuple(response.version),
            "url": (str(response.url), str(response.real_url), response.host),
            "method": response.method,
            "headers": list(response.headers.items()),
            "raw headers": tuple(response.raw_headers),
            "cookies": {name: morsel.value for name, morsel in response.cookies.items()},
            "type": (response.content_type, response.charset, response.content_disposition),
            "length": response.content_length,
            "links": {name: dict(link) for name, link in response.links.items()},
            "history": [self.look(hop) for hop in response.history],
            "request": (about.method, str(about.url), str(about.real_url), list(about.headers.items())),
            "ok": response.ok,
            "repr": repr(response),
            "class": type(response),
        }


class _Client:
    """A session, and whether it is to follow redirects."""

    def __init__(self, session: aiohttp.ClientSession, follows: bool) -> None:
        self.session = session
        self.follows = follows


async def _data_of(content: Any) -> AsyncIterator[bytes]:
    """By HTTP chunks. An empty content gives empty ones for ever."""
    async for data, _ in content.iter_chunks():
        if data:
            yield data
        elif content.at_eof():
            return


def _timeout(seconds: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)


def _translated(options: dict[str, Any]) -> dict[str, Any]:
    """Options of httpx as those of aiohttp."""
    options = dict(options)
    if "content" in options:
        options["data"] = options.pop("content")
    if "timeout" in options:
        options["timeout"] = _timeout(options["timeout"])
    if "files" in options:
        fixed = BOUNDARY in options.get("headers", {}).get("Content-Type", "")
        options["data"] = _form(options.pop("data", {}), options.pop("files"), BOUNDARY if fixed else None)
    elif isinstance(options.get("data"), dict):
        pairs = options["data"].items()
        options["data"] = [
            (name, one) for name, value in pairs for one in (value if isinstance(value, list) else [value])
        ]
    return options


def _form(data: dict[str, Any], files: dict[str, Any], boundary: str | None) -> Any:
    """A form as `aiohttp.FormData` makes it, which cannot be given a boundary."""
    writer = aiohttp.MultipartWriter("form-data", boundary)
    for name, value in data.items():
        writer.append(value).set_content_disposition("form-data", name=name)
    for name, value in files.items():
        filename, content, *kind = value if isinstance(value, tuple) else (None, value)
        part = writer.append(content, {"Content-Type": kind[0]} if kind else None)
        named = {"filename": filename} if filename else {}
        part.set_content_disposition("form-data", name=name, **named)
    return writer
