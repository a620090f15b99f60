from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from events import checked, sse
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from rewind_auto.providers.wire import request_info, response_info

if TYPE_CHECKING:
    import openai
    from wire_server import WireServer

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "logprobs": None,
            "message": {
                "role": "assistant",
                "content": "Let me look.",
                "refusal": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Zürich"}'},
                    },
                    {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}},
                ],
            },
        },
        {
            "index": 1,
            "finish_reason": "length",
            "logprobs": None,
            "message": {"role": "assistant", "content": "It is", "refusal": None},
        },
    ],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 16, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 0},
    },
}
CALLS = [
    {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Zürich"}},
    {"type": "tool_call", "id": "call_2", "name": "shell", "arguments": "ls -l"},
]


def chunk(*choices: dict[str, Any], **more: Any) -> ChatCompletionChunk:
    document = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
    }
    return ChatCompletionChunk.model_validate({**document, "choices": list(choices), "usage": None, **more})


def choice(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def call(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> dict[str, Any]:
    head = {"id": call_id, "type": "function"} if call_id else {}
    return {"index": index, **head, "function": {"arguments": arguments, **({"name": name} if name else {})}}


STREAM = sse(
    [
        chunk(choice({"role": "assistant", "content": "", "refusal": None}), system_fingerprint="fp_1"),
        chunk(choice({"content": "Zür"})),
        chunk(choice({"role": "assistant", "content": "B"}, index=1)),
        chunk(choice({"content": "ich"})),
        chunk(choice({"tool_calls": [call(0, "", "call_1", "weather")]})),
        chunk(choice({"tool_calls": [call(0, '{"ci')]})),
        chunk(choice({"tool_calls": [call(1, "{}", "call_2", "time")]})),
        chunk(choice({"tool_calls": [call(0, 'ty": 1}')]})),
        chunk(choice({}, "stop", index=1)),
        chunk(choice({}, "tool_calls")),
        chunk(usage=ANSWER["usage"], service_tier="default"),
        "[DONE]",
    ]
)


def test_a_request_of_the_sdk(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    wire_server.answers(checked(ChatCompletion, ANSWER))
    openai_client.chat.completions.create(
        model="gpt-4o",
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "https://x.example/i.png"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aWk="}},
                    {"type": "input_audio", "input_audio": {"data": "YXVk", "format": "wav"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
            },
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Bern"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
        tools=[WEATHER, {"type": "custom", "custom": {"name": "shell"}}],
        temperature=0,
        top_p=0.5,
        frequency_penalty=0.25,
        presence_penalty=-0.5,
        max_completion_tokens=100,
        n=2,
        seed=7,
        stop="END",
        reasoning_effort="low",
        response_format={"type": "json_object"},
        service_tier="flex",
    )

    info = request_info("openai-chat", wire_server.path, wire_server.request)

    assert info.model == "gpt-4o"
    assert info.attributes() == {
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.frequency_penalty": 0.25,
        "gen_ai.request.presence_penalty": -0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "low",
        "openai.request.service_tier": "flex",
    }
    assert info.input_messages == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {
            "role": "user",
            "name": "ann",
            "parts": [
                {"type": "text", "content": "What is it?"},
                {"type": "uri", "modality": "image", "uri": "https://x.example/i.png"},
                {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWk="},
                {"type": "blob", "mime_type": "audio/wav", "modality": "audio", "content": "YXVk"},
                {"type": "file", "modality": "document", "file_id": "file-1"},
            ],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Bern"}}
            ],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "call_1", "response": "sunny"}],
        },
    ]
    assert info.system_instructions == []
    assert info.tool_definitions == [
        {"type": "function", **WEATHER["function"]},
        {"type": "custom", "name": "shell"},
    ]


def test_what_is_not_said_is_left_out() -> None:
    body = b'{"model": "gpt-4o", "messages": [], "n": 1, "service_tier": "auto", "stop": null, "seed": null}'
    assert request_info("openai-chat", "/v1/chat/completions", body).attributes() == {}


def test_an_answer_in_one_piece(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(ChatCompletion, ANSWER))
    theirs = openai_client.chat.completions.create(model="gpt-4o", messages=[])

    info = response_info("openai-chat", body, "application/json")

    assert info.attributes() == {
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("tool_call", "length"),
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_1",
    }
    assert info.error is None
    assert info.usage == {
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_input_tokens": 64,
        "cache_write_input_tokens": 16,
        "reasoning_output_tokens": 12,
    }
    assert info.text == theirs.choices[0].message.content == "Let me look."
    assert info.tool_calls == CALLS
    assert info.output_messages == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "Let me look."}, *CALLS],
            "finish_reason": "tool_call",
        },
        {"role": "assistant", "parts": [{"type": "text", "content": "It is"}], "finish_reason": "length"},
    ]


def test_a_stream(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    wire_server.streams(STREAM)
    with openai_client.chat.completions.stream(
        model="gpt-4o", messages=[], stream_options={"include_usage": True}
    ) as stream:
        theirs = stream.get_final_completion()
    assert request_info("openai-chat", wire_server.path, wire_server.request).stream is True

    info = response_info("openai-chat", STREAM, "text/event-stream")

    assert info.attributes() == {
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("tool_call", "stop"),
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_1",
    }
    assert info.usage == response_info("openai-chat", checked(ChatCompletion, ANSWER)).usage
    assert info.output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "text", "content": "Zürich"},
                {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": 1}},
                {"type": "tool_call", "id": "call_2", "name": "time", "arguments": {}},
            ],
            "finish_reason": "tool_call",
        },
        {"role": "assistant", "parts": [{"type": "text", "content": "B"}], "finish_reason": "stop"},
    ]
    message = theirs.choices[0].message
    assert info.text == message.content
    assert [(part["id"], part["name"], part["arguments"]) for part in info.tool_calls] == [
        (one.id, one.function.name, json.loads(one.function.arguments)) for one in message.tool_calls or []
    ]


def test_a_stream_cut_before_its_end_tells_what_came() -> None:
    cut = STREAM[: STREAM.index(b'"finish_reason":"stop"')]

    info = response_info("openai-chat", cut)

    assert info.finish_reasons == ("error", "error")
    assert info.usage == {}
    assert info.text == "Zürich"
    assert [part["arguments"] for part in info.tool_calls] == [{"city": 1}, {}]
    half = response_info("openai-chat", STREAM[: STREAM.index(rb"ty\": 1")])
    assert [part["arguments"] for part in half.tool_calls] == ['{"ci', {}]


def test_a_stream_that_breaks_with_an_error() -> None:
    body = sse(
        [
            chunk(choice({"role": "assistant", "content": "It"})),
            {"error": {"message": "overloaded", "type": "server_error", "code": None}},
        ]
    )
    info = response_info("openai-chat", body)
    assert (info.error, info.finish_reasons, info.text) == ("server_error", ("error",), "It")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            '{"error": {"message": "no", "type": "invalid_request_error", "code": "model_not_found"}}',
            "model_not_found",
        ),
        ('{"error": {"message": "no", "type": "tokens", "code": null}}', "tokens"),
        ('{"error": {"message": "no", "code": 429}}', "429"),
        ('{"error": "no"}', "error"),
        ('{"error": null}', None),
    ],
)
def test_an_error_has_a_code(body: str, code: str | None) -> None:
    info = response_info("openai-chat", body.encode())
    assert (info.error, info.finish_reasons, info.output_messages) == (code, (), [])


def test_the_older_completions(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    answer = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "davinci-002",
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "text": " time"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
    body = wire_server.answers(checked(Completion, answer))
    openai_client.completions.create(model="davinci-002", prompt="Once upon a", max_tokens=1)

    asked = request_info("openai-completions", wire_server.path, wire_server.request)
    assert (asked.model, asked.max_tokens) == ("davinci-002", 1)
    assert asked.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Once upon a"}]}]
    info = response_info("openai-completions", body)
    assert (info.text, info.finish_reasons) == (" time", ("stop",))
    assert info.usage == {"input_tokens": 3, "output_tokens": 1}
    pieces = [{**answer, "choices": [{**answer["choices"][0], "text": one}]} for one in (" ti", "me")]
    assert response_info("openai-completions", sse([*pieces, "[DONE]"])).text == " time"


def test_azure_names_the_model_in_the_path() -> None:
    path = "/openai/deployments/my%20gpt/chat/completions?api-version=1"
    assert request_info("openai-chat", path, b'{"messages": []}').model == "my gpt"
    assert request_info("openai-chat", path, b'{"model": "gpt-4o"}').model == "gpt-4o"


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"modalities": ["text", "audio"]}, "speech"),
        ({"modalities": ["text"]}, None),
        ({"response_format": {"type": "text"}}, "text"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "json"),
    ],
)
def test_kinds_of_output(asked: dict[str, Any], kind: str | None) -> None:
    assert request_info("openai-chat", "/", json.dumps(asked).encode()).output_type == kind


def test_a_refusal_is_what_was_said() -> None:
    pieces = [choice({"role": "assistant", "refusal": "I "}), choice({"refusal": "can't."}, "stop")]
    body = sse([{"id": "x", "choices": [one]} for one in pieces])
    assert response_info("openai-chat", body).text == "I can't."
    blocks = {"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}]}
    (said,) = request_info("openai-chat", "/", json.dumps(blocks).encode()).input_messages
    assert said["parts"] == [{"type": "text", "content": "No."}]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_call"),
        ("function_call", "tool_call"),
        ("model_length", "length"),
        ("eos", "stop"),
        ("insufficient_system_resource", "error"),
        (None, "error"),
    ],
)
def test_reasons_to_stop(reason: str | None, word: str) -> None:
    body = json.dumps({"choices": [{"index": 0, "finish_reason": reason, "message": {}}]}).encode()
    info = response_info("openai-chat", body)
    assert info.finish_reasons == (word,)
    assert info.output_messages == [{"role": "assistant", "parts": [], "finish_reason": word}]


# What the many that speak like OpenAI do otherwise.


def test_openrouter_has_an_effort_inside_reasoning() -> None:
    body = b'{"reasoning": {"effort": "high"}, "top_k": 40, "random_seed": 3}'
    info = request_info("openai-chat", "/", body)
    assert (info.reasoning_level, info.top_k, info.seed) == ("high", 40, 3)


@pytest.mark.parametrize("index", [0, None])
def test_parallel_calls_are_told_apart_by_id_where_the_index_does_not(index: int | None) -> None:
    calls = [call(0, '{"n": 1}', "a", "f"), call(0, '{"n": 2}', "b", "f")]
    for one in calls:
        one["index"] = index
    body = sse([{"id": "x", "choices": [choice({"tool_calls": [one]})]} for one in calls])
    assert [part["arguments"] for part in response_info("openai-chat", body).tool_calls] == [
        {"n": 1},
        {"n": 2},
    ]


def test_functions_before_there_were_tools() -> None:
    body = sse(
        [
            {
                "id": "x",
                "choices": [choice({"role": "assistant", "function_call": {"name": "f", "arguments": ""}})],
            },
            {"id": "x", "choices": [choice({"function_call": {"arguments": '{"n": 1}'}})]},
            {"id": "x", "choices": [choice({}, "function_call")]},
        ]
    )
    info = response_info("openai-chat", body)
    assert info.tool_calls == [{"type": "tool_call", "id": None, "name": "f", "arguments": {"n": 1}}]
    assert info.finish_reasons == ("tool_call",)


def test_a_character_cut_in_two_escapes_is_one_character() -> None:
    body = b"".join(
        b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % half
        for half in (rb"\ud83d", rb"\ude00", rb"\ud83d")
    )
    assert response_info("openai-chat", body).text == "\N{GRINNING FACE}\N{REPLACEMENT CHARACTER}"


def test_an_answer_after_a_long_wait_starts_with_blank_lines() -> None:
    body = b"\n" * 500 + checked(ChatCompletion, ANSWER)
    assert response_info("openai-chat", body).id == "chatcmpl-1"


def test_sound_is_a_part_with_a_transcript() -> None:
    body = sse(
        [
            {"id": "x", "choices": [choice({"role": "assistant", "audio": {"id": "a", "transcript": "He"}})]},
            {"id": "x", "choices": [choice({"audio": {"data": "YXVk"}})]},
            {"id": "x", "choices": [choice({"audio": {"data": "aW8=", "transcript": "y"}}, "stop")]},
        ]
    )
    assert response_info("openai-chat", body).output_messages[0]["parts"] == [
        {
            "type": "blob",
            "modality": "audio",
            "content": "YXVkaW8=",
            "transcript": "Hey",
        }
    ]
