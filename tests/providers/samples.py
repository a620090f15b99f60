"""One table of samples: for every wire shape a call answered in one piece and, where there is such, a stream.

`EXCHANGES` maps a name ("anthropic", "anthropic stream") to an `Exchange`: all that goes over the wire in one
call, as the provider's SDK sends and reads it (`test_samples.py` holds each to that SDK). Written to be
parametrised over::

    @pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)

`STREAMS` has the bodies of more streams by shape, those whose end can be told; `EVENTS` those of them as
documents. Tests of other directories import this as ``samples``: it is on pytest's ``pythonpath``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bedrock_sdk import EVENT_STREAM, chunk, event
from events import lines, sse
from test_wire_anthropic import EVENTS as ANTHROPIC_EVENTS
from test_wire_anthropic import MESSAGE
from test_wire_anthropic import STREAM as ANTHROPIC
from test_wire_azure import ANSWER as AZURE_ANSWER
from test_wire_azure import REQUEST as AZURE_REQUEST
from test_wire_azure import STREAM as AZURE
from test_wire_bedrock import ANSWER as CONVERSE_ANSWER
from test_wire_bedrock import EVENTS as CONVERSE_EVENTS
from test_wire_bedrock import REQUEST as CONVERSE_REQUEST
from test_wire_bedrock_invoke import CLAUDE
from test_wire_cohere import ANSWER as COHERE_ANSWER
from test_wire_cohere import EVENTS as COHERE_EVENTS
from test_wire_cohere import GENERATION, GENERATION_EVENTS, OLD_ANSWER, OLD_STREAM
from test_wire_cohere import STREAM as COHERE
from test_wire_gemini import ANSWER as GEMINI_ANSWER
from test_wire_gemini import STEPS
from test_wire_gemini_interactions import ANSWER as INTERACTION
from test_wire_gemini_interactions import EVENTS as INTERACTION_EVENTS
from test_wire_mistral import ANSWER as CONVERSATION
from test_wire_mistral import EVENTS as CONVERSATION_EVENTS
from test_wire_mistral import STREAM as CONVERSATION_STREAM
from test_wire_ollama import ANSWER as OLLAMA_ANSWER
from test_wire_ollama import DONE, HEAD
from test_wire_ollama import GENERATION as OLLAMA_GENERATION
from test_wire_ollama import STREAM as OLLAMA
from test_wire_openai_chat import ANSWER as CHAT_ANSWER
from test_wire_openai_chat import STREAM as CHAT
from test_wire_openai_chat import WEATHER
from test_wire_openai_responses import EVENTS as RESPONSES_EVENTS
from test_wire_openai_responses import RESPONSE
from test_wire_openai_responses import STREAM as RESPONSES

_JSON = "application/json"
_SSE = "text/event-stream"
_JSON_LINES = "application/x-ndjson"
_COHERE_LINES = "application/stream+json"


@dataclass(frozen=True)
class Exchange:
    """One call.

    Attributes:
        shape: `Route.shape`.
        provider: value of ``gen_ai.provider.name``.
        operation: value of ``gen_ai.operation.name``.
        url: where the provider itself answers; a POST.
        request: body of the request, ``application/json``.
        content_type: of the answer.
        chunks: the body of the answer, an event in each chunk of a stream.
        stream: whether the answer is a stream.
    """

    shape: str
    provider: str
    operation: str
    url: str
    request: bytes
    content_type: str
    chunks: tuple[bytes, ...]
    stream: bool = False

    @property
    def body(self) -> bytes:
        """The answer in one piece."""
        return b"".join(self.chunks)

    @property
    def path(self) -> str:
        """Path of the URL, and its query."""
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _chunks(body: bytes, content_type: str) -> tuple[bytes, ...]:
    """The body of a stream cut after each of its events."""
    end = b"\n\n" if content_type == _SSE else b"\n"
    return tuple(event + end for event in body.removesuffix(end).split(end))


def _pair(
    shape: str,
    provider: str,
    operation: str,
    url: str,
    request: dict[str, Any],
    answer: dict[str, Any] | bytes,
    stream: bytes | tuple[bytes, ...] | None = None,
    *,
    name: str | None = None,
    asked: dict[str, Any] | None = None,
    content_types: tuple[str, str] = (_JSON, _SSE),
    stream_url: str | None = None,
) -> dict[str, Exchange]:
    """The call in one piece and as a stream; ``asked`` is what a request for a stream says of it."""
    name = name or shape
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    whole = Exchange(shape, provider, operation, url, _dumps(request), content_types[0], (body,))
    if stream is None:
        return {name: whole}
    streamed = Exchange(
        shape,
        provider,
        operation,
        stream_url or url,
        _dumps({**request, **({"stream": True} if asked is None else asked)}),
        content_types[1],
        _chunks(stream, content_types[1]) if isinstance(stream, bytes) else stream,
        stream=True,
    )
    return {name: whole, f"{name} stream": streamed}


def _dumps(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


_OPENAI = "https://api.openai.com/v1"
_GOOGLE = "https://generativelanguage.googleapis.com/v1/models"
_COHERE = "https://api.cohere.com"
_OLLAMA = "https://ollama.com/api"
_AMAZON = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
_VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers"
_SYSTEM = "Be brief."
_QUESTION = "What is the weather in Bern?"
_FUNCTION = WEATHER["function"]
_GEMINI_FUNCTION = {
    "name": _FUNCTION["name"],
    "description": _FUNCTION["description"],
    "parameters_json_schema": _FUNCTION["parameters"],
}
_COMPLETION: dict[str, Any] = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "davinci-002",
    "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "text": " time"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
_IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
    "output_tokens": 60,
    "total_tokens": 110,
}
_IMAGE_EVENT = {
    "b64_json": "aWk=",
    "background": "opaque",
    "created_at": 1,
    "output_format": "png",
    "quality": "high",
    "size": "1024x1024",
}
# Only the last event is asked whether it is the last, and it says nothing of other candidates.
GEMINI_STEPS = [step for step in STEPS if step["candidates"][0]["index"] == 0]

EXCHANGES: dict[str, Exchange] = {
    **_pair(
        "openai-chat",
        "openai",
        "chat",
        f"{_OPENAI}/chat/completions",
        {
            "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _QUESTION}],
            "model": "gpt-4o",
            "max_completion_tokens": 100,
            "n": 2,
            "temperature": 0.5,
            "tools": [WEATHER],
        },
        CHAT_ANSWER,
        CHAT,
        asked={"stream": True, "stream_options": {"include_usage": True}},
    ),
    **_pair(
        "openai-completions",
        "openai",
        "text_completion",
        f"{_OPENAI}/completions",
        {"model": "davinci-002", "prompt": "Once upon a", "max_tokens": 1},
        _COMPLETION,
        sse(
            [
                {**_COMPLETION, "choices": [{**_COMPLETION["choices"][0], "text": " ti"}], "usage": None},
                {**_COMPLETION, "choices": [{**_COMPLETION["choices"][0], "text": "me"}]},
                "[DONE]",
            ]
        ),
    ),
    **_pair(
        "openai-responses",
        "openai",
        "chat",
        f"{_OPENAI}/responses",
        {
            "input": _QUESTION,
            "instructions": _SYSTEM,
            "max_output_tokens": 100,
            "model": "gpt-6-astra",
            "tools": [{"type": "function", "strict": None, **_FUNCTION}, {"type": "web_search"}],
        },
        RESPONSE,
        RESPONSES,
    ),
    **_pair(
        "openai-embeddings",
        "openai",
        "embeddings",
        f"{_OPENAI}/embeddings",
        {
            "input": "Hi",
            "model": "text-embedding-3-small",
            "dimensions": 2,
            "encoding_format": "float",
        },
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}],
            "model": "text-embedding-3-small",
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        },
    ),
    **_pair(
        "openai-images",
        "openai",
        "generate_content",
        f"{_OPENAI}/images/generations",
        {"prompt": "A cat", "model": "gpt-image-2"},
        {"created": 1, "data": [{"b64_json": "aWk="}], "usage": _IMAGE_USAGE},
        sse(
            [
                {"type": "image_generation.partial_image", "partial_image_index": 0, **_IMAGE_EVENT},
                {"type": "image_generation.completed", **_IMAGE_EVENT, "usage": _IMAGE_USAGE},
            ],
            named=True,
        ),
    ),
    **_pair(
        "openai-audio",
        "openai",
        "generate_content",
        f"{_OPENAI}/audio/speech",
        {"input": "Hi", "model": "gpt-4o-mini-tts", "voice": "alloy"},
        b"ID3\x04sound",
        sse(
            [
                {"type": "speech.audio.delta", "audio": "SUQz"},
                {
                    "type": "speech.audio.done",
                    "usage": {"input_tokens": 3, "output_tokens": 9, "total_tokens": 12},
                },
            ]
        ),
        asked={"stream_format": "sse"},
        content_types=("audio/mpeg", _SSE),
    ),
    **_pair(
        "anthropic",
        "anthropic",
        "chat",
        "https://api.anthropic.com/v1/messages",
        {
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": _QUESTION}],
            "model": "claude-sonnet-5",
            "system": _SYSTEM,
            "tools": [
                {
                    "name": _FUNCTION["name"],
                    "description": _FUNCTION["description"],
                    "input_schema": _FUNCTION["parameters"],
                }
            ],
        },
        MESSAGE,
        ANTHROPIC,
    ),
    **_pair(
        "gemini",
        "gcp.gemini",
        "generate_content",
        f"{_GOOGLE}/gemini-2.5-flash:generateContent",
        {
            "contents": [{"parts": [{"text": _QUESTION}], "role": "user"}],
            "systemInstruction": {"parts": [{"text": _SYSTEM}], "role": "user"},
            "tools": [{"functionDeclarations": [_GEMINI_FUNCTION]}],
            "generationConfig": {"temperature": 0.5, "maxOutputTokens": 100},
        },
        GEMINI_ANSWER,
        sse(GEMINI_STEPS),
        asked={},
        stream_url=f"{_GOOGLE}/gemini-2.5-flash:streamGenerateContent?alt=sse",
    ),
    **_pair(
        "gemini-embeddings",
        "gcp.gemini",
        "embeddings",
        f"{_GOOGLE}/gemini-embedding-001:batchEmbedContents",
        {
            "requests": [
                {
                    "content": {"parts": [{"text": "Hi"}], "role": "user"},
                    "model": "models/gemini-embedding-001",
                    "outputDimensionality": 2,
                }
            ]
        },
        {"embeddings": [{"values": [0.5, -0.5]}]},
    ),
    **_pair(
        "bedrock-converse",
        "aws.bedrock",
        "chat",
        f"{_AMAZON}/us.anthropic.claude-sonnet-5-v1%3A0/converse",
        CONVERSE_REQUEST,
        CONVERSE_ANSWER,
        tuple(event(*one) for one in CONVERSE_EVENTS),
        asked={},
        content_types=(_JSON, EVENT_STREAM),
        stream_url=f"{_AMAZON}/us.anthropic.claude-sonnet-5-v1%3A0/converse-stream",
    ),
    **_pair(
        "bedrock-invoke",
        "aws.bedrock",
        "chat",
        f"{_AMAZON}/us.anthropic.claude-sonnet-5-v1:0/invoke",
        {
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": _QUESTION}],
            "system": _SYSTEM,
            "anthropic_version": "bedrock-2023-05-31",
        },
        MESSAGE,
        tuple(map(chunk, CLAUDE.chunks)),
        asked={},
        content_types=(_JSON, EVENT_STREAM),
        stream_url=f"{_AMAZON}/us.anthropic.claude-sonnet-5-v1:0/invoke-with-response-stream",
    ),
    **_pair(
        "bedrock-data",
        "aws.bedrock",
        "embeddings",
        f"{_AMAZON}/amazon.titan-embed-text-v2%3A0/invoke",
        {"inputText": "Hi", "dimensions": 256, "embeddingTypes": ["float"]},
        {"embedding": [0.5, -0.5], "inputTextTokenCount": 2},
    ),
    **_pair(
        "openai-chat",
        "azure.ai.openai",
        "chat",
        "https://res.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2025-04-01-preview",
        AZURE_REQUEST,
        AZURE_ANSWER,
        AZURE,
        name="azure-chat",
        asked={"stream": True, "stream_options": {"include_usage": True}},
    ),
    **_pair(
        "anthropic",
        "gcp.vertex_ai",
        "chat",
        f"{_VERTEX}/anthropic/models/claude-sonnet-5:rawPredict",
        {
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": _QUESTION}],
            "system": _SYSTEM,
            "anthropic_version": "vertex-2023-10-16",
        },
        MESSAGE,
        ANTHROPIC,
        name="vertex-claude",
        stream_url=f"{_VERTEX}/anthropic/models/claude-sonnet-5:streamRawPredict",
    ),
    **_pair(
        "gemini-interactions",
        "gcp.gemini",
        "generate_content",
        "https://generativelanguage.googleapis.com/v1/interactions",
        {
            "model": "gemini-3-pro",
            "system_instruction": _SYSTEM,
            "input": _QUESTION,
            "tools": [{"type": "function", **_FUNCTION}],
            "generation_config": {"max_output_tokens": 100},
        },
        INTERACTION,
        sse(INTERACTION_EVENTS),
    ),
    **_pair(
        "vertex-embeddings",
        "gcp.vertex_ai",
        "embeddings",
        "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/text-embedding-005:predict",
        {"instances": [{"content": "Hi"}], "parameters": {"outputDimensionality": 2}},
        {
            "predictions": [
                {
                    "embeddings": {
                        "values": [0.5, -0.5],
                        "statistics": {"truncated": False, "token_count": 1},
                    }
                }
            ]
        },
    ),
    **_pair(
        "cohere",
        "cohere",
        "chat",
        f"{_COHERE}/v2/chat",
        {
            "model": "command-a-03-2025",
            "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _QUESTION}],
            "tools": [WEATHER],
            "max_tokens": 100,
            "temperature": 0.5,
            "stream": False,
        },
        COHERE_ANSWER,
        COHERE,
    ),
    **_pair(
        "cohere",
        "cohere",
        "chat",
        f"{_COHERE}/v1/chat",
        {"model": "command-r", "message": _QUESTION, "preamble": _SYSTEM, "stream": False},
        OLD_ANSWER,
        OLD_STREAM,
        name="cohere-v1",
        content_types=(_JSON, _COHERE_LINES),
    ),
    **_pair(
        "cohere",
        "cohere",
        "text_completion",
        f"{_COHERE}/v1/generate",
        {"model": "command", "prompt": "Once upon a", "num_generations": 2, "stream": False},
        GENERATION,
        lines(GENERATION_EVENTS),
        name="cohere-generate",
        content_types=(_JSON, _COHERE_LINES),
    ),
    **_pair(
        "cohere-embeddings",
        "cohere",
        "embeddings",
        f"{_COHERE}/v2/embed",
        {
            "model": "embed-v4.0",
            "texts": ["Hi"],
            "input_type": "search_query",
            "embedding_types": ["float"],
            "output_dimension": 256,
        },
        {
            "id": "e-1",
            "response_type": "embeddings_by_type",
            "embeddings": {"float": [[0.5, -0.5]]},
            "texts": ["Hi"],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 3.0}},
        },
    ),
    **_pair(
        "rerank",
        "cohere",
        "rerank",
        f"{_COHERE}/v2/rerank",
        {"model": "rerank-v3.5", "query": "Bern?", "documents": ["a", "b"], "top_n": 2},
        {
            "id": "r-1",
            "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1.0}},
        },
    ),
    **_pair(
        "mistral-conversations",
        "mistral_ai",
        "chat",
        "https://api.mistral.ai/v1/conversations",
        {
            "model": "mistral-medium-latest",
            "instructions": _SYSTEM,
            "inputs": _QUESTION,
            "tools": [WEATHER, {"type": "web_search"}],
            "completion_args": {"max_tokens": 100},
            "stream": False,
        },
        CONVERSATION,
        CONVERSATION_STREAM,
    ),
    **_pair(
        "ollama",
        "ollama",
        "chat",
        f"{_OLLAMA}/chat",
        {
            "model": "llama3.2",
            "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _QUESTION}],
            "tools": [WEATHER],
            "options": {"temperature": 0.5, "num_predict": 100},
            "stream": False,
        },
        OLLAMA_ANSWER,
        OLLAMA,
        content_types=(_JSON, _JSON_LINES),
    ),
    **_pair(
        "ollama",
        "ollama",
        "text_completion",
        f"{_OLLAMA}/generate",
        {"model": "llama3.2", "prompt": "Once upon a", "system": _SYSTEM, "stream": False},
        OLLAMA_GENERATION,
        lines([{**HEAD, "response": " time", "done": False}, {**HEAD, "response": "", **DONE}]),
        name="ollama-generate",
        content_types=(_JSON, _JSON_LINES),
    ),
    **_pair(
        "ollama-embeddings",
        "ollama",
        "embeddings",
        f"{_OLLAMA}/embed",
        {"model": "all-minilm", "input": "Hi", "dimensions": 256},
        {"model": "all-minilm", "embeddings": [[0.5, -0.5]], "total_duration": 9, "prompt_eval_count": 2},
    ),
}

STREAMS = {
    "openai-chat": CHAT,
    "openai-responses": RESPONSES,
    "openai-images": EXCHANGES["openai-images stream"].body,
    "openai-audio": EXCHANGES["openai-audio stream"].body,
    "anthropic": ANTHROPIC,
    "gemini": EXCHANGES["gemini stream"].body,
    "bedrock-converse": EXCHANGES["bedrock-converse stream"].body,
    "bedrock-invoke": EXCHANGES["bedrock-invoke stream"].body,
    "gemini-interactions": EXCHANGES["gemini-interactions stream"].body,
    "cohere": COHERE,
    "mistral-conversations": CONVERSATION_STREAM,
    "ollama": OLLAMA,
}
EVENTS = {
    "openai-responses": RESPONSES_EVENTS,
    "anthropic": ANTHROPIC_EVENTS,
    "gemini": GEMINI_STEPS,
    "gemini-interactions": INTERACTION_EVENTS,
    "cohere": COHERE_EVENTS,
    "mistral-conversations": CONVERSATION_EVENTS,
}
GEMINI_ARRAY = json.dumps(GEMINI_STEPS, indent=1).encode()
