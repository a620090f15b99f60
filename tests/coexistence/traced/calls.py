"""Calls of the real SDKs, each with a name, and what they give in a line of JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any

import anthropic
import openai

QUESTION = "What about Paris?"
REFUSED = "[status=429] x"
RETRIED = "[fail=1][retry_after=0.01]"


def chat(client: Any, text: str = QUESTION, **more: Any) -> Any:
    return client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": text}], **more
    )


def response(client: Any, text: str = QUESTION, **more: Any) -> Any:
    return client.responses.create(model="gpt-4o", input=text, **more)


def embedding(client: Any, text: str = QUESTION) -> Any:
    return client.embeddings.create(model="text-embedding-3", input=text)


def message(client: Any, text: str = QUESTION, **more: Any) -> Any:
    return client.messages.create(
        model="claude-x", max_tokens=9, messages=[{"role": "user", "content": text}], **more
    )


OPENAI: dict[str, Callable[[Any], Any]] = {
    "chat": chat,
    "chat stream": lambda client: chat(client, stream=True, stream_options={"include_usage": True}),
    "chat left": lambda client: chat(client, "Lima?", stream=True),
    "chat refused": lambda client: chat(client, REFUSED),
    "chat retried": lambda client: chat(
        client.with_options(max_retries=2), f"{RETRIED} {type(client).__name__}"
    ),
    "response": response,
    "response stream": lambda client: response(client, stream=True),
    "embedding": embedding,
}
ANTHROPIC: dict[str, Callable[[Any], Any]] = {
    "message": message,
    "message stream": lambda client: message(client, stream=True),
    "message left": lambda client: message(client, "Lima?", stream=True),
    "message refused": lambda client: message(client, REFUSED),
}


async def _seen(call: Callable[[], Any], *, left: bool) -> Any:
    """What the program sees of a call, synchronous or not: a result, the items of a stream, an error."""
    try:
        got = call()
        if hasattr(got, "__await__"):
            got = await got
        if hasattr(got, "model_dump"):
            return got.model_dump(mode="json")
        items = []
        if hasattr(got, "__aiter__"):
            async with got:
                async for item in got:
                    items.append(item.model_dump(mode="json"))
                    if left:
                        break
        else:
            with got:
                for item in got:
                    items.append(item.model_dump(mode="json"))
                    if left:
                        break
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
        return f"{type(error).__module__}.{type(error).__name__}: {error}"
    return items


def _at_once(coroutine: Any) -> Any:
    """Run a coroutine that has nothing to wait for: with no event loop, as a program without one has it."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a synchronous client waited")


def make(url: str, around: Callable[[str], AbstractContextManager[Any]]) -> None:
    """Make all of them, each inside ``around`` its name."""
    options: dict[str, Any] = {"api_key": "any", "max_retries": 0}

    def one(name: str, call: Callable[[], Any]) -> Any:
        return _seen(call, left=name.endswith("left"))

    for calls, client in (
        (OPENAI, openai.OpenAI(base_url=f"{url}/v1", **options)),
        (ANTHROPIC, anthropic.Anthropic(base_url=url, **options)),
    ):
        for name, call in calls.items():
            with around(f"sync {name}"):
                _show(f"sync {name}", _at_once(one(name, lambda call=call, client=client: call(client))))

    async def main() -> None:
        clients = [
            ("async", OPENAI, openai.AsyncOpenAI(base_url=f"{url}/v1", **options)),
            ("async", ANTHROPIC, anthropic.AsyncAnthropic(base_url=url, **options)),
        ]
        if find_spec("aiohttp") is not None:
            below = openai.DefaultAioHttpClient()
            client = openai.AsyncOpenAI(base_url=f"{url}/v1", http_client=below, **options)
            clients.append(("aiohttp", {"chat": chat}, client))
        for form, calls, client in clients:
            async with client:
                for name, call in calls.items():
                    with around(f"{form} {name}"):
                        _show(
                            f"{form} {name}", await one(name, lambda call=call, client=client: call(client))
                        )

    asyncio.run(main())


def _show(name: str, seen: Any) -> None:
    print(name, json.dumps(seen, sort_keys=True), flush=True)
