"""google-genai, whose asynchronous calls go by aiohttp wherever that is installed."""

from __future__ import annotations

import random
from typing import Any

from google import genai
from google.genai import types
from showing import KEY, QUESTION, REFUSED, WEATHER, gathered, run, show, show_stream

MODEL = "gemini-2.5-flash"
DECLARED = types.FunctionDeclaration(name=WEATHER["name"], parameters_json_schema=WEATHER["parameters"])
TOOLS = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[DECLARED])])


async def uses(url: str, *, asynchronous: bool) -> None:
    whole = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url))
    models = whole.aio.models if asynchronous else whole.models

    def ask(text: str = QUESTION, **more: Any) -> Any:
        return models.generate_content(model=MODEL, contents=text, **more)

    def stream(text: str = QUESTION) -> Any:
        return models.generate_content_stream(model=MODEL, contents=text)

    await show("content", ask)
    await show("compressed", lambda: ask("[encoding=gzip] Oslo"))
    await show("tools", lambda: ask(config=TOOLS))
    await show("count", lambda: models.count_tokens(model=MODEL, contents=QUESTION))
    await show_stream("stream", stream)
    await show_stream("compressed stream", lambda: stream("[encoding=gzip] Oslo"))
    await show_stream("left early", lambda: stream("Lima"), take=1)
    for text in REFUSED:
        await show("refused", lambda text=text: ask(text))
    await show_stream("refused stream", lambda: stream(REFUSED[0]))
    random.seed(2)  # what it waits before it tries again: the least that it may
    await show("lost", lambda: ask("[disconnect=0] x"))
    await show("broken", lambda: ask("[disconnect=1] x"))
    await show_stream("broken stream", lambda: stream("[disconnect=2] x"))
    if asynchronous:
        await gathered("gathered", *(lambda n=n: ask(f"question {n}") for n in range(4)))
        await whole.aio.aclose()
    whole.close()


run(uses)
