"""What of a call's tokens was text, image or audio, and where a conversation comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from events import checked
from google.genai import types
from openai.types.chat import ChatCompletion
from test_wire_anthropic import MESSAGE
from test_wire_openai_chat import ANSWER
from test_wire_openai_responses import RESPONSE

from rewind_auto.providers.wire import request_info, response_info

if TYPE_CHECKING:
    import anthropic
    import openai
    from wire_server import WireServer


def test_openai_tells_text_images_and_sound_apart() -> None:
    counts = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "prompt_tokens_details": {
            "audio_tokens": 60,
            "cached_tokens": 8,
            "text_tokens": 40,
            "image_tokens": 0,
        },
        "completion_tokens_details": {"audio_tokens": 20, "reasoning_tokens": 0, "text_tokens": 10},
    }
    info = response_info("openai-chat", checked(ChatCompletion, {**ANSWER, "usage": counts}))
    assert info.usage == {
        "input_tokens": 100,
        "output_tokens": 30,
        "cache_read_input_tokens": 8,
        "reasoning_output_tokens": 0,
        "text_input_tokens": 40,
        "audio_input_tokens": 60,
        "text_output_tokens": 10,
        "audio_output_tokens": 20,
    }


def test_gemini_tells_them_apart_in_lists() -> None:
    def detail(modality: str, count: int) -> dict[str, Any]:
        return {"modality": modality, "tokenCount": count}

    counts = {
        "promptTokenCount": 300,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 1300,
        "promptTokensDetails": [detail("TEXT", 100), detail("IMAGE", 158), detail("VIDEO", 42)],
        "cacheTokensDetails": [detail("TEXT", 40)],
        "candidatesTokensDetails": [detail("IMAGE", 1290), detail("TEXT", 10)],
    }
    whole = types.GenerateContentResponse.model_validate({"candidates": [], "usageMetadata": counts})
    body = whole.model_dump_json(by_alias=True, exclude_unset=True).encode()
    assert response_info("gemini", body).usage == {
        "input_tokens": 300,
        "output_tokens": 1300,
        "cache_read_input_tokens": 40,
        "text_input_tokens": 100,
        "image_input_tokens": 158,
        "text_cache_read_input_tokens": 40,
        "image_output_tokens": 1290,
        "text_output_tokens": 10,
    }


def test_a_prompt_that_openai_keeps(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    wire_server.answers(json.dumps(RESPONSE).encode())
    openai_client.responses.create(prompt={"id": "pmpt_1", "version": "2", "variables": {"city": "Bern"}})
    asked = request_info("openai-responses", wire_server.path, wire_server.request).attributes()
    assert (asked["gen_ai.prompt.name"], asked["gen_ai.prompt.version"]) == ("pmpt_1", "2")


@pytest.mark.parametrize("kept", [True, False])
def test_openai_is_sent_a_conversation_in_a_compacted_form(
    openai_client: openai.OpenAI, wire_server: WireServer, kept: bool
) -> None:
    wire_server.answers(json.dumps(RESPONSE).encode())
    before: list[Any] = [{"type": "compaction", "encrypted_content": "e", "id": "cmp_1"}] if kept else []
    openai_client.responses.create(model="m", input=[*before, {"role": "user", "content": "Hi"}])
    asked = request_info("openai-responses", wire_server.path, wire_server.request).attributes()
    assert asked.get("gen_ai.conversation.compacted") is (True if kept else None)


@pytest.mark.parametrize("kept", [True, False])
def test_anthropic_is_sent_a_conversation_in_a_compacted_form(
    anthropic_client: anthropic.Anthropic, wire_server: WireServer, kept: bool
) -> None:
    wire_server.answers(json.dumps(MESSAGE).encode())
    kind: Any = (
        {"type": "compaction", "content": "They met."} if kept else {"type": "text", "text": "They met."}
    )
    messages: Any = [{"role": "assistant", "content": [kind]}, {"role": "user", "content": "Hi"}]
    anthropic_client.messages.create(model="m", max_tokens=1, messages=messages)
    asked = request_info("anthropic", wire_server.path, wire_server.request).attributes()
    assert asked.get("gen_ai.conversation.compacted") is (True if kept else None)
