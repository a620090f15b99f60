"""mistralai, whose asynchronous methods are on the same client under other names."""

from __future__ import annotations

from typing import Any

from mistralai.client import Mistral
from showing import KEY, QUESTION, REFUSED, WEATHER, gathered, run, said, show, show_stream

MODEL = "mistral-large-latest"


async def uses(url: str, *, asynchronous: bool) -> None:
    client = Mistral(api_key=KEY, server_url=url)
    complete = client.chat.complete_async if asynchronous else client.chat.complete
    streaming = client.chat.stream_async if asynchronous else client.chat.stream

    def ask(text: str = QUESTION, **more: Any) -> Any:
        return complete(model=MODEL, messages=said(text), **more)

    def stream(text: str = QUESTION) -> Any:
        return streaming(model=MODEL, messages=said(text))

    await show("chat", ask)
    await show("compressed", lambda: ask("[encoding=gzip] Oslo"))
    await show("tools", lambda: ask(tools=[{"type": "function", "function": WEATHER}]))
    await show_stream("stream", stream)
    await show_stream("left early", lambda: stream("Lima"), take=1)
    for text in REFUSED:
        await show("refused", lambda text=text: ask(text))
    await show_stream("refused stream", lambda: stream(REFUSED[0]))
    await show("lost", lambda: ask("[disconnect=0] x"))
    await show("broken", lambda: ask("[disconnect=1] x"))
    await show_stream("broken stream", lambda: stream("[disconnect=4] x"))
    if asynchronous:
        await gathered("gathered", *(lambda n=n: ask(f"question {n}") for n in range(4)))


run(uses)
