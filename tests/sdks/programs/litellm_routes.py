"""litellm: httpx, and for asynchronous calls aiohttp below it, on its routes to OpenAI and to Anthropic."""

from __future__ import annotations

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch one, and is offline here

from typing import Any

import litellm
from showing import KEY, MINTED, QUESTION, REFUSED, WEATHER, gathered, run, said, show, show_stream

MINTED.append('"created": [0-9]+')  # the time, where the wire shape has none or chunks are put together
TOOLS = [{"type": "function", "function": WEATHER}]


async def uses(url: str, *, asynchronous: bool) -> None:
    litellm.suppress_debug_info = True
    completion = litellm.acompletion if asynchronous else litellm.completion
    embedding = litellm.aembedding if asynchronous else litellm.embedding
    for model, base in (("openai/gpt-5", f"{url}/v1"), ("anthropic/claude-sonnet-4-5", url)):
        route = {"model": model, "api_base": base, "api_key": KEY}

        def ask(text: str = QUESTION, **more: Any) -> Any:
            return completion(messages=said(text), max_retries=0, **route, **more)  # noqa: B023

        await show(f"{model} chat", ask)
        await show(f"{model} compressed", lambda: ask("[encoding=gzip] Oslo"))
        await show(f"{model} tools", lambda: ask(tools=TOOLS))
        await show_stream(f"{model} stream", lambda: ask(stream=True))
        await show_stream(f"{model} left early", lambda: ask("Lima", stream=True), take=1)
        for text in REFUSED:
            await show(f"{model} refused", lambda text=text: ask(text))
        await show_stream(f"{model} refused stream", lambda: ask(REFUSED[0], stream=True))
        await show(f"{model} lost", lambda: ask("[disconnect=0] x"))
        await show(f"{model} broken", lambda: ask("[disconnect=1] x"))
        await show_stream(f"{model} broken stream", lambda: ask("[disconnect=4] x", stream=True))
        if asynchronous:
            await gathered(f"{model} gathered", *(lambda n=n: ask(f"question {n}") for n in range(4)))
    given = {"model": "openai/text-embedding-3-small", "api_base": f"{url}/v1", "api_key": KEY}
    await show("embedding", lambda: embedding(input=["one", "two"], **given))


run(uses)
