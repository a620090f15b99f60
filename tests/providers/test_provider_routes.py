from __future__ import annotations

import pytest

from rewind_auto.providers.registry import Route, by_shape, identify

AZURE = "res.openai.azure.com"
FOUNDRY = "res.services.ai.azure.com"
VERTEX = "us-central1-aiplatform.googleapis.com"
PROJECT = "/v1/projects/p/locations/us-central1"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("host", "path", "route"),
    [
        ("api.openai.com", "/v1/chat/completions", Route("openai", "openai-chat", "chat")),
        ("api.openai.com", "/v1/chat/completions/", Route("openai", "openai-chat", "chat")),
        ("api.openai.com", "/v1/completions", Route("openai", "openai-completions", "text_completion")),
        ("api.openai.com", "/v1/responses", Route("openai", "openai-responses", "chat")),
        ("api.openai.com", "/v1/responses/compact", Route("openai", "openai-responses", "chat")),
        ("api.openai.com", "/v1/responses/resp_1/cancel", Route("openai", "", None)),
        ("api.openai.com", "/v1/responses/input_tokens", Route("openai", "", None)),
        ("api.openai.com", "/v1/embeddings", Route("openai", "openai-embeddings", "embeddings")),
        ("api.openai.com", "/v1/images/generations", Route("openai", "openai-images", "generate_content")),
        ("api.openai.com", "/v1/audio/speech", Route("openai", "openai-audio", "generate_content")),
        ("api.openai.com", "/v1/files", Route("openai", "", None)),
        ("api.openai.com", "/v1/batches", Route("openai", "", None)),
        ("api.openai.com", "/v1/threads/t/messages", Route("openai", "", None)),
        ("api.openai.com", "/v1/xchat/completionsx", Route("openai", "", None)),
        ("api.anthropic.com", "/v1/messages", Route("anthropic", "anthropic", "chat")),
        ("api.anthropic.com", "/v1/messages?beta=true", Route("anthropic", "anthropic", "chat")),
        ("api.anthropic.com", "/v1/messages/count_tokens", Route("anthropic", "", None)),
        ("api.anthropic.com", "/v1/messages/batches", Route("anthropic", "", None)),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            Route("gcp.gemini", "gemini", "generate_content"),
        ),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-2.5-flash:countTokens",
            Route("gcp.gemini", "", None),
        ),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/e:batchEmbedContents",
            Route("gcp.gemini", "gemini-embeddings", "embeddings"),
        ),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/openai/chat/completions",
            Route("gcp.gemini", "openai-chat", "chat"),
        ),
        (
            VERTEX,
            f"{PROJECT}/publishers/google/models/gemini-2.5-pro:generateContent",
            Route("gcp.vertex_ai", "gemini", "generate_content"),
        ),
        (
            VERTEX,
            f"{PROJECT}/publishers/anthropic/models/claude-sonnet-4@1:streamRawPredict",
            Route("gcp.vertex_ai", "anthropic", "chat"),
        ),
        (
            VERTEX,
            f"{PROJECT}/publishers/anthropic/models/count-tokens:rawPredict",
            Route("gcp.vertex_ai", "", None),
        ),
        (
            VERTEX,
            f"{PROJECT}/publishers/mistralai/models/mistral-large:rawPredict",
            Route("gcp.vertex_ai", "openai-chat", "chat"),
        ),
        (
            VERTEX,
            f"{PROJECT}/publishers/google/models/text-embedding-005:predict",
            Route("gcp.vertex_ai", "", "embeddings"),
        ),
        (
            VERTEX,
            f"{PROJECT}/publishers/google/models/imagen-4:predict",
            Route("gcp.vertex_ai", "", "generate_content"),
        ),
        (
            VERTEX,
            f"{PROJECT}/publishers/meta/models/llama:rawPredict",
            Route("gcp.vertex_ai", "", "chat"),
        ),
        (VERTEX, f"{PROJECT}/endpoints/123:predict", Route("gcp.vertex_ai", "", None)),
        (
            VERTEX,
            f"{PROJECT}/endpoints/openapi/chat/completions",
            Route("gcp.vertex_ai", "openai-chat", "chat"),
        ),
        ("api.cohere.com", "/v2/chat", Route("cohere", "cohere", "chat")),
        ("api.cohere.com", "/v1/generate", Route("cohere", "cohere", "text_completion")),
        ("api.cohere.com", "/v2/embed", Route("cohere", "cohere", "embeddings")),
        ("api.cohere.com", "/v2/rerank", Route("cohere", "", "rerank")),
        ("api.cohere.com", "/v1/tokenize", Route("cohere", "", None)),
        (
            "api.cohere.com",
            "/compatibility/v1/chat/completions",
            Route("cohere", "openai-chat", "chat"),
        ),
        ("api.mistral.ai", "/v1/fim/completions", Route("mistral_ai", "openai-chat", "text_completion")),
        ("api.mistral.ai", "/v1/agents/completions", Route("mistral_ai", "openai-chat", "chat")),
        ("openrouter.ai", "/api/v1/messages", Route("openrouter", "anthropic", "chat")),
        ("api.fireworks.ai", "/inference/v1/chat/completions", Route("fireworks_ai", "openai-chat", "chat")),
        ("api.x.ai", "/v1/responses", Route("x_ai", "openai-responses", "chat")),
        (
            AZURE,
            "/openai/deployments/d/chat/completions",
            Route("azure.ai.openai", "openai-chat", "chat"),
        ),
        (FOUNDRY, "/openai/v1/responses", Route("azure.ai.openai", "openai-responses", "chat")),
        (FOUNDRY, "/models/chat/completions", Route("azure.ai.inference", "openai-chat", "chat")),
        (FOUNDRY, "/anthropic/v1/messages", Route("azure.ai.inference", "anthropic", "chat")),
        (BEDROCK, "/model/amazon.nova-pro-v1%3A0/converse", Route("aws.bedrock", "bedrock", "chat")),
        (BEDROCK, "/model/anthropic.claude-v1%3A0/invoke", Route("aws.bedrock", "anthropic", "chat")),
        (
            BEDROCK,
            "/model/anthropic.claude-v1%3A0/invoke-with-response-stream",
            Route("aws.bedrock", "bedrock", "chat"),
        ),
        (BEDROCK, "/model/amazon.titan-embed-text-v2:0/invoke", Route("aws.bedrock", "", "embeddings")),
        (BEDROCK, "/guardrail/g/version/1/apply", Route("aws.bedrock", "", None)),
    ],
)
def test_a_post_is_known_by_its_path(host: str, path: str, route: Route) -> None:
    assert identify(host, None, path, "POST") == route


def test_only_a_post_is_an_inference() -> None:
    assert identify("api.openai.com", 443, "/v1/chat/completions", "GET") == Route("openai", "", None)
    assert identify("api.openai.com", 443, "/v1/chat/completions", "post") == Route(
        "openai", "openai-chat", "chat"
    )


def test_a_host_nobody_listed_has_no_route() -> None:
    assert identify("corp.example", 443, "/v1/chat/completions", "POST") is None
    assert identify("corp.example", 443, "/v1/chat/completions", "POST", ("*.corp.example",)) is None


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/llm/v1/chat/completions", Route("openai", "openai-chat", "chat")),
        ("/v1/completions", Route("openai", "openai-completions", "text_completion")),
        ("/v1/responses", Route("openai", "openai-responses", "chat")),
        ("/v1/embeddings", Route("openai", "openai-embeddings", "embeddings")),
        ("/v1/images/edits", Route("openai", "openai-images", "generate_content")),
        ("/v1/images/variations", Route("openai", "openai-images", "generate_content")),
        ("/v1/audio/transcriptions", Route("openai", "openai-audio", "generate_content")),
        ("/v1/audio/translations", Route("openai", "openai-audio", "generate_content")),
        ("/v1/messages", Route("anthropic", "anthropic", "chat")),
        ("/v1/complete", Route("custom", "", "text_completion")),
        ("/v1beta/models/g:embedContent", Route("gcp.gemini", "gemini-embeddings", "embeddings")),
        ("/v1beta/interactions", Route("custom", "", "generate_content")),
        ("/api/generate", Route("ollama", "ollama", "text_completion")),
        ("/api/embed", Route("ollama", "ollama", "embeddings")),
        ("/api/embeddings", Route("ollama", "ollama", "embeddings")),
        ("/model/m/converse-stream", Route("aws.bedrock", "bedrock", "chat")),
        ("/model/m/invoke", Route("aws.bedrock", "bedrock", "chat")),
        ("/agent/invoke", Route("custom", "", None)),
        ("/v1beta/models/g:generateContent", Route("gcp.gemini", "gemini", "generate_content")),
        ("/api/chat", Route("ollama", "ollama", "chat")),
        ("/v1/chat", Route("custom", "", None)),
        ("/health", Route("custom", "", None)),
    ],
)
def test_a_host_of_the_user_is_read_by_shape(path: str, route: Route) -> None:
    assert identify("llm.corp.example", 8080, path, "POST", ("llm.corp.example:8080",)) == route
    assert by_shape(8080, path, "POST") == route


def test_ollamas_own_port_tells_it_from_openai() -> None:
    listed = ("127.0.0.1:11434",)
    route = identify("127.0.0.1", 11434, "/v1/chat/completions", "POST", listed)
    assert route == Route("ollama", "openai-chat", "chat")


def test_a_provider_named_by_the_user_as_well_keeps_its_name() -> None:
    route = identify("api.groq.com", None, "/openai/v1/chat/completions", "POST", ("api.groq.com",))
    assert route == Route("groq", "openai-chat", "chat")
