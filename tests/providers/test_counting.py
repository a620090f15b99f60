"""Tokens are counted for a model, and none are spent: no inference, though the model is worth knowing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anthropic
import openai
import pytest
from google import genai
from google.genai.types import HttpOptions
from mistralai.client import Mistral

import rewind_auto
from rewind_auto.core.model import Kind
from rewind_auto.providers.registry import identify
from rewind_auto.providers.wire import request_info
from rewind_auto.store import open_store

if TYPE_CHECKING:
    from wire_server import WireServer

ASKED: list[Any] = [{"role": "user", "content": "Hi"}]


def of_anthropic(url: str) -> Any:
    with anthropic.Anthropic(base_url=url, api_key="k") as client:
        return client.messages.count_tokens(model="asked-about", messages=ASKED)


def of_claude_on_vertex(url: str) -> Any:
    with anthropic.AnthropicVertex(
        base_url=f"{url}/v1", access_token="t", project_id="p", region="us-east5"
    ) as client:
        return client.messages.count_tokens(model="asked-about", messages=ASKED)


def of_gemini(url: str) -> Any:
    with genai.Client(api_key="k", http_options=HttpOptions(base_url=url)) as client:
        return client.models.count_tokens(model="asked-about", contents="Hi")


def of_gemini_on_vertex(url: str) -> Any:
    with genai.Client(vertexai=True, api_key="k", http_options=HttpOptions(base_url=url)) as client:
        return client.models.count_tokens(model="asked-about", contents="Hi")


def of_openai(url: str) -> Any:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        return client.responses.input_tokens.count(model="asked-about", input="Hi")


def of_mistral(url: str) -> Any:
    with Mistral(api_key="k", server_url=url) as client:
        return client.responses.count_input_tokens(model="asked-about", input="Hi")


COUNTS = [
    ("api.anthropic.com", of_anthropic),
    ("us-east5-aiplatform.googleapis.com", of_claude_on_vertex),
    ("generativelanguage.googleapis.com", of_gemini),
    ("aiplatform.googleapis.com", of_gemini_on_vertex),
    ("api.openai.com", of_openai),
    ("api.mistral.ai", of_mistral),
]


@pytest.mark.parametrize(("host", "count"), COUNTS)
def test_the_model_is_known(host: str, count: Callable[[str], Any], wire_server: WireServer) -> None:
    wire_server.answers(b'{"object": "response.input_tokens", "input_tokens": 3, "totalTokens": 3}')
    count(wire_server.url)

    path = urlsplit(wire_server.path).path
    route = identify(host, None, path, "POST")
    assert route is not None
    assert route.operation is None
    assert request_info(route.shape, path, wire_server.request).model == "asked-about"


def test_the_step_is_no_inference_and_shows_the_model(
    wire_server: WireServer, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWIND_SESSION_ID", "5" * 32)
    wire_server.answers(b'{"input_tokens": 3}')
    rewind_auto.install(hosts=["127.0.0.1"])
    try:
        of_anthropic(wire_server.url)
    finally:
        rewind_auto.uninstall()

    (step,) = open_store(str(store_path)).steps("5" * 32)
    assert (step.kind, step.operation, step.model, step.usage) == (Kind.HTTP, None, "asked-about", None)
