"""Chat Completions as many SDKs have them: the same names, and differences in all that is below."""

from __future__ import annotations

from typing import Any

from showing import QUESTION, REFUSED, WEATHER, gathered, said, show, show_stream

MODEL = "llama-3.3-70b"


async def chats(client: Any, *, asynchronous: bool) -> None:
    """Use ``client``, which does not try again."""

    def ask(text: str = QUESTION, **more: Any) -> Any:
        return client.chat.completions.create(model=MODEL, messages=said(text), **more)

    await show("chat", ask)
    await show("compressed", lambda: ask("[encoding=gzip] Oslo"))
    await show_stream("stream", lambda: ask(stream=True))
    await show_stream("compressed stream", lambda: ask("[encoding=gzip] Oslo", stream=True))
    await show_stream("left early", lambda: ask("Lima", stream=True), take=1)
    await tools(client)
    for text in REFUSED:
        await show("refused", lambda text=text: ask(text))
    await show_stream("refused stream", lambda: ask(REFUSED[0], stream=True))
    await show("lost", lambda: ask("[disconnect=0] x"))
    await show("broken", lambda: ask("[disconnect=1] x"))
    await show_stream("broken stream", lambda: ask("[disconnect=4] x", stream=True))
    if asynchronous:
        await gathered("gathered", *(lambda n=n: ask(f"question {n}") for n in range(4)))


async def tools(client: Any) -> None:
    """A turn with tools, and one with their results, streamed."""
    given = {"model": MODEL, "tools": [{"type": "function", "function": WEATHER}]}
    asked = await show("tools", lambda: client.chat.completions.create(messages=said(), **given))
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": "{}"}}
        for call in asked.choices[0].message.tool_calls
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "18 °C"} for call in calls]
    turn = [*said(), {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    await show_stream(
        "tool results", lambda: client.chat.completions.create(messages=turn, stream=True, **given)
    )


async def retried(client: Any) -> None:
    """Use ``client``, which tries again."""
    ask = client.chat.completions.create
    text = "[fail=1][retry_after=0.01] x"
    await show("retried", lambda: ask(model=MODEL, messages=said(text)))
    await show_stream("retried stream", lambda: ask(model=MODEL, messages=said(text), stream=True))
