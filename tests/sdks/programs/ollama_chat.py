"""ollama, whose streams are lines of JSON."""

from __future__ import annotations

from typing import Any

import ollama
from showing import QUESTION, REFUSED, WEATHER, gathered, opened, run, said, show, show_stream

MODEL = "llama3.2"


async def uses(url: str, *, asynchronous: bool) -> None:
    kind = ollama.AsyncClient if asynchronous else ollama.Client
    client = await opened(kind(host=url))

    def ask(text: str = QUESTION, **more: Any) -> Any:
        return client.chat(model=MODEL, messages=said(text), **more)

    await show("chat", ask)
    await show("compressed", lambda: ask("[encoding=gzip] Oslo"))
    await show("tools", lambda: ask(tools=[{"type": "function", "function": WEATHER}]))
    await show_stream("stream", lambda: ask(stream=True))
    await show_stream("left early", lambda: ask("Lima", stream=True), take=2)
    await show("generate", lambda: client.generate(model=MODEL, prompt=QUESTION))
    await show_stream("generate stream", lambda: client.generate(model=MODEL, prompt=QUESTION, stream=True))
    await show("embed", lambda: client.embed(model=MODEL, input=["one", "two"]))
    await show("list", client.list)
    for text in REFUSED:
        await show("refused", lambda text=text: ask(text))
    await show_stream("refused stream", lambda: ask(REFUSED[0], stream=True))
    await show("lost", lambda: ask("[disconnect=0] x"))
    await show("broken", lambda: ask("[disconnect=1] x"))
    await show_stream("broken stream", lambda: ask("[disconnect=4] x", stream=True))
    if asynchronous:
        await gathered("gathered", *(lambda n=n: ask(f"question {n}") for n in range(4)))


run(uses)
