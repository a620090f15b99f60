"""How programs show what they get: a line of JSON for each call, with nothing random or timed in it."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Coroutine
from typing import Any

KEY = "sk-test-0123456789abcdefghij"
QUESTION = "What about Paris and Tokyo? Où ça ? ☃"
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
# What SDKs make up themselves, and is not shown. A program adds what its own does.
MINTED = ["[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"]
REFUSED = [f"[status={status}] x" for status in (400, 429, 500)]


def said(text: str = QUESTION) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def run(uses: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Run a program's uses of its SDK at the URL, and in the form, that the command line says."""
    url, form = sys.argv[1:]
    main = uses(url, asynchronous=form == "async")
    if form == "async":
        asyncio.run(main)
        return
    try:
        main.send(None)
    except StopIteration:
        return
    raise AssertionError("a synchronous SDK waited")


async def get(result: Any) -> Any:
    """What a call gives, synchronous or not."""
    return await result if inspect.isawaitable(result) else result


async def opened(manager: Any) -> Any:
    """What ``with`` or ``async with`` gives; the process is over before anything has to be closed."""
    return await manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()


async def show(name: str, call: Callable[[], Any]) -> Any:
    """Print what a call gives or raises. Returns what it gave."""
    got = None
    try:
        got = await get(call())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
        _print(name, error=_failed(error))
    else:
        _print(name, got=got)
    return got


async def show_stream(name: str, call: Callable[[], Any], take: int | None = None) -> None:
    """Print what a stream gives, ``take`` items of it or all, and what it raises."""
    items: list[Any] = []
    error = None
    try:
        stream = await get(call())
        await _collect(stream, items, take)
    except Exception as raised:  # noqa: BLE001 - whatever it is, it is to be the same
        error = _failed(raised)
    _print(name, items=items, error=error)


async def gathered(name: str, *calls: Callable[[], Any]) -> None:
    """Print what asynchronous calls give that are made at the same time."""
    _print(name, got=await asyncio.gather(*(call() for call in calls)))


async def _collect(stream: Any, items: list[Any], take: int | None) -> None:
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            items.append(item)
            if len(items) == take:
                break
    else:
        for item in stream:
            items.append(item)
            if len(items) == take:
                break
    if take is not None:
        close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
        await get(close() if close else None)


def _print(name: str, **values: Any) -> None:
    shown = json.dumps(values, default=_plain, sort_keys=True)
    print(name, re.sub("|".join(MINTED), "…", shown), flush=True)


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise TypeError(f"{type(value)} cannot be shown")


def _failed(error: BaseException) -> dict[str, Any]:
    # Below a library's own error is what became of the connection, which a replay does not have.
    is_a_librarys = _name(error).startswith(("httpx", "aiohttp", "requests"))
    cause = None if is_a_librarys else error.__cause__
    return {
        "type": _name(error),
        "text": str(error),
        "status": getattr(error, "status_code", None) or getattr(error, "code", None),
        "body": getattr(error, "body", None),
        "cause": cause and [_name(cause), str(cause)],
    }


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"
