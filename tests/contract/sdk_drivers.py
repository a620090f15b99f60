"""The official SDKs, used every way: what a program does with each, and all that it gets."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

import anthropic
import httpx2
import openai
from google import genai
from google.genai import types as genai_types

from rewind_auto.adapters import httpx as adapter
from rewind_auto.driver import ProcessDriver

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION = "What about Paris and Tokyo? Où ça ? ☃"
KEY = "sk-test-0123456789abcdefghij"


def said(text: str = QUESTION) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


async def get(result: Any) -> Any:
    """What a call gives, synchronous or not."""
    return await result if inspect.isawaitable(result) else result


async def collect(stream: Any) -> list[Any]:
    """All that a stream gives, synchronous or not."""
    if hasattr(stream, "__aiter__"):
        return [item async for item in stream]
    return list(stream)


class opened:  # noqa: N801 - reads as the function it stands for
    """``async with`` for a manager of either kind."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.asynchronous = hasattr(manager, "__aenter__")

    async def __aenter__(self) -> Any:
        return await self.manager.__aenter__() if self.asynchronous else self.manager.__enter__()

    async def __aexit__(self, *raised: object) -> Any:
        return await self.manager.__aexit__(*raised) if self.asynchronous else self.manager.__exit__(*raised)


def dumped(thing: Any) -> Any:
    return thing.model_dump(mode="json") if hasattr(thing, "model_dump") else thing


def headers(response: Any) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in response.headers.multi_items()]


def failed(error: Any) -> dict[str, Any]:
    """What a program can see of an SDK's error."""
    response = getattr(error, "response", None)
    cause = (
        error.__cause__ if isinstance(error.__cause__, httpx2.HTTPError) else None
    )  # below it is a connection
    return {
        "type": type(error),
        "text": str(error),
        "body": getattr(error, "body", None),
        "cause": (type(cause), str(cause)),
        "request": getattr(error, "request_id", None),
        "status": response.status_code if hasattr(response, "status_code") else None,
        "headers": headers(response) if hasattr(response, "headers") else None,
    }


async def attempt(call: Callable[[], Any]) -> Any:
    try:
        return dumped(await get(call()))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
        return failed(error)


class SdkDriver:
    """An SDK in its synchronous or asynchronous form; a driver as far as a `Trial` is concerned."""

    module: ModuleType = httpx2
    library = "httpx2"
    steady = True

    def __init__(self, sdk: str, *, asynchronous: bool) -> None:
        self.sdk = sdk
        self.asynchronous = asynchronous
        self.id = f"{sdk}-{'async' if asynchronous else 'sync'}"

    def __repr__(self) -> str:
        return self.id

    def install(self, agent: ProcessDriver) -> None:
        adapter.install(self.module, agent)

    def uninstall(self) -> None:
        adapter.uninstall(self.module)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        if self.asynchronous:
            return asyncio.run(main)
        try:
            main.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("a synchronous SDK waited")

    def client(self, url: str, **options: Any) -> Any:
        if self.sdk == "openai":
            kind = openai.AsyncOpenAI if self.asynchronous else openai.OpenAI
            return opened(
                kind(base_url=f"{url}/v1", api_key=KEY, **{"max_retries": 0, "timeout": 20, **options})
            )
        if self.sdk == "anthropic":
            kind = anthropic.AsyncAnthropic if self.asynchronous else anthropic.Anthropic
            return opened(kind(base_url=url, api_key=KEY, **{"max_retries": 0, "timeout": 20, **options}))
        return _Gemini(url, asynchronous=self.asynchronous)


class _Gemini:
    """google-genai with an httpx client: else its calls go by aiohttp wherever that is installed."""

    def __init__(self, url: str, *, asynchronous: bool) -> None:
        self.asynchronous = asynchronous
        self.http = httpx2.AsyncClient(trust_env=False) if asynchronous else None
        options = genai_types.HttpOptions(base_url=url, httpx_async_client=self.http)
        self.client = genai.Client(api_key=KEY, http_options=options)

    async def __aenter__(self) -> Any:
        return self.client.aio if self.asynchronous else self.client

    async def __aexit__(self, *_: object) -> None:
        if self.http is not None:
            await self.http.aclose()
        self.client.close()


OPENAI = [SdkDriver("openai", asynchronous=value) for value in (False, True)]
ANTHROPIC = [SdkDriver("anthropic", asynchronous=value) for value in (False, True)]
GEMINI = [SdkDriver("gemini", asynchronous=value) for value in (False, True)]
