"""The offline provider, driven by the official SDKs: what they accept is what it must speak."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from offline_provider import Knobs, OfflineProvider
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

EXAMPLES = Path(__file__).parent.parent / "examples"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA, "strict": True}}
RESPONSES_TOOL = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}
CLAUDE_TOOL = {"name": "get_weather", "input_schema": SCHEMA}
CITIES = [{"city": "Paris"}, {"city": "Tokyo"}]


@pytest.fixture
def openai_client(provider):
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
async def openai_async(provider):
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(provider):
    with anthropic.Anthropic(base_url=provider.url, api_key="sk-ant-test", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude_async(provider):
    async with anthropic.AsyncAnthropic(
        base_url=provider.url, api_key="sk-ant-test", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def gemini(provider):
    options = genai_types.HttpOptions(base_url=provider.url)
    with genai.Client(api_key="test", http_options=options) as client:
        yield client


def said(text: str) -> list:
    return [{"role": "user", "content": text}]


def chat(client, text="What about Paris and Tokyo?", **more):
    return client.chat.completions.create(model="gpt-5.4-mini", messages=said(text), **more)


def message(client, text="What about Paris and Tokyo?", **more):
    return client.messages.create(model="claude-sonnet-5-5", max_tokens=100, messages=said(text), **more)


# --- OpenAI


def test_chat_is_valid_and_never_the_same_twice(openai_client):
    first, second = chat(openai_client), chat(openai_client)
    ChatCompletion.model_validate(first.model_dump(), strict=True)
    text = first.choices[0].message.content
    assert "What about Paris and Tokyo?" in text
    assert text != second.choices[0].message.content
    assert first.id != second.id
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens > 0


def test_chat_headers_are_those_of_the_real_service(openai_client):
    raw = openai_client.chat.completions.with_raw_response.create(model="m", messages=said("hello"))
    assert raw.headers["x-request-id"].startswith("req_")
    assert {"openai-processing-ms", "x-ratelimit-remaining-tokens", "set-cookie", "date"} <= set(raw.headers)
    assert raw.http_version == "HTTP/1.1"


@pytest.mark.parametrize("usage", [True, False])
def test_chat_stream(openai_client, usage):
    chunks = list(chat(openai_client, stream=True, stream_options={"include_usage": usage}))
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert len(pieces) > 5
    assert "What about Paris and Tokyo?" in "".join(pieces)
    assert [bool(c.usage) for c in chunks] == [False] * (len(chunks) - 1) + [usage]
    assert len({c.id for c in chunks}) == 1


def test_chat_tool_calls_then_an_answer_from_their_results(openai_client):
    asked = chat(openai_client, tools=[CHAT_TOOL]).choices[0]
    assert asked.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments) for call in asked.message.tool_calls] == CITIES
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"{degrees} °C"}
        for call, degrees in zip(asked.message.tool_calls, (18, 23), strict=True)
    ]
    messages = [*said("What about Paris and Tokyo?"), asked.message, *results]
    last = openai_client.chat.completions.create(model="m", messages=messages, tools=[CHAT_TOOL]).choices[0]
    assert last.finish_reason == "stop"
    assert "18 °C; 23 °C" in last.message.content


def test_chat_streamed_tool_calls(openai_client):
    stream = openai_client.chat.completions.stream(
        model="m",
        messages=said("What about Paris and Tokyo?"),
        tools=[CHAT_TOOL],
    )
    with stream as events:
        kinds = [event.type for event in events]
        whole = events.get_final_completion().choices[0]
    assert kinds.count("tool_calls.function.arguments.done") == 2
    assert [json.loads(call.function.arguments) for call in whole.message.tool_calls] == CITIES
    assert whole.finish_reason == "tool_calls"


def test_tool_choice_none_gives_text(openai_client):
    assert chat(openai_client, tools=[CHAT_TOOL], tool_choice="none").choices[0].message.content


async def test_async_chat_buffered_and_streamed(openai_async):
    one, two = await asyncio.gather(chat(openai_async, "first"), chat(openai_async, "second"))
    assert "first" in one.choices[0].message.content
    assert "second" in two.choices[0].message.content
    stream = await chat(openai_async, "third", stream=True)
    assert "third" in "".join([c.choices[0].delta.content or "" async for c in stream])


def test_responses(openai_client):
    response = openai_client.responses.create(model="m", input="Tell me of Oslo")
    Response.model_validate(response.model_dump(), strict=True)
    assert "Tell me of Oslo" in response.output_text
    assert response.status == "completed"
    assert response.usage.total_tokens > 0


@pytest.mark.parametrize("tools", [[], [RESPONSES_TOOL]], ids=["text", "tools"])
def test_responses_stream(openai_client, tools):
    events = list(
        openai_client.responses.create(model="m", input="Paris and Tokyo", stream=True, tools=tools)
    )
    for event in events:
        TypeAdapter(ResponseStreamEvent).validate_python(event.model_dump())
    assert events[0].type == "response.created"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    output = events[-1].response.output
    if tools:
        assert [json.loads(item.arguments) for item in output] == CITIES
    else:
        text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        assert text == output[0].content[0].text
        assert "Paris and Tokyo" in text


def test_responses_stream_helper_and_tool_results(openai_client):
    given = [{"role": "user", "content": "Paris"}]
    with openai_client.responses.stream(model="m", input=given, tools=[RESPONSES_TOOL]) as stream:
        list(stream)
        call = stream.get_final_response().output[0]
    given += [call.model_dump(exclude_none=True, exclude={"parsed_arguments"})]
    given += [{"type": "function_call_output", "call_id": call.call_id, "output": "18 °C"}]
    assert (
        "18 °C" in openai_client.responses.create(model="m", input=given, tools=[RESPONSES_TOOL]).output_text
    )


async def test_async_responses_stream(openai_async):
    stream = await openai_async.responses.create(model="m", input="Lima", stream=True)
    assert "Lima" in "".join([e.delta async for e in stream if e.type == "response.output_text.delta"])


def test_embeddings_in_both_encodings(openai_client):
    packed = openai_client.embeddings.create(model="e", input=["one", "two words"])
    CreateEmbeddingResponse.model_validate(packed.model_dump(), strict=True)
    plain = openai_client.embeddings.create(model="e", input="one", encoding_format="float")
    assert [len(row.embedding) for row in [*packed.data, *plain.data]] == [8, 8, 8]
    assert packed.usage.total_tokens == 3


def test_models(openai_client, claude):
    assert "gpt-5.4-mini" in [model.id for model in openai_client.models.list()]
    assert [model.id for model in claude.models.list()] == ["claude-sonnet-5-5"]


# --- Anthropic


def test_messages_are_valid_and_never_the_same_twice(claude):
    first, second = message(claude), message(claude)
    Message.model_validate(first.model_dump(), strict=True)
    assert "What about Paris and Tokyo?" in first.content[0].text
    assert first.content != second.content
    assert first._request_id.startswith("req_")


@pytest.mark.parametrize("tools", [[], [CLAUDE_TOOL]], ids=["text", "tools"])
def test_messages_stream_events(claude, tools):
    events = list(message(claude, stream=True, tools=tools))
    for event in events:
        TypeAdapter(RawMessageStreamEvent).validate_python(event.model_dump())
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == max(1, 2 * len(tools))


def test_messages_stream_helper_and_tool_results(claude):
    asked = said("What about Paris and Tokyo?")
    given = {"model": "m", "max_tokens": 9, "tools": [CLAUDE_TOOL]}
    with claude.messages.stream(messages=asked, **given) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    assert [block.input for block in final.content] == CITIES
    results = [{"type": "tool_result", "tool_use_id": b.id, "content": "18 °C"} for b in final.content]
    turn = [*asked, {"role": "assistant", "content": final.content}, {"role": "user", "content": results}]
    with claude.messages.stream(messages=turn, **given) as stream:
        text = "".join(stream.text_stream)
        assert text == stream.get_final_text()
        assert stream.get_final_message().usage.output_tokens > 5
    assert "18 °C; 18 °C" in text


async def test_async_messages(claude_async):
    async with claude_async.messages.stream(model="m", max_tokens=9, messages=said("Cairo")) as stream:
        assert "Cairo" in "".join([text async for text in stream.text_stream])
    assert "Delhi" in (await message(claude_async, "Delhi")).content[0].text


def test_count_tokens(claude):
    assert claude.messages.count_tokens(model="m", messages=said("one two three")).input_tokens == 6


# --- Gemini


def test_generate_content(gemini):
    first = gemini.models.generate_content(model="gemini-2.5-flash", contents="Rome")
    second = gemini.models.generate_content(model="gemini-2.5-flash", contents="Rome")
    assert "Rome" in first.text != second.text
    assert first.candidates[0].finish_reason == genai_types.FinishReason.STOP
    assert first.usage_metadata.total_token_count > 0
    assert first.model_version == "gemini-2.5-flash"


def test_generate_content_stream(gemini):
    chunks = list(gemini.models.generate_content_stream(model="m", contents="Rome"))
    assert len(chunks) > 5
    assert "Rome" in "".join(chunk.text for chunk in chunks)
    assert chunks[-1].candidates[0].finish_reason == genai_types.FinishReason.STOP


def test_generate_content_tools(gemini):
    declared = genai_types.FunctionDeclaration(name="get_weather", parameters_json_schema=SCHEMA)
    config = genai_types.GenerateContentConfig(tools=[genai_types.Tool(function_declarations=[declared])])
    asked = genai_types.UserContent("Paris and Tokyo")
    response = gemini.models.generate_content(model="m", contents=[asked], config=config)
    assert [call.args for call in response.function_calls] == CITIES
    result = genai_types.Part.from_function_response(name="get_weather", response={"result": "18 °C"})
    contents = [asked, response.candidates[0].content, genai_types.Content(role="user", parts=[result])]
    assert "18 °C" in gemini.models.generate_content(model="m", contents=contents, config=config).text


async def test_async_generate_content(gemini):
    assert "Rome" in (await gemini.aio.models.generate_content(model="m", contents="Rome")).text
    stream = await gemini.aio.models.generate_content_stream(model="m", contents="Oslo")
    assert "Oslo" in "".join([chunk.text async for chunk in stream])
    await gemini.aio.aclose()


def test_gemini_count_tokens(gemini):
    assert gemini.models.count_tokens(model="m", contents="one two").total_tokens == 5


# --- Knobs


def test_fail_gives_429_that_the_sdk_retries(provider, openai_client):
    with pytest.raises(openai.RateLimitError) as caught:
        chat(openai_client, "[fail=2][retry_after=0.01] a")
    assert caught.value.response.headers["retry-after"] == "0.01"
    patient = openai_client.with_options(max_retries=2)
    assert chat(patient, "[fail=2][retry_after=0.01] b").choices
    assert len(provider.requests) == 4


def test_fail_in_the_shape_of_each_provider(provider, claude, gemini):
    with pytest.raises(anthropic.RateLimitError) as caught:
        message(claude, "[fail=1]")
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    provider.knobs = Knobs(status=503)
    with pytest.raises(genai_errors.ServerError, match="UNAVAILABLE"):
        gemini.models.generate_content(model="m", contents="Rome")


@pytest.mark.parametrize("status", [400, 401, 500])
def test_status(openai_client, status):
    with pytest.raises(openai.APIStatusError) as caught:
        chat(openai_client, f"[status={status}]", stream=True)
    assert caught.value.status_code == status


def test_disconnect_before_the_head(openai_client):
    with pytest.raises(openai.APIConnectionError):
        chat(openai_client, "[disconnect=0]")


@pytest.mark.parametrize("stream", [True, False])
def test_disconnect_in_the_middle(provider, stream):
    body = {"model": "m", "messages": said("[disconnect=2] hello"), "stream": stream}
    with httpx2.stream("POST", f"{provider.url}/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        pieces = response.iter_raw()
        got = next(pieces)
        with pytest.raises(httpx2.RemoteProtocolError):
            got += b"".join(pieces)
    assert b"[DONE]" not in got


def test_hang_before_the_head_and_in_the_middle(provider, openai_client):
    hasty = openai_client.with_options(timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        chat(hasty, "[hang=0]")
    with pytest.raises(openai.APITimeoutError):
        chat(hasty, "[hang=1]")
    stream = iter(chat(hasty, "[hang=2]", stream=True))
    assert next(stream)
    assert next(stream)
    with pytest.raises(openai.APITimeoutError):
        next(stream)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("stream", [True, False])
def test_encoding(provider, encoding, stream):
    body = {"model": "m", "messages": said(f"[encoding={encoding}] hello"), "stream": stream}
    url = f"{provider.url}/v1/chat/completions"
    response = httpx2.post(url, json=body)
    assert response.headers["content-encoding"] == encoding
    assert "hello" in response.text
    plain = httpx2.post(url, json=body, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers


def test_a_compressed_stream_can_be_read_piece_by_piece(openai_client):
    stream = iter(chat(openai_client, "[encoding=gzip][hang=4]", stream=True))
    assert len([next(stream) for _ in range(4)]) == 4


def test_cut_leaves_the_bytes_alone(provider, openai_client):
    body = {"model": "m", "messages": said("[cut=7] Où ça ? ☃"), "stream": True}
    with httpx2.stream("POST", f"{provider.url}/v1/chat/completions", json=body) as response:
        sizes = [len(piece) for piece in response.iter_raw()]
    assert set(sizes[:-1]) == {7}
    text = "".join(
        c.choices[0].delta.content or "" for c in chat(openai_client, "[cut=7] Où ça ? ☃", stream=True)
    )
    assert "Où ça ? ☃" in text


def test_delay_and_wait(openai_client):
    began = time.perf_counter()
    stream = iter(chat(openai_client, "[wait=0.1][delay=0.02][words=40]", stream=True))
    next(stream)
    first = time.perf_counter() - began
    count = 1 + len(list(stream))
    total = time.perf_counter() - began
    assert 0.1 <= first < 0.1 + 0.02 * count
    assert total >= 0.1 + 0.02 * (count - 1)


def test_words(openai_client):
    assert len(chat(openai_client, "[words=300]").choices[0].message.content.split()) == 300


def test_connections_are_kept_alive_and_counted(provider, openai_client):
    for _ in range(3):
        chat(openai_client)
    assert (provider.connections, len(provider.requests)) == (1, 3)
    seen = provider.requests[-1]
    assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
    assert seen.json["messages"] == said("What about Paris and Tokyo?")
    assert ("Authorization", "Bearer sk-test") in [(name.title(), value) for name, value in seen.headers]


def test_chunked_uploads_and_unknown_paths(provider):
    body = json.dumps({"model": "m", "messages": said("hello")}).encode()
    with httpx2.Client(base_url=provider.url) as client:
        reply = client.post("/v1/chat/completions", content=(body[i : i + 9] for i in range(0, len(body), 9)))
        assert "hello" in reply.text
        assert provider.requests[0].body == body
        assert client.get("/nowhere").status_code == 404
        assert client.post("/v1/chat/completions", content=b"{").status_code == 400
        assert (
            client.post("/v1beta/models/m:generateContent", json={}).json()["error"]["status"]
            == "INVALID_ARGUMENT"
        )
    assert provider.connections == 1


def test_a_stopped_provider_answers_nobody(openai_client, provider):
    assert chat(openai_client)
    provider.stop()
    with pytest.raises(openai.APIConnectionError):
        chat(openai_client)
    assert len(provider.requests) == 1


def test_forty_at_once_each_get_their_own_answer():
    async def main(url: str) -> None:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k") as client:
            replies = await asyncio.gather(*(chat(client, f"question {i}.") for i in range(40)))
        assert all(f"question {i}." in r.choices[0].message.content for i, r in enumerate(replies))

    with OfflineProvider(wait=0.05) as provider:
        asyncio.run(main(provider.url))
        assert provider.connections > 5


# --- As programs


@pytest.mark.parametrize("agent", ["agent.py", "agent_anthropic.py"])
def test_agents(provider, agent):
    keys = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    hosts = {"OPENAI_BASE_URL": f"{provider.url}/v1", "ANTHROPIC_BASE_URL": provider.url}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / agent)],
        env=os.environ | keys | hosts,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "get_weather(Paris) -> 18 °C",
        "get_weather(Tokyo) -> 23 °C",
        "calculate((18 + 23) / 2) -> 20.5",
    ]
    assert "18 °C; 23 °C; 20.5" in lines[3]
    assert len(provider.requests) == 5
    assert [seen.json.get("stream", False) for seen in provider.requests] == [False] * 2 + [True] * 3


def test_the_provider_as_a_program():
    command = [sys.executable, str(EXAMPLES / "offline_provider.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        assert httpx2.get(line.split()[-1] + "/v1/models").status_code == 200
        process.terminate()
        assert process.wait(10) == 0
