from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from events import checked, sse
from openai.types import CreateEmbeddingResponse, ImagesResponse

from rewind_auto.providers.wire import ResponseInfo, request_info, response_info

if TYPE_CHECKING:
    import openai
    from wire_server import WireServer


@pytest.mark.parametrize("count", [1, 100])
def test_embeddings(count: int, openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    vector = [0.0123456789] * 1536
    answer = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }
    body = wire_server.answers(checked(CreateEmbeddingResponse, answer))
    openai_client.embeddings.create(
        model="text-embedding-3-small", input="Hi", dimensions=256, encoding_format="float"
    )

    asked = request_info("openai-embeddings", wire_server.path, wire_server.request)
    assert asked.model == "text-embedding-3-small"
    assert asked.attributes() == {
        "gen_ai.embeddings.dimension.count": 256,
        "gen_ai.request.encoding_formats": ("float",),
    }
    info = response_info("openai-embeddings", body, "application/json")
    assert (info.model, info.usage) == ("text-embedding-3-small", {"input_tokens": 8})
    assert (info.finish_reasons, info.output_messages) == ((), [])


IMAGES: dict[str, Any] = {
    "created": 1,
    "data": [{"b64_json": "A" * 3_000_000}],
    "usage": {
        "input_tokens": 50,
        "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
        "output_tokens": 60,
        "total_tokens": 110,
    },
}
IMAGE_TOKENS = {"input_tokens": 50, "text_input_tokens": 10, "image_input_tokens": 40, "output_tokens": 60}


def test_images(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    body = wire_server.answers(checked(ImagesResponse, IMAGES))
    openai_client.images.generate(model="gpt-image-2", prompt="A cat", n=2)

    asked = request_info("openai-images", wire_server.path, wire_server.request)
    assert (asked.model, asked.choice_count, asked.output_type) == ("gpt-image-2", 2, "image")
    assert response_info("openai-images", body).usage == IMAGE_TOKENS


def test_a_large_answer_with_a_broken_edge_tells_less() -> None:
    body = checked(ImagesResponse, IMAGES)
    assert response_info("openai-images", body[:-20]).usage == {}


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_an_image_in_a_stream(size: int) -> None:
    body = sse(
        [
            {"type": "image_generation.partial_image", "b64_json": "A" * size},
            {"type": "image_generation.completed", "b64_json": "A" * size, "usage": IMAGES["usage"]},
        ],
        named=True,
    )
    assert response_info("openai-images", body).usage == IMAGE_TOKENS


def test_speech(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    body = wire_server.answers(b'{"usage": {"input_tokens": 1}}', "audio/mpeg")
    openai_client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="Hi")

    asked = request_info("openai-audio", wire_server.path, wire_server.request)
    assert (asked.model, asked.output_type) == ("gpt-4o-mini-tts", "speech")
    for content_type in ("audio/mpeg", "image/png", "video/mp4", "application/octet-stream"):
        assert response_info("openai-audio", body, content_type) == ResponseInfo()
    assert request_info("openai-audio", "/v1/audio/speech?a=b", b'{"stream_format": "sse"}').stream is True
    assert request_info("openai-audio", "/v1/audio/speech?a=b", b"").output_type == "speech"


def test_a_transcription_is_a_form(openai_client: openai.OpenAI, wire_server: WireServer) -> None:
    answer = {
        "text": "Hi",
        "usage": {"type": "tokens", "input_tokens": 9, "output_tokens": 2, "total_tokens": 11},
    }
    body = wire_server.answers(json.dumps(answer).encode())
    for size in (4, 100_000):
        sound = b"RIFF" * size
        openai_client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", sound))
        asked = request_info("openai-audio", wire_server.path, wire_server.request)
        assert (asked.model, asked.output_type, asked.stream) == ("gpt-4o-transcribe", "text", False)
    openai_client.audio.transcriptions.create(model="m", file=("a.wav", b"RIFF"), stream=True)
    assert request_info("openai-audio", wire_server.path, wire_server.request).stream is True
    assert response_info("openai-audio", body).usage == {"input_tokens": 9, "output_tokens": 2}
