"""Questions of tasks side by side, on every event loop that there is."""

from __future__ import annotations

import asyncio

import anyio
import trio
import uvloop
from asking import ask_async

SAID: list[str] = []


async def say(what: str) -> None:
    SAID.append(await ask_async(what))


async def gathered(name: str) -> None:
    await asyncio.gather(*(say(f"{name} {number}") for number in range(3)))


async def nursed() -> None:
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(say, f"trio {number}")


async def grouped(name: str) -> None:
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(say, f"{name} {number}")


asyncio.run(gathered("asyncio"))
uvloop.run(gathered("uvloop"))
trio.run(nursed)
anyio.run(grouped, "anyio on asyncio")
anyio.run(grouped, "anyio on trio", backend="trio")
print(*sorted(SAID), sep="\n")
