"""A small travel agent on the official openai SDK: two calls at once, then a loop of tools, streamed.

    python examples/agent.py [QUESTION]

It reads OPENAI_API_KEY and OPENAI_BASE_URL as the SDK does, and AGENT_MODEL for the model.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from openai import AsyncOpenAI
from travel_tools import QUESTION, SIGHTS, TOOLS, calculate, get_weather

MODEL = os.environ.get("AGENT_MODEL", "gpt-5.4-mini")
FUNCTIONS: dict[str, Callable[..., str]] = {"get_weather": get_weather, "calculate": calculate}


async def ask(client: AsyncOpenAI, prompt: str) -> str:
    reply = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])
    return reply.choices[0].message.content or ""


async def main(question: str) -> None:
    async with AsyncOpenAI() as client:
        notes = await asyncio.gather(*(ask(client, prompt) for prompt in SIGHTS))
        messages: list[Any] = [
            {"role": "system", "content": "You plan day trips. Notes:\n" + "\n".join(notes)},
            {"role": "user", "content": question},
        ]
        while True:
            async with client.chat.completions.stream(
                model=MODEL, messages=messages, tools=TOOLS, stream_options={"include_usage": True}
            ) as stream:
                async for event in stream:
                    if event.type == "content.delta":
                        print(event.delta, end="", flush=True)
                message = (await stream.get_final_completion()).choices[0].message
            if not message.tool_calls:
                break
            messages.append(message.model_dump(include={"role", "tool_calls"}))
            for call in message.tool_calls:
                arguments = json.loads(call.function.arguments)
                result = FUNCTIONS[call.function.name](**arguments)
                print(f"{call.function.name}({', '.join(arguments.values())}) -> {result}")
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    print()


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or QUESTION))
