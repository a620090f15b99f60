"""Calls made with the HTTP libraries themselves, and with tracing turned off by each of the keys for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import aiohttp
import httpx
import requests
from openinference.instrumentation import suppress_tracing
from opentelemetry import context
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from opentelemetry.semconv_ai import SUPPRESS_LANGUAGE_MODEL_INSTRUMENTATION_KEY

ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Paris?"}]}


@contextmanager
def as_openllmetry() -> Any:
    token = context.attach(context.set_value(SUPPRESS_LANGUAGE_MODEL_INSTRUMENTATION_KEY, value=True))
    yield
    context.detach(token)


SUPPRESSED: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "suppress_instrumentation": suppress_instrumentation,
    "suppress_http_instrumentation": suppress_http_instrumentation,
    "openinference": suppress_tracing,
    "openllmetry": as_openllmetry,
}


def make(url: str, around: Callable[[str], AbstractContextManager[Any]]) -> None:
    url = f"{url}/v1/chat/completions"

    async def by_aiohttp() -> str:
        async with aiohttp.ClientSession() as session, session.post(url, json=ASKED) as response:
            return await response.text()

    with around("httpx"):
        print(httpx.post(url, json=ASKED).text)
    with around("requests"):
        print(requests.post(url, json=ASKED).text)
    with around("aiohttp"):
        print(asyncio.run(by_aiohttp()))
    for name, suppress in SUPPRESSED.items():
        with around(name), suppress():
            print(httpx.post(url, json=ASKED).text)
            print(requests.post(url, json=ASKED).text)
