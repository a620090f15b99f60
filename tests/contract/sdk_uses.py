"""What a program asks of each SDK; every use gives all that it got."""

from __future__ import annotations

from typing import Any

from google.genai import errors as genai_errors
from google.genai import types as genai_types
from sdk_drivers import (
    ANTHROPIC,
    GEMINI,
    OPENAI,
    QUESTION,
    SCHEMA,
    attempt,
    collect,
    dumped,
    get,
    headers,
    opened,
    said,
)


async def _openai_chat(client: Any) -> Any:
    return dumped(await get(client.chat.completions.create(model="gpt-5", messages=said())))


async def _openai_chat_stream(client: Any) -> Any:
    usage = {"include_usage": True}
    stream = client.chat.completions.create(model="gpt-5", messages=said(), stream=True, stream_options=usage)
    return [dumped(chunk) for chunk in await collect(await get(stream))]


async def _openai_chat_stream_helper(client: Any) -> Any:
    async with opened(
        client.chat.completions.stream(model="gpt-5", messages=said(), tools=_CHAT_TOOLS)
    ) as stream:
        events = [event.type for event in await collect(stream)]
        return events, dumped(await get(stream.get_final_completion()))


async def _openai_raw(client: Any) -> Any:
    raw = await get(client.chat.completions.with_raw_response.create(model="gpt-5", messages=said()))
    parsed = dumped(await get(raw.parse()))
    return raw.status_code, headers(raw), raw.text, raw.http_version, raw.is_closed, raw.request_id, parsed


async def _openai_raw_stream(client: Any) -> Any:
    call = client.chat.completions.with_streaming_response.create(model="gpt-5", messages=said(), stream=True)
    async with opened(call) as raw:
        lines = await collect(raw.iter_lines())
        return raw.status_code, headers(raw), lines


async def _openai_tools(client: Any) -> Any:
    create = client.chat.completions.create
    asked = await get(create(model="gpt-5", messages=said(), tools=_CHAT_TOOLS))
    calls = asked.choices[0].message.tool_calls
    results = [{"role": "tool", "tool_call_id": call.id, "content": "18 °C"} for call in calls]
    last = await get(create(model="gpt-5", messages=[*said(), asked.choices[0].message, *results]))
    return dumped(asked), dumped(last)


async def _openai_responses(client: Any) -> Any:
    whole = await get(client.responses.create(model="gpt-5", input=QUESTION))
    stream = await get(client.responses.create(model="gpt-5", input=QUESTION, stream=True))
    return dumped(whole), [dumped(event) for event in await collect(stream)]


async def _openai_rest(client: Any) -> Any:
    vectors = await get(client.embeddings.create(model="text-embedding-3-small", input=["one", "two"]))
    return dumped(vectors), [dumped(model) for model in await collect(await get(client.models.list()))]


async def _openai_errors(client: Any) -> Any:
    create = client.chat.completions.create
    prompts = [f"[status={status}] x" for status in (400, 401, 404, 422, 500, 503)]
    prompts += ["[disconnect=0] x", "[fail=1][retry_after=7] x"]
    seen = [await attempt(lambda text=text: create(model="gpt-5", messages=said(text))) for text in prompts]
    return [*seen, await attempt(lambda: create(model="gpt-5", messages=said(prompts[0]), stream=True))]


async def _openai_broken_stream(client: Any) -> Any:
    stream = await get(
        client.chat.completions.create(model="gpt-5", messages=said("[disconnect=4] x"), stream=True)
    )
    return await attempt(lambda: collect(stream))


async def _anthropic_message(client: Any) -> Any:
    message = await get(client.messages.create(model="claude-x", max_tokens=9, messages=said()))
    return dumped(message), message._request_id


async def _anthropic_stream(client: Any) -> Any:
    stream = await get(client.messages.create(model="claude-x", max_tokens=9, messages=said(), stream=True))
    return [dumped(event) for event in await collect(stream)]


async def _anthropic_stream_helper(client: Any) -> Any:
    async with opened(client.messages.stream(model="claude-x", max_tokens=9, messages=said())) as stream:
        text = await collect(stream.text_stream)
        return text, dumped(await get(stream.get_final_message())), stream.request_id


async def _anthropic_raw(client: Any) -> Any:
    create = client.messages.with_raw_response.create
    raw = await get(create(model="claude-x", max_tokens=9, messages=said()))
    return raw.status_code, headers(raw), raw.request_id, dumped(await get(raw.parse()))


async def _anthropic_tools(client: Any) -> Any:
    tools = [{"name": "get_weather", "input_schema": SCHEMA}]
    given = {"model": "claude-x", "max_tokens": 9, "tools": tools}
    asked = await get(client.messages.create(messages=said(), **given))
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "18 °C"} for block in asked.content
    ]
    turn = [*said(), {"role": "assistant", "content": asked.content}, {"role": "user", "content": results}]
    async with opened(client.messages.stream(messages=turn, **given)) as stream:
        return dumped(asked), dumped(await get(stream.get_final_message()))


async def _anthropic_rest(client: Any) -> Any:
    count = await get(client.messages.count_tokens(model="claude-x", messages=said()))
    return dumped(count), [dumped(model) for model in await collect(await get(client.models.list()))]


async def _anthropic_errors(client: Any) -> Any:
    ask = lambda text: client.messages.create(model="claude-x", max_tokens=9, messages=said(text))  # noqa: E731
    prompts = ["[status=400] x", "[status=529] x", "[disconnect=0] x", "[fail=1] x"]
    return [await attempt(lambda text=text: ask(text)) for text in prompts]


async def _anthropic_broken_stream(client: Any) -> Any:
    manager = client.messages.stream(model="claude-x", max_tokens=9, messages=said("[disconnect=4] x"))

    async def whole() -> Any:
        async with opened(manager) as stream:
            return await collect(stream)

    return await attempt(whole)


async def _gemini_content(client: Any) -> Any:
    return dumped(await get(client.models.generate_content(model="gemini-2.5-flash", contents=QUESTION)))


async def _gemini_stream(client: Any) -> Any:
    stream = await get(client.models.generate_content_stream(model="gemini-2.5-flash", contents=QUESTION))
    return [dumped(chunk) for chunk in await collect(stream)]


async def _gemini_tools(client: Any) -> Any:
    declared = genai_types.FunctionDeclaration(name="get_weather", parameters_json_schema=SCHEMA)
    config = genai_types.GenerateContentConfig(tools=[genai_types.Tool(function_declarations=[declared])])
    asked = genai_types.UserContent(QUESTION)
    first = await get(client.models.generate_content(model="gemini-x", contents=[asked], config=config))
    result = genai_types.Part.from_function_response(name="get_weather", response={"result": "18 °C"})
    turn = [asked, first.candidates[0].content, genai_types.Content(role="user", parts=[result])]
    last = await get(client.models.generate_content(model="gemini-x", contents=turn, config=config))
    return dumped(first), dumped(last)


async def _gemini_errors(client: Any) -> Any:
    ask = client.models.generate_content
    seen = []
    for text in ("[status=400] x", "[status=503] x"):
        try:
            await get(ask(model="gemini-x", contents=text))
        except genai_errors.APIError as error:
            seen.append((type(error), str(error), error.code, error.details))
    return seen


_CHAT_TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA, "strict": True}}
]

USES = [
    (driver, use)
    for drivers, prefix in ((OPENAI, "_openai_"), (ANTHROPIC, "_anthropic_"), (GEMINI, "_gemini_"))
    for driver in drivers
    for name, use in list(globals().items())
    if name.startswith(prefix)
]
