"""anthropic over aiohttp: an httpx2 client whose transport is one of aiohttp's sessions."""

from __future__ import annotations

from typing import Any

import anthropic
from showing import KEY, QUESTION, REFUSED, WEATHER, gathered, run, said, show, show_stream

TOOLS = [{"name": WEATHER["name"], "input_schema": WEATHER["parameters"]}]


async def uses(url: str, *, asynchronous: bool) -> None:
    async with anthropic.AsyncAnthropic(
        base_url=url, api_key=KEY, max_retries=0, http_client=anthropic.DefaultAioHttpClient()
    ) as client:
        await messages(client)
        patient = client.with_options(max_retries=2)
        await show("retried", lambda: _ask(patient, "[fail=1][retry_after=0.01] x"))


async def messages(client: Any) -> None:
    await show("message", lambda: _ask(client))
    await show("compressed", lambda: _ask(client, "[encoding=gzip] Oslo"))
    await show("tools", lambda: _ask(client, tools=TOOLS))
    await show_stream("stream", lambda: _ask(client, stream=True))
    await show_stream("left early", lambda: _ask(client, "Lima", stream=True), take=1)
    async with client.messages.stream(model="claude-x", max_tokens=9, messages=said()) as stream:
        await show_stream("text", lambda: stream.text_stream)
        await show("final", stream.get_final_message)
    await show("count", lambda: client.messages.count_tokens(model="claude-x", messages=said()))
    for text in REFUSED:
        await show("refused", lambda text=text: _ask(client, text))
    await show_stream("refused stream", lambda: _ask(client, REFUSED[0], stream=True))
    await show("lost", lambda: _ask(client, "[disconnect=0] x"))
    await show("broken", lambda: _ask(client, "[disconnect=1] x"))
    await show_stream("broken stream", lambda: _ask(client, "[disconnect=4] x", stream=True))
    await gathered("gathered", *(lambda n=n: _ask(client, f"question {n}") for n in range(4)))


def _ask(client: Any, text: str = QUESTION, **more: Any) -> Any:
    return client.messages.create(model="claude-x", max_tokens=9, messages=said(text), **more)


run(uses)
