from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from google import genai
from google.genai import types

from rewind_auto.providers.wire import request_info, response_info

if TYPE_CHECKING:
    from wire_server import WireServer


@pytest.fixture
def vertex_client(wire_server: WireServer) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=wire_server.url)
    with genai.Client(vertexai=True, api_key="k", http_options=options) as client:
        yield client


def answer(count: int, size: int) -> dict[str, Any]:
    embeddings = {"values": [0.0123456789] * size, "statistics": {"truncated": False, "token_count": 3}}
    return {"predictions": [{"embeddings": embeddings}] * count, "metadata": {"billableCharacterCount": 5}}


@pytest.mark.parametrize("count", [1, 100])
def test_embeddings(count: int, vertex_client: genai.Client, wire_server: WireServer) -> None:
    body = wire_server.answers(json.dumps(answer(count, 768)).encode())
    theirs = vertex_client.models.embed_content(
        model="text-embedding-005",
        contents=["Hi"] * count,
        config=types.EmbedContentConfig(output_dimensionality=768),
    )

    assert wire_server.path.endswith("/models/text-embedding-005:predict")
    asked = request_info("vertex-embeddings", wire_server.path, wire_server.request)
    assert asked.model == "text-embedding-005"
    assert asked.attributes() == {"gen_ai.embeddings.dimension.count": 768}
    info = response_info("vertex-embeddings", body)
    counts = [one.statistics.token_count or 0 for one in theirs.embeddings or [] if one.statistics]
    assert info.usage == {"input_tokens": sum(counts)} == {"input_tokens": 3 * count}
    assert (info.finish_reasons, info.output_messages) == ((), [])


def test_an_error_has_a_code() -> None:
    refused = b'{"error": {"code": 404, "status": "NOT_FOUND"}}'
    assert response_info("vertex-embeddings", refused).error == "NOT_FOUND"


def test_gemini_embeddings_on_vertex_have_a_box_for_the_size(
    vertex_client: genai.Client, wire_server: WireServer
) -> None:
    body = wire_server.answers(b'{"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 4}}')
    vertex_client.models.embed_content(
        model="gemini-embedding-2-preview",
        contents="Hi",
        config=types.EmbedContentConfig(output_dimensionality=256),
    )
    assert wire_server.path.endswith(":embedContent")
    asked = request_info("gemini-embeddings", wire_server.path, wire_server.request)
    assert (asked.model, asked.dimension_count) == ("gemini-embedding-2-preview", 256)
    assert response_info("gemini-embeddings", body).usage == {"input_tokens": 4}
