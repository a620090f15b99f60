"""openai over aiohttp: an httpx2 client whose transport is one of aiohttp's sessions."""

from __future__ import annotations

import openai
from chat_completions import MODEL, chats, retried
from showing import KEY, QUESTION, run, said, show, show_stream


async def uses(url: str, *, asynchronous: bool) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key=KEY, max_retries=0, http_client=openai.DefaultAioHttpClient()
    ) as client:
        await chats(client, asynchronous=asynchronous)
        await show("responses", lambda: client.responses.create(model=MODEL, input=QUESTION))
        await show_stream(
            "responses stream", lambda: client.responses.create(model=MODEL, input=QUESTION, stream=True)
        )
        await show("embeddings", lambda: client.embeddings.create(model=MODEL, input=["one", "two"]))
        raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=said("raw"))
        await show("raw", lambda: [raw.status_code, raw.http_version, raw.text, raw.request_id, raw.parse()])
        await retried(client.with_options(max_retries=2))


run(uses)
