"""openai before version 1: requests, and aiohttp for what begins with an "a"."""

from __future__ import annotations

from typing import Any

import openai
from showing import KEY, MINTED, QUESTION, REFUSED, WEATHER, gathered, run, said, show, show_stream

MODEL = "gpt-4"
MINTED.append("__cf_bm=[^;]+")  # the text of an error has all headers, and a cookie is not kept


async def uses(url: str, *, asynchronous: bool) -> None:
    openai.api_base, openai.api_key = f"{url}/v1", KEY
    create = openai.ChatCompletion.acreate if asynchronous else openai.ChatCompletion.create
    embed = openai.Embedding.acreate if asynchronous else openai.Embedding.create
    models = openai.Model.alist if asynchronous else openai.Model.list

    def ask(text: str = QUESTION, **more: Any) -> Any:
        return create(model=MODEL, messages=said(text), **more)

    await show("chat", ask)
    await show("compressed", lambda: ask("[encoding=gzip] Oslo"))
    await show("tools", lambda: ask(tools=[{"type": "function", "function": WEATHER}]))
    await show_stream("stream", lambda: ask(stream=True))
    await show_stream("left early", lambda: ask("Lima", stream=True), take=1)
    # For anything else it needs numpy.
    given = {"model": "text-embedding-3-small", "encoding_format": "float"}
    await show("embeddings", lambda: embed(input=["one", "two"], **given))
    await show("models", models)
    for text in REFUSED:
        await show("refused", lambda text=text: ask(text))
    await show_stream("refused stream", lambda: ask(REFUSED[0], stream=True))
    await show("lost", lambda: ask("[disconnect=0] x"))
    await show("broken", lambda: ask("[disconnect=1] x"))
    await show_stream("broken stream", lambda: ask("[disconnect=4] x", stream=True))
    if asynchronous:
        await gathered("gathered", *(lambda n=n: ask(f"question {n}") for n in range(4)))


run(uses)
