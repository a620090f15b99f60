from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from events import checked, sse
from google.genai import types

from rewind_auto.providers.wire import request_info, response_info

if TYPE_CHECKING:
    from google import genai
    from wire_server import WireServer

PATH = "/v1beta/models/gemini-2.5-flash:generateContent"
ANSWER: dict[str, Any] = {
    "candidates": [
        {
            "index": 0,
            "finishReason": "STOP",
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Let me see.", "thought": True},
                    {"text": "Looking "},
                    {"text": "it up."},
                    {"executableCode": {"code": "print(1)", "language": "PYTHON"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
                    {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Bern"}}},
                    {"toolCall": {"id": "t", "toolType": "GOOGLE_SEARCH_WEB", "args": {"q": 1}}},
                    {"toolResponse": {"id": "t", "toolType": "GOOGLE_SEARCH_WEB", "response": {"r": 1}}},
                    {"inlineData": {"mimeType": "image/png", "data": "aWlp"}},
                ],
            },
        },
        {"index": 1, "finishReason": "MAX_TOKENS", "content": {"role": "model", "parts": [{"text": "B"}]}},
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 20,
        "toolUsePromptTokenCount": 5,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 155,
    },
    "modelVersion": "gemini-2.5-flash-001",
    "responseId": "resp-1",
}
USAGE = {
    "input_tokens": 105,
    "output_tokens": 50,
    "cache_read_input_tokens": 60,
    "reasoning_output_tokens": 30,
}
CALL = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Bern"}}


def step(*parts: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": index}
    if finish:
        candidate["finishReason"] = finish
    document = {"candidates": [candidate], "modelVersion": "gemini-2.5-flash-001", "responseId": "resp-1"}
    return types.GenerateContentResponse.model_validate({**document, **more}).model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )


STEPS = [
    step(
        {"text": "Let me ", "thought": True},
        usageMetadata={"promptTokenCount": 9, "trafficType": "ON_DEMAND"},
    ),
    step({"text": "see.", "thought": True}),
    step({"text": "Zür"}),
    step({"text": "B"}, index=1),
    step({"text": "ich"}),
    step({"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Bern"}}}),
    step({"text": ""}, finish="MAX_TOKENS", index=1),
    step({"text": "", "thoughtSignature": "c2ln"}, finish="STOP", usageMetadata=ANSWER["usageMetadata"]),
]
STREAM = sse(STEPS)


def test_a_request_of_the_sdk(gemini_client: genai.Client, wire_server: WireServer) -> None:
    wire_server.answers(checked(types.GenerateContentResponse, ANSWER))
    gemini_client.models.generate_content(
        model="gemini-2.5-flash",
        contents=[
            types.Content(
                role="user",
                parts=[
                    types.Part(text="What is it?"),
                    types.Part.from_bytes(data=b"ii", mime_type="image/png"),
                    types.Part.from_uri(file_uri="gs://x/y.pdf", mime_type="application/pdf"),
                ],
            ),
            types.Content(
                role="model",
                parts=[
                    types.Part(text="Hm.", thought=True),
                    types.Part(function_call=types.FunctionCall(id="c1", name="f", args={"n": 1})),
                ],
            ),
            types.Content(
                role="user",
                parts=[
                    types.Part(
                        function_response=types.FunctionResponse(id="c1", name="f", response={"result": 2})
                    )
                ],
            ),
        ],
        config=types.GenerateContentConfig(
            system_instruction="Be brief.",
            temperature=0,
            top_p=0.9,
            top_k=40,
            max_output_tokens=100,
            candidate_count=2,
            seed=7,
            stop_sequences=["END"],
            presence_penalty=0.25,
            frequency_penalty=0.5,
            response_mime_type="application/json",
            thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW),
            tools=[
                types.Tool(
                    function_declarations=[
                        types.FunctionDeclaration(
                            name="f", description="F", parameters_json_schema={"type": "object"}
                        )
                    ]
                ),
                types.Tool(google_search=types.GoogleSearch()),
            ],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        ),
    )

    info = request_info("gemini", wire_server.path, wire_server.request)

    assert (info.model, info.stream) == ("gemini-2.5-flash", False)
    assert info.attributes() == {
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.presence_penalty": 0.25,
        "gen_ai.request.frequency_penalty": 0.5,
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "LOW",
    }
    assert info.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert sorted(info.tool_definitions, key=lambda tool: tool["name"]) == [
        {"type": "function", "name": "f", "description": "F", "parameters": {"type": "object"}},
        {"type": "googleSearch", "name": "googleSearch"},
    ]
    assert info.input_messages == [
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is it?"},
                {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWk="},
                {
                    "type": "uri",
                    "mime_type": "application/pdf",
                    "modality": "document",
                    "uri": "gs://x/y.pdf",
                },
            ],
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"n": 1}},
            ],
        },
        {
            "role": "user",
            "parts": [{"type": "tool_call_response", "id": "c1", "response": {"result": 2}}],
        },
    ]


def test_an_answer_in_one_piece(gemini_client: genai.Client, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(types.GenerateContentResponse, ANSWER))
    theirs = gemini_client.models.generate_content(model="gemini-2.5-flash", contents="Hi")

    info = response_info("gemini", body, "application/json; charset=UTF-8")

    assert info.attributes() == {
        "gen_ai.response.model": theirs.model_version,
        "gen_ai.response.id": theirs.response_id,
        "gen_ai.response.finish_reasons": ("stop", "length"),
    }
    assert info.usage == USAGE
    assert info.output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Let me see."},
                {"type": "text", "content": "Looking "},
                {"type": "text", "content": "it up."},
                {
                    "type": "server_tool_call",
                    "id": None,
                    "name": "code_execution",
                    "server_tool_call": {
                        "type": "code_execution",
                        "code": "print(1)",
                        "language": "PYTHON",
                    },
                },
                {
                    "type": "server_tool_call_response",
                    "id": None,
                    "server_tool_call_response": {
                        "type": "code_execution",
                        "outcome": "OUTCOME_OK",
                        "output": "1\n",
                    },
                },
                CALL,
                {
                    "type": "server_tool_call",
                    "id": "t",
                    "name": "google_search_web",
                    "server_tool_call": {"type": "google_search_web", "q": 1},
                },
                {
                    "type": "server_tool_call_response",
                    "id": "t",
                    "server_tool_call_response": {"type": "google_search_web", "r": 1},
                },
                {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWlp"},
            ],
            "finish_reason": "stop",
        },
        {"role": "assistant", "parts": [{"type": "text", "content": "B"}], "finish_reason": "length"},
    ]
    assert info.text == "Looking it up."


@pytest.mark.parametrize("body", [STREAM, json.dumps(STEPS, indent=2).encode()], ids=["events", "array"])
def test_a_stream(body: bytes, gemini_client: genai.Client, wire_server: WireServer) -> None:
    wire_server.streams(STREAM)
    theirs = list(gemini_client.models.generate_content_stream(model="gemini-2.5-flash", contents="Hi"))
    assert request_info("gemini", wire_server.path, wire_server.request).stream is True

    info = response_info("gemini", body)

    assert info.attributes() == {
        "gen_ai.response.model": "gemini-2.5-flash-001",
        "gen_ai.response.id": "resp-1",
        "gen_ai.response.finish_reasons": ("stop", "length"),
    }
    assert info.usage == USAGE
    assert info.output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Let me see."},
                {"type": "text", "content": "Zürich"},
                CALL,
            ],
            "finish_reason": "stop",
        },
        {"role": "assistant", "parts": [{"type": "text", "content": "B"}], "finish_reason": "length"},
    ]
    first = [one.candidates[0] for one in theirs if one.candidates and not one.candidates[0].index]
    said = [part for one in first if one.content for part in one.content.parts or [] if not part.thought]
    assert info.text == "".join(part.text or "" for part in said)


@pytest.mark.parametrize("body", [STREAM, json.dumps(STEPS, indent=2).encode()], ids=["events", "array"])
def test_a_stream_cut_before_its_end_tells_what_came(body: bytes) -> None:
    info = response_info("gemini", body[: body.index(b"functionCall")])
    assert (info.model, info.finish_reasons, info.text) == (
        "gemini-2.5-flash-001",
        ("error", "error"),
        "Zürich",
    )
    assert info.usage == {"input_tokens": 9}


def test_a_blocked_prompt_has_no_candidates() -> None:
    body = b'{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 8}}'
    info = response_info("gemini", body)
    assert (info.finish_reasons, info.usage, info.text) == (("content_filter",), {"input_tokens": 8}, "")


@pytest.mark.parametrize("wrap", ["%s", "[%s]"])
def test_an_error_is_no_answer(wrap: str) -> None:
    error = '{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}'
    info = response_info("gemini", (wrap % error).encode())
    assert (info.error, info.finish_reasons, info.output_messages) == ("RESOURCE_EXHAUSTED", (), [])


FILTERED = {
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
}
FAILED = {"FINISH_REASON_UNSPECIFIED", "OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"}


@pytest.mark.parametrize("reason", [reason.value for reason in types.FinishReason])
def test_every_reason_of_the_sdk_has_a_word(reason: str) -> None:
    words = {"STOP": "stop", "MAX_TOKENS": "length"}
    words |= dict.fromkeys(FILTERED, "content_filter") | dict.fromkeys(FAILED, "error")
    body = json.dumps({"candidates": [{"finishReason": reason}]}).encode()
    assert response_info("gemini", body).finish_reasons == (words.get(reason, reason.lower()),)


@pytest.mark.parametrize("reason", ["JAILBREAK", "SAFETY"])
def test_a_prompt_is_blocked_for_a_reason(reason: str) -> None:
    body = json.dumps({"promptFeedback": {"blockReason": reason}}).encode()
    assert response_info("gemini", body).finish_reasons == ("content_filter",)


def test_snake_case_is_understood_as_well() -> None:
    body = json.dumps(
        {
            "system_instruction": {"parts": {"text": "Be brief."}},
            "generation_config": {
                "top_p": 0.5,
                "top_k": 40,
                "max_output_tokens": 10,
                "frequency_penalty": 0.5,
                "presence_penalty": 0.5,
                "candidate_count": 2,
                "stop_sequences": ["END"],
                "response_mime_type": "application/json",
                "thinking_config": {"thinking_level": "LOW"},
            },
            "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"a": 1}}]}],
            "contents": {
                "role": "user",
                "parts": [
                    {"inline_data": {"mime_type": "image/png", "data": "aWk="}},
                    {"file_data": {"file_uri": "gs://x", "mime_type": "video/mp4"}},
                    {"function_call": {"id": "i", "name": "f", "partialArgs": [{"jsonPath": "$.a"}]}},
                    {"function_response": {"id": "i", "response": {"a": 1}}},
                    {"executable_code": {"id": "c", "code": "1"}},
                    {"code_execution_result": {"id": "c", "output": "1"}},
                    {"tool_call": {"id": "t", "tool_type": "GOOGLE_MAPS", "args": {"q": 1}}},
                    {"tool_response": {"id": "t", "tool_type": "GOOGLE_MAPS", "response": {"r": 1}}},
                    {"videoMetadata": {}},
                ],
            },
        }
    ).encode()
    info = request_info("gemini", "/v1beta/models/g:generateContent", body)
    assert info.attributes() == {
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 10,
        "gen_ai.request.frequency_penalty": 0.5,
        "gen_ai.request.presence_penalty": 0.5,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "LOW",
    }
    assert info.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert info.tool_definitions == [{"type": "function", "name": "f", "parameters": {"a": 1}}]
    maps = "google_maps"
    assert [message["parts"] for message in info.input_messages] == [
        [
            {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWk="},
            {"type": "uri", "mime_type": "video/mp4", "modality": "video", "uri": "gs://x"},
            {"type": "tool_call", "id": "i", "name": "f", "arguments": [{"jsonPath": "$.a"}]},
            {"type": "tool_call_response", "id": "i", "response": {"a": 1}},
            {
                "type": "server_tool_call",
                "id": "c",
                "name": "code_execution",
                "server_tool_call": {"type": "code_execution", "id": "c", "code": "1"},
            },
            {
                "type": "server_tool_call_response",
                "id": "c",
                "server_tool_call_response": {"type": "code_execution", "id": "c", "output": "1"},
            },
            {
                "type": "server_tool_call",
                "id": "t",
                "name": maps,
                "server_tool_call": {"type": maps, "q": 1},
            },
            {
                "type": "server_tool_call_response",
                "id": "t",
                "server_tool_call_response": {"type": maps, "r": 1},
            },
        ]
    ]


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"responseModalities": ["TEXT", "IMAGE"]}, "image"),
        ({"response_modalities": ["AUDIO"]}, "speech"),
        ({"responseMimeType": "text/plain"}, "text"),
        ({"responseModalities": ["TEXT"], "responseMimeType": "application/json"}, "json"),
        ({"responseMimeType": "text/x.enum"}, None),
        ({}, None),
    ],
)
def test_kinds_of_output(config: dict[str, Any], kind: str | None) -> None:
    body = json.dumps({"generationConfig": config}).encode()
    assert request_info("gemini", PATH, body).output_type == kind


def test_embeddings(gemini_client: genai.Client, wire_server: WireServer) -> None:
    answer = {"embeddings": [{"values": [0.1, 0.2]}, {"values": [0.3]}]}
    body = wire_server.answers(json.dumps(answer).encode())
    gemini_client.models.embed_content(
        model="gemini-embedding-001",
        contents=["a", "b"],
        config=types.EmbedContentConfig(output_dimensionality=256),
    )
    info = request_info("gemini-embeddings", wire_server.path, wire_server.request)
    assert (info.model, info.dimension_count) == ("gemini-embedding-001", 256)
    assert response_info("gemini-embeddings", body).finish_reasons == ()
