"""together, of either generation."""

from __future__ import annotations

from importlib.metadata import version

import together
from chat_completions import chats, retried
from showing import KEY, run, show


async def uses(url: str, *, asynchronous: bool) -> None:
    kind = together.AsyncTogether if asynchronous else together.Together
    given = {"api_key": KEY, "base_url": f"{url}/v1" if version("together") < "2" else url}
    client = kind(max_retries=0, **given)
    await chats(client, asynchronous=asynchronous)
    await show("embeddings", lambda: client.embeddings.create(model="m2-bert", input=["one", "two"]))
    await retried(kind(max_retries=2, **given))


run(uses)
