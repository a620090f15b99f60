"""cohere: version 2 of its API."""

from __future__ import annotations

from typing import Any

import cohere
from showing import KEY, QUESTION, REFUSED, WEATHER, gathered, get, opened, run, said, show, show_stream

TOOLS = [{"type": "function", "function": WEATHER}]


async def uses(url: str, *, asynchronous: bool) -> None:
    kind = cohere.AsyncClientV2 if asynchronous else cohere.ClientV2
    client = await opened(kind(KEY, base_url=url, max_retries=0))
    await show("chat", lambda: _chat(client))
    await show("compressed", lambda: _chat(client, "[encoding=gzip] Oslo"))
    await show_stream("stream", lambda: _stream(client))
    await show_stream("left early", lambda: _stream(client, "Lima"), take=2)
    await show("tools", lambda: _chat(client, tools=TOOLS))
    await show_stream("tools stream", lambda: _stream(client, tools=TOOLS))
    await show(
        "embed",
        lambda: client.embed(
            model="embed-v4.0",
            texts=["one", "two"],
            input_type="search_document",
            embedding_types=["float"],
        ),
    )
    raw = await get(client.with_raw_response.chat(model="command-a", messages=said("raw")))
    await show("raw", lambda: [dict(raw.headers), raw.data])
    for text in REFUSED:
        await show("refused", lambda text=text: _chat(client, text))
    await show_stream("refused stream", lambda: _stream(client, REFUSED[0]))
    await show("lost", lambda: _chat(client, "[disconnect=0] x"))
    await show("broken", lambda: _chat(client, "[disconnect=1] x"))
    await show_stream("broken stream", lambda: _stream(client, "[disconnect=4] x"))
    if asynchronous:
        await gathered("gathered", *(lambda n=n: _chat(client, f"question {n}") for n in range(4)))
    await show("retried", lambda: _chat(client, "[fail=1] x", request_options={"max_retries": 2}))


def _chat(client: Any, text: str = QUESTION, **more: Any) -> Any:
    return client.chat(model="command-a", messages=said(text), **more)


def _stream(client: Any, text: str = QUESTION, **more: Any) -> Any:
    return client.chat_stream(model="command-a", messages=said(text), **more)


run(uses)
