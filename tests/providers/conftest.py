from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from google import genai
from google.genai.types import HttpOptions
from wire_server import WireServer


@pytest.fixture
def wire_server() -> Iterator[WireServer]:
    with WireServer() as server:
        yield server


@pytest.fixture
def openai_client(wire_server: WireServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{wire_server.url}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(wire_server: WireServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=wire_server.url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def gemini_client(wire_server: WireServer) -> genai.Client:
    return genai.Client(api_key="k", http_options=HttpOptions(base_url=wire_server.url))
