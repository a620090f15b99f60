"""The travel agent of agent.py on the official anthropic SDK.

    python examples/agent_anthropic.py [QUESTION]

It reads ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL as the SDK does, and AGENT_MODEL for the model.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

from anthropic import AsyncAnthropic
from travel_tools import ANTHROPIC_TOOLS, QUESTION, SIGHTS, calculate, get_weather

MODEL = os.environ.get("AGENT_MODEL", "claude-sonnet-5-5")
FUNCTIONS: dict[str, Callable[..., str]] = {"get_weather": get_weather, "calculate": calculate}


async def ask(client: AsyncAnthropic, prompt: str) -> str:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    reply = await client.messages.create(model=MODEL, max_tokens=300, messages=messages)
    return "".join(block.text for block in reply.content if block.type == "text")


async def main(question: str) -> None:
    async with AsyncAnthropic() as client:
        notes = await asyncio.gather(*(ask(client, prompt) for prompt in SIGHTS))
        system = "You plan day trips. Notes:\n" + "\n".join(notes)
        messages: list[Any] = [{"role": "user", "content": question}]
        while True:
            async with client.messages.stream(
                model=MODEL, max_tokens=1000, system=system, messages=messages, tools=ANTHROPIC_TOOLS
            ) as stream:
                async for text in stream.text_stream:
                    print(text, end="", flush=True)
                message = await stream.get_final_message()
            if message.stop_reason != "tool_use":
                break
            messages.append({"role": "assistant", "content": message.content})
            results: list[Any] = []
            for block in message.content:
                if block.type == "tool_use":
                    arguments: Any = block.input
                    result = FUNCTIONS[block.name](**arguments)
                    print(f"{block.name}({', '.join(arguments.values())}) -> {result}")
                    results.append({"type": "tool_result", "tool_use_id": block.id, "content": result})
            messages.append({"role": "user", "content": results})
    print()


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or QUESTION))
