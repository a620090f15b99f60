"""Converse and ConverseStream, as Amazon's client sends and reads them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from bedrock_sdk import EVENT_STREAM, bedrock, converse_stream, event, exception

from rewind_auto.providers.wire import ended, request_info, response_info

if TYPE_CHECKING:
    from wire_server import WireServer

MODEL = "us.anthropic.claude-sonnet-5-v1:0"
PATH = "/model/us.anthropic.claude-sonnet-5-v1%3A0/converse"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
REQUEST: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"text": "What is the weather in Bern?"}]}],
    "system": [{"text": "Be brief."}],
    "inferenceConfig": {"maxTokens": 100, "temperature": 0.5},
    "toolConfig": {
        "tools": [
            {"toolSpec": {"name": "weather", "description": "Weather", "inputSchema": {"json": SCHEMA}}}
        ]
    },
}
ANSWER: dict[str, Any] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "c2ln"}}},
                {"text": "Looking it up."},
                {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Bern"}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {
        "inputTokens": 10,
        "outputTokens": 40,
        "totalTokens": 3250,
        "cacheReadInputTokens": 3000,
        "cacheWriteInputTokens": 200,
    },
    "metrics": {"latencyMs": 1000},
}
EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Let me "}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "see."}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Looking "}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "it up."}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    (
        "contentBlockStart",
        {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "tooluse_1", "name": "weather"}}},
    ),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ""}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"city": "B'}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": 'ern"}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": ANSWER["usage"], "metrics": {"latencyMs": 1000}}),
]
STREAM = converse_stream(EVENTS)
PARTS = [
    {"type": "reasoning", "content": "Let me see."},
    {"type": "text", "content": "Looking it up."},
    {"type": "tool_call", "id": "tooluse_1", "name": "weather", "arguments": {"city": "Bern"}},
]
USAGE = {
    "input_tokens": 3210,
    "output_tokens": 40,
    "cache_read_input_tokens": 3000,
    "cache_write_input_tokens": 200,
}


@pytest.fixture
def client(wire_server: WireServer) -> Iterator[Any]:
    one = bedrock(wire_server.url)
    yield one
    one.close()


def blob(content: bytes) -> str:
    return b64encode(content).decode()


def test_a_request_of_the_sdk(client: Any, wire_server: WireServer) -> None:
    wire_server.answers(json.dumps(ANSWER).encode())
    png = {"format": "png", "source": {"bytes": b"image"}}
    client.converse(
        modelId=MODEL,
        system=[{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
        inferenceConfig={"maxTokens": 1024, "temperature": 1, "topP": 0.9, "stopSequences": ["END"]},
        additionalModelRequestFields={"top_k": 40},
        guardrailConfig={"guardrailIdentifier": "gr-1", "guardrailVersion": "1"},
        outputConfig={
            "effort": "high",
            "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}"}}},
        },
        toolConfig={
            "tools": [
                {"toolSpec": {"name": "weather", "description": "Weather", "inputSchema": {"json": SCHEMA}}},
                {"systemTool": {"name": "nova_grounding"}},
                {"cachePoint": {"type": "default"}},
            ]
        },
        messages=[
            {"role": "user", "content": [{"text": "Weather in Bern?"}, {"cachePoint": {"type": "default"}}]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}},
                    {"reasoningContent": {"redactedContent": b"xx"}},
                    {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Bern"}}},
                    {
                        "toolUse": {
                            "toolUseId": "srv_1",
                            "name": "nova_grounding",
                            "input": {"q": "x"},
                            "type": "server_tool_use",
                        }
                    },
                    {"toolResult": {"toolUseId": "srv_1", "type": "nova_grounding_result", "content": []}},
                    {"citationsContent": {"content": [{"text": "Cited."}], "citations": []}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "tooluse_1",
                            "content": [{"text": "no such city"}],
                            "status": "error",
                        }
                    },
                    {"image": png},
                    {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://b/v.mp4"}}}},
                    {"document": {"format": "pdf", "name": "d", "source": {"bytes": b"%PDF"}}},
                    {"document": {"format": "txt", "name": "t", "source": {"text": "T"}}},
                    {"document": {"format": "md", "name": "m", "source": {"content": [{"text": "M"}]}}},
                    {"guardContent": {"text": {"text": "Guarded."}}},
                    {"guardContent": {"image": png}},
                    {
                        "searchResult": {
                            "source": "s",
                            "title": "t",
                            "content": [{"text": "c"}],
                            "citations": {"enabled": True},
                        }
                    },
                ],
            },
        ],
    )

    assert wire_server.path == PATH
    info = request_info("bedrock-converse", wire_server.path, wire_server.request)

    assert (info.model, info.stream) == (MODEL, False)
    assert info.attributes() == {
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.reasoning.level": "high",
        "gen_ai.output.type": "json",
        "aws.bedrock.guardrail.id": "gr-1",
    }
    assert info.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert info.tool_definitions == [
        {"type": "function", "name": "weather", "description": "Weather", "parameters": SCHEMA},
        {"type": "systemTool", "name": "nova_grounding"},
    ]
    image = {"type": "blob", "mime_type": "image/png", "modality": "image", "content": blob(b"image")}
    assert info.input_messages == [
        {"role": "user", "parts": [{"type": "text", "content": "Weather in Bern?"}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "reasoningContent", "redactedContent": blob(b"xx")},
                {"type": "tool_call", "id": "tooluse_1", "name": "weather", "arguments": {"city": "Bern"}},
                {
                    "type": "server_tool_call",
                    "id": "srv_1",
                    "name": "nova_grounding",
                    "server_tool_call": {"type": "nova_grounding", "input": {"q": "x"}},
                },
                {
                    "type": "server_tool_call_response",
                    "id": "srv_1",
                    "server_tool_call_response": {"type": "nova_grounding_result", "content": []},
                },
                {"type": "text", "content": "Cited."},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "type": "tool_call_response",
                    "id": "tooluse_1",
                    "response": [{"text": "no such city"}],
                    "is_error": True,
                },
                image,
                {"type": "uri", "mime_type": "video/mp4", "modality": "video", "uri": "s3://b/v.mp4"},
                {
                    "type": "blob",
                    "mime_type": "application/pdf",
                    "modality": "document",
                    "content": blob(b"%PDF"),
                },
                {"type": "text", "content": "T"},
                {"type": "text", "content": "M"},
                {"type": "text", "content": "Guarded."},
                image,
                {
                    "type": "searchResult",
                    "source": "s",
                    "title": "t",
                    "content": [{"text": "c"}],
                    "citations": {"enabled": True},
                },
            ],
        },
    ]


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        (PATH, MODEL, False),
        (f"{PATH}-stream?x=1", MODEL, True),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fp/converse",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/p",
            False,
        ),
        (
            "/gateway/model/arn:aws:bedrock:eu-west-1:1:prompt/p:1/converse",
            "arn:aws:bedrock:eu-west-1:1:prompt/p:1",
            False,
        ),
        ("/converse", None, False),
    ],
)
def test_the_path_names_the_model(path: str, model: str | None, stream: bool) -> None:
    info = request_info("bedrock-converse", path, b"{}")
    assert (info.model, info.stream) == (model, stream)


def test_tokens_are_counted_for_a_model() -> None:
    assert request_info("bedrock-data", "/model/amazon.nova-pro-v1%3A0/count-tokens", b"{}").model == (
        "amazon.nova-pro-v1:0"
    )


def test_an_effort_in_the_spelling_of_the_model_s_maker() -> None:
    body = b'{"additionalModelRequestFields": {"reasoning_effort": "low"}}'
    assert request_info("bedrock-converse", PATH, body).reasoning_level == "low"


@pytest.mark.parametrize(
    ("fields", "top_k"),
    [({"k": 3}, 3), ({"topK": 4}, 4), ({"inferenceConfig": {"topK": 5}}, 5), ({"top_k": "6"}, None)],
)
def test_what_a_model_understands_besides(fields: dict[str, Any], top_k: int | None) -> None:
    body = json.dumps({"additionalModelRequestFields": fields}).encode()
    assert request_info("bedrock-converse", PATH, body).top_k == top_k


def test_an_answer_in_one_piece(client: Any, wire_server: WireServer) -> None:
    body = wire_server.answers(json.dumps(ANSWER).encode())
    theirs = client.converse(modelId=MODEL, messages=REQUEST["messages"])
    assert theirs["output"] == ANSWER["output"]  # the client drops what the service model does not know
    assert theirs["usage"] == ANSWER["usage"]

    info = response_info("bedrock-converse", body, "application/json")

    assert info.attributes() == {"gen_ai.response.finish_reasons": ("tool_call",)}
    assert (info.usage, info.error) == (USAGE, None)
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert info.text == "Looking it up."


def test_a_stream(client: Any, wire_server: WireServer) -> None:
    wire_server.answers(STREAM, EVENT_STREAM)
    theirs = list(client.converse_stream(modelId=MODEL, messages=REQUEST["messages"])["stream"])
    assert theirs == [{name: document} for name, document in EVENTS]
    assert request_info("bedrock-converse", wire_server.path, wire_server.request).stream is True

    info = response_info("bedrock-converse", STREAM, EVENT_STREAM, stream=True)

    assert info.attributes() == {"gen_ai.response.finish_reasons": ("tool_call",)}
    assert (info.usage, info.error) == (USAGE, None)
    assert info.output_messages == [{"role": "assistant", "parts": PARTS, "finish_reason": "tool_call"}]
    assert info.text == "Looking it up."


def test_a_stream_cut_before_its_end_tells_what_came() -> None:
    body = converse_stream(EVENTS[:11]) + event(*EVENTS[11])[:-1]
    info = response_info("bedrock-converse", body, EVENT_STREAM, stream=True)
    assert (info.finish_reasons, info.usage) == (("error",), {})
    assert info.text == "Looking it up."
    assert info.tool_calls == [
        {"type": "tool_call", "id": "tooluse_1", "name": "weather", "arguments": '{"city": "B'}
    ]


@pytest.mark.parametrize("cut", [0, 5, 11, 60])
def test_a_stream_cut_before_its_first_event_is_a_generation_that_failed(cut: int) -> None:
    assert response_info("bedrock-converse", STREAM[:cut], stream=True).finish_reasons == ("error",)
    assert response_info("bedrock-converse", STREAM[:cut]).finish_reasons == ()


def test_a_stream_that_breaks_with_an_error(client: Any, wire_server: WireServer) -> None:
    body = wire_server.answers(
        converse_stream(EVENTS[:7]) + exception("throttlingException", "Slow down"), EVENT_STREAM
    )
    with pytest.raises(Exception, match="throttlingException"):
        list(client.converse_stream(modelId=MODEL, messages=REQUEST["messages"])["stream"])
    info = response_info("bedrock-converse", body, EVENT_STREAM)
    assert (info.error, info.finish_reasons) == ("throttlingException", ("error",))
    assert info.text == "Looking it up."


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"message": "The provided model identifier is invalid."}', "error"),
        (b'{"Message": "Not authorized"}', "error"),
        (b'{"__type": "com.amazon.coral.service#UnknownOperationException"}', "UnknownOperationException"),
    ],
)
def test_an_error_is_no_answer(body: bytes, error: str) -> None:
    info = response_info("bedrock-converse", body)
    assert (info.error, info.finish_reasons, info.output_messages, info.usage) == (error, (), [], {})


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_model_output", "error"),
        ("malformed_tool_use", "error"),
        ("new_reason", "new_reason"),
    ],
)
def test_reasons_to_stop(stop_reason: str, finish_reason: str) -> None:
    body = json.dumps({**ANSWER, "stopReason": stop_reason}).encode()
    assert response_info("bedrock-converse", body).finish_reasons == (finish_reason,)


def test_every_reason_of_the_service_model_is_known(client: Any) -> None:
    reasons = client.meta.service_model.shape_for("StopReason").enum
    assert len(reasons) > 5
    for reason in reasons:
        body = json.dumps({**ANSWER, "stopReason": reason}).encode()
        [known] = response_info("bedrock-converse", body).finish_reasons
        assert known in ("stop", "length", "tool_call", "content_filter", "error")


def test_a_router_says_which_model_answered() -> None:
    body = json.dumps({**ANSWER, "trace": {"promptRouter": {"invokedModelId": "amazon.nova-pro-v1:0"}}})
    assert response_info("bedrock-converse", body.encode()).model == "amazon.nova-pro-v1:0"


def test_a_stream_of_tools_that_the_model_runs_and_of_images() -> None:
    def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
        return converse_stream(
            [
                ("contentBlockStart", {"contentBlockIndex": index, "start": start}),
                *(("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}) for delta in deltas),
            ]
        )

    body = (
        block(
            0,
            {"toolUse": {"toolUseId": "t", "name": "n", "type": "server_tool_use"}},
            {"toolUse": {"input": "{}"}},
        )
        + block(
            1,
            {"toolResult": {"toolUseId": "t", "type": "n_result"}},
            {"toolResult": [{"text": "a"}]},
            {"toolResult": [{"json": {}}]},
        )
        + block(2, {"image": {"format": "png"}}, {"image": {"source": {"bytes": "aWk="}}})
        + block(3, {}, {"reasoningContent": {"redactedContent": "eHg="}})
        + block(4, {}, {"text": "A"}, {"citation": {"title": "t"}})
        + block(5, {}, {"text": "B"})
        + block(6, {"toolUse": {"toolUseId": "u", "name": "now"}})
    )
    [message] = response_info("bedrock-converse", body).output_messages
    assert message["parts"] == [
        {"type": "server_tool_call", "id": "t", "name": "n", "server_tool_call": {"type": "n", "input": {}}},
        {
            "type": "server_tool_call_response",
            "id": "t",
            "server_tool_call_response": {"type": "n_result", "content": [{"text": "a"}, {"json": {}}]},
        },
        {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "aWk="},
        {"type": "reasoningContent", "redactedContent": "eHg="},
        {"type": "text", "content": "AB"},
        {"type": "tool_call", "id": "u", "name": "now", "arguments": None},
    ]


def test_a_stream_is_ended_by_its_metadata_or_by_an_error() -> None:
    assert ended("bedrock-converse", STREAM)
    assert ended("bedrock-converse", STREAM + event("later", {})[:20])
    assert not ended("bedrock-converse", converse_stream(EVENTS[:-1]))
    assert ended("bedrock-converse", converse_stream(EVENTS[:3]) + exception("throttlingException", "Slow"))
    assert not ended("bedrock-converse", json.dumps(ANSWER).encode())


@pytest.mark.parametrize(
    "words", ["metadata", '":event-type": "metadata"', "amazon-bedrock-invocationMetrics"]
)
def test_the_words_inside_a_message_do_not_end_it(words: str) -> None:
    delta = {"contentBlockIndex": 0, "delta": {"text": words}, "metadata": {}}
    assert not ended("bedrock-converse", converse_stream([*EVENTS[:1], ("contentBlockDelta", delta)]))


def test_a_last_frame_that_is_damaged_ends_nothing() -> None:
    assert not ended("bedrock-converse", STREAM[:-1] + bytes([STREAM[-1] ^ 1]))
