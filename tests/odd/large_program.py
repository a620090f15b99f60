"""One large exchange of one library. Prints a digest of what came, and how far memory went up for it.

Arguments: library, ``sync`` or ``async``, what to do, URL, size of the upload in megabytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

MB = 1 << 20


def megabytes(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b"%08d" % number * (MB // 8)


async def amegabytes(count: int) -> AsyncIterator[bytes]:
    for piece in megabytes(count):
        yield piece


def _status(name: str) -> int:
    """A number of /proc/self/status, in kilobytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)


class Peak:
    """How far the memory of this process went up from here."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS")

    def __str__(self) -> str:
        return str((_status("VmHWM") - self._before) // 1024)


def with_httpx(library: str, doing: str, url: str, upload: int) -> None:
    module = import_module(library)
    with module.Client(timeout=60, trust_env=False) as client:
        client.post(f"{url}/small", content=b"{}")
        peak, seen = Peak(), hashlib.sha256()
        content = megabytes(upload) if upload else b"{}"
        if doing == "buffered":
            seen.update(client.post(f"{url}/large", content=content).content)
        else:
            with client.stream("POST", f"{url}/large", content=content) as response:
                for piece in response.iter_bytes():
                    seen.update(piece)
        print(seen.hexdigest(), peak)


async def with_httpx_async(library: str, doing: str, url: str, upload: int) -> None:
    module = import_module(library)
    async with module.AsyncClient(timeout=60, trust_env=False) as client:
        await client.post(f"{url}/small", content=b"{}")
        peak, seen = Peak(), hashlib.sha256()
        content: Any = amegabytes(upload) if upload else b"{}"
        if doing == "buffered":
            seen.update((await client.post(f"{url}/large", content=content)).content)
        else:
            async with client.stream("POST", f"{url}/large", content=content) as response:
                async for piece in response.aiter_bytes():
                    seen.update(piece)
        print(seen.hexdigest(), peak)


def with_requests(_library: str, doing: str, url: str, upload: int) -> None:
    import requests

    with requests.Session() as session:
        session.trust_env = False
        session.post(f"{url}/small", b"{}", timeout=60)
        peak, seen = Peak(), hashlib.sha256()
        content: Any = megabytes(upload) if upload else b"{}"
        if doing == "buffered":
            seen.update(session.post(f"{url}/large", content, timeout=60).content)
        else:
            with session.post(f"{url}/large", content, stream=True, timeout=60) as response:
                for piece in response.iter_content(64 * 1024):
                    seen.update(piece)
        print(seen.hexdigest(), peak)


async def with_aiohttp(_library: str, doing: str, url: str, upload: int) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/small", data=b"{}") as response:
            await response.read()
        peak, seen = Peak(), hashlib.sha256()
        content: Any = amegabytes(upload) if upload else b"{}"
        async with session.post(f"{url}/large", data=content) as response:
            if doing == "buffered":
                seen.update(await response.read())
            else:
                async for piece in response.content.iter_any():
                    seen.update(piece)
        print(seen.hexdigest(), peak)


def main() -> None:
    library, kind, doing, url, upload = sys.argv[1:]
    if library == "requests":
        with_requests(library, doing, url, int(upload))
    elif library == "aiohttp":
        asyncio.run(with_aiohttp(library, doing, url, int(upload)))
    elif kind == "sync":
        with_httpx(library, doing, url, int(upload))
    else:
        asyncio.run(with_httpx_async(library, doing, url, int(upload)))


if __name__ == "__main__":
    os.environ["NO_PROXY"] = "*"
    main()
