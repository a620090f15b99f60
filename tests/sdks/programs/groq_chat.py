"""groq."""

from __future__ import annotations

import groq
from chat_completions import chats, retried
from showing import KEY, opened, run


async def uses(url: str, *, asynchronous: bool) -> None:
    kind = groq.AsyncGroq if asynchronous else groq.Groq
    given = {"api_key": KEY, "base_url": url}
    await chats(await opened(kind(max_retries=0, **given)), asynchronous=asynchronous)
    await retried(await opened(kind(max_retries=2, **given)))


run(uses)
