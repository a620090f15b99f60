"""Agents and SDKs that trace themselves, where they are told to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


def make(url: str, around: Callable[[str], AbstractContextManager[Any]]) -> None:
    pydantic_ai(url, around)
    mistral(url, around)
    gemini(url, around)
    openai_agents(url, around)


def pydantic_ai(url: str, around: Callable[[str], AbstractContextManager[Any]]) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    Agent.instrument_all()
    agent = Agent(OpenAIChatModel("gpt-4o", provider=OpenAIProvider(base_url=f"{url}/v1", api_key="any")))

    async def stream() -> list[str]:
        async with agent.run_stream("Lima?") as result:
            return [text async for text in result.stream_text(debounce_by=None)]

    with around("pydantic-ai"):
        print(agent.run_sync("Paris?").output)
    with around("pydantic-ai stream"):
        print(asyncio.run(stream()))


def mistral(url: str, around: Callable[[str], AbstractContextManager[Any]]) -> None:
    from mistralai.client import Mistral

    client = Mistral(api_key="any", server_url=url)
    asked: dict[str, Any] = {"model": "mistral-x", "messages": [{"role": "user", "content": "Paris?"}]}
    with around("mistral"):
        print(client.chat.complete(**asked).choices[0].message.content)
    with around("mistral stream"):
        print([event.data.choices[0].delta.content for event in client.chat.stream(**asked)])


def gemini(url: str, around: Callable[[str], AbstractContextManager[Any]]) -> None:
    from google import genai
    from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor

    GoogleGenAiSdkInstrumentor().instrument()
    client = genai.Client(api_key="any", http_options={"base_url": url})
    asked: dict[str, Any] = {"model": "gemini-x", "contents": "Paris?"}

    async def main() -> None:
        with around("gemini async"):
            print((await client.aio.models.generate_content(**asked)).text)
        with around("gemini async stream"):
            chunks = await client.aio.models.generate_content_stream(**asked)
            print([chunk.text async for chunk in chunks])

    with around("gemini"):
        print(client.models.generate_content(**asked).text)
    with around("gemini stream"):
        print([chunk.text for chunk in client.models.generate_content_stream(**asked)])
    asyncio.run(main())


def openai_agents(url: str, around: Callable[[str], AbstractContextManager[Any]]) -> None:
    """With its own tracing at work, which sends to OpenAI unless it is told where to."""
    from agents import Agent, OpenAIChatCompletionsModel, Runner
    from agents.tracing import set_trace_processors
    from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor
    from openai import AsyncOpenAI

    logging.getLogger("openai.agents").setLevel(logging.CRITICAL)  # nobody takes its traces here
    exporter = BackendSpanExporter(api_key="any", endpoint=f"{url}/v1/traces/ingest", max_retries=0)
    set_trace_processors([BatchTraceProcessor(exporter)])
    model = OpenAIChatCompletionsModel("gpt-4o", AsyncOpenAI(base_url=f"{url}/v1", api_key="any"))
    with around("openai-agents"):
        print(Runner.run_sync(Agent(name="guide", model=model), "Rome?").final_output)
