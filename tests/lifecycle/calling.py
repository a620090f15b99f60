"""One call over each library and kind of client, in this process. Programs of the tests import it too."""

from __future__ import annotations

import asyncio
from types import ModuleType

# A way is a library and a kind of client: `way.partition(" ")[0]` is the library's name.
WAYS = ("httpx", "httpx async", "httpx2", "httpx2 async", "requests", "aiohttp")

# Where each way is hooked.
SEAMS = {
    "httpx": ("Client", "_transport_for_url"),
    "httpx async": ("AsyncClient", "_transport_for_url"),
    "httpx2": ("Client", "_transport_for_url"),
    "httpx2 async": ("AsyncClient", "_transport_for_url"),
    "requests": ("Session", "get_adapter"),
    "aiohttp": ("ClientSession", "_request"),
}


def library(way: str) -> str:
    return way.partition(" ")[0]


def seam(module: ModuleType, way: str) -> object:
    """What stands in the place where this way is hooked."""
    name, attribute = SEAMS[way]
    return getattr(module, name).__dict__[attribute]


def seams(module: ModuleType) -> list[object]:
    """All of a library's."""
    return [seam(module, way) for way in WAYS if library(way) == module.__name__]


def call(module: ModuleType, way: str, url: str, body: str = "hello") -> str:
    """POST ``body`` with a client of its own. Returns the text of the answer."""
    if way in ("httpx", "httpx2"):
        with module.Client(verify=False, trust_env=False) as client:
            return client.post(url, content=body).text
    if way == "requests":
        with module.Session() as session:
            session.trust_env = False
            return session.post(url, data=body).text
    return asyncio.run(acall(module, way, url, body))


async def acall(module: ModuleType, way: str, url: str, body: str = "hello") -> str:
    """The same, where there is an event loop."""
    if way == "aiohttp":
        async with module.ClientSession() as session, session.post(url, data=body.encode()) as response:
            return await response.text()
    if way.endswith("async"):
        async with module.AsyncClient(verify=False, trust_env=False) as client:
            return (await client.post(url, content=body)).text
    return await asyncio.to_thread(call, module, way, url, body)
