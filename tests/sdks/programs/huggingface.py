"""huggingface_hub, of either generation: chats, and tasks at URLs of their own."""

from __future__ import annotations

import os

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from chat_completions import chats
from huggingface_hub import AsyncInferenceClient, InferenceClient
from showing import KEY, QUESTION, REFUSED, run, show, show_stream


async def uses(url: str, *, asynchronous: bool) -> None:
    kind = AsyncInferenceClient if asynchronous else InferenceClient
    await chats(kind(base_url=f"{url}/v1", api_key=KEY), asynchronous=asynchronous)
    client = kind(model=f"{url}/text-generation", token=KEY)
    generate = client.text_generation
    await show("generation", lambda: generate(QUESTION, max_new_tokens=9))
    await show("generation in detail", lambda: generate(QUESTION, details=True))
    await show_stream("generation stream", lambda: generate(QUESTION, stream=True))
    await show_stream(
        "generation stream in detail", lambda: generate("Lima", stream=True, details=True), take=2
    )
    for text in REFUSED:
        await show("refused", lambda text=text: generate(text))
    await show_stream("broken stream", lambda: generate("[disconnect=3] x", stream=True))
    await show("classes", lambda: client.text_classification("good", model=f"{url}/text-classification"))


run(uses)
