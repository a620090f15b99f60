"""requests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import requests
import urllib3
from driving import BOUNDARY, Driver
from urllib3.exceptions import ReadTimeoutError
from urllib3.filepost import encode_multipart_formdata


class RequestsDriver(Driver):
    """requests, in one thread."""

    library = "requests"
    asynchronous = False
    translates = True
    empty_parts = not urllib3.__version__.startswith("1.")
    errors = {  # noqa: RUF012
        "refused": requests.ConnectionError,
        "timeout of the connection": requests.ReadTimeout,
        "timeout of the answer": requests.ReadTimeout,
        "timeout of the body": (requests.ConnectionError, ReadTimeoutError),  # by what is read
    }

    def __init__(self) -> None:
        super().__init__("requests", requests)

    def seams(self) -> list[Any]:
        return [requests.Session.__dict__["get_adapter"]]

    @asynccontextmanager
    async def client(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - httpx's word for it
        follow_redirects: bool = False,
        **options: Any,
    ) -> AsyncIterator[Any]:
        with requests.Session() as session:
            session.trust_env = False
            session.asked = {"timeout": timeout, "allow_redirects": follow_redirects}  # type: ignore[attr-defined]
            for name, value in options.items():
                setattr(session, name, value)
            yield session

    async def send(self, client: Any, method: str, url: str, *, stream: bool, **options: Any) -> Any:
        return client.request(method, url, stream=stream, **{**client.asked, **_translated(options)})

    async def read(self, response: Any) -> bytes:
        return response.content

    async def close(self, response: Any) -> None:
        response.close()

    def pieces(self, response: Any, manner: str) -> Any:
        if manner == "raw":
            return response.raw.stream(2**16, decode_content=False)
        if manner == "lines":
            return response.iter_lines()
        return response.iter_content(None, decode_unicode=manner == "text")

    def failed(self, error: BaseException) -> dict[str, Any]:
        request = getattr(error, "request", None)
        return {
            "type": type(error),
            "text": re.sub(r" at 0x[0-9a-f]+", "", str(error)),
            "request": request and (request.method, request.url),
            "response": getattr(error, "response", None),
        }

    def look(self, response: Any) -> dict[str, Any]:
        raw = response.raw
        return {
            "status": response.status_code,
            "reason": response.reason,
            "url": response.url,
            "headers": list(response.headers.items()),
            "raw headers": raw.headers and list(raw.headers.items()),
            "raw": (raw.version, raw.status, raw.reason, raw.__class__),
            "version": getattr(raw, "version_string", None),
            "cookies": dict(response.cookies),
            "encoding": response.encoding,
            "elapsed": response.elapsed.total_seconds() > 0,
            "links": response.links,
            "redirect": (response.is_redirect, response.is_permanent_redirect),
            "next": response.next and response.next.url,
            "history": [self.look(hop) for hop in response.history],
            "request": (
                response.request.method,
                response.request.url,
                list(response.request.headers.items()),
            ),
            "ok": response.ok,
            "repr": repr(response),
            "class": type(response),
        }


def _translated(options: dict[str, Any]) -> dict[str, Any]:
    """Options of httpx as those of requests."""
    options = dict(options)
    if "content" in options:
        options["data"] = options.pop("content")
    if BOUNDARY in options.get("headers", {}).get("Content-Type", ""):
        fields = [*options.pop("data", {}).items(), *options.pop("files").items()]
        given = [(name, _field(value)) for name, value in fields]
        options["data"] = encode_multipart_formdata(given, BOUNDARY)[0]
    return options


def _field(value: Any) -> Any:
    if isinstance(value, tuple):
        name, data, *kind = value
        return (name, data.read() if hasattr(data, "read") else data, *kind)
    return value.read() if hasattr(value, "read") else value
