from __future__ import annotations

import pytest

from rewind_auto.providers.registry import Route, by_shape, identify

AZURE = "res.openai.azure.com"
FOUNDRY = "res.services.ai.azure.com"
AZURE_OPENAI = "azure.ai.openai"
VERTEX = "us-central1-aiplatform.googleapis.com"
PROJECT = "/v1/projects/p/locations/us-central1"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
MANTLE = "bedrock-mantle.us-east-1.api.aws"
AWS = "aws.bedrock"


@pytest.mark.parametrize(
    ("host", "path", "route"),
    [
        ("api.openai.com", "/v1/chat/completions", Route("openai", "openai-chat", "chat")),
        ("api.openai.com", "/v1/chat/completions/", Route("openai", "openai-chat", "chat")),
        ("api.openai.com", "/v1/completions", Route("openai", "openai-completions", "text_completion")),
        ("api.openai.com", "/v1/responses", Route("openai", "openai-responses", "chat")),
        ("api.openai.com", "/v1/responses/compact", Route("openai", "openai-responses", "chat")),
        ("api.openai.com", "/v1/responses/resp_1/cancel", Route("openai", "", None)),
        ("api.openai.com", "/v1/responses/input_tokens", Route("openai", "openai-responses", None)),
        ("api.openai.com", "/v1/moderations", Route("openai", "model", None)),
        ("api.openai.com", "/v1/decisions", Route("openai", "model", "generate_content")),
        ("api.openai.com", "/v1/conversations", Route("openai", "", None)),
        ("api.openai.com", "/v1/embeddings", Route("openai", "openai-embeddings", "embeddings")),
        ("api.openai.com", "/v1/images/generations", Route("openai", "openai-images", "generate_content")),
        ("api.openai.com", "/v1/audio/speech", Route("openai", "openai-audio", "generate_content")),
        ("api.openai.com", "/v1/files", Route("openai", "", None)),
        ("api.openai.com", "/v1/batches", Route("openai", "", None)),
        ("api.openai.com", "/v1/threads/t/messages", Route("openai", "", None)),
        ("api.openai.com", "/v1/xchat/completionsx", Route("openai", "", None)),
        ("api.anthropic.com", "/v1/messages", Route("anthropic", "anthropic", "chat")),
        ("api.anthropic.com", "/v1/messages?beta=true", Route("anthropic", "anthropic", "chat")),
        ("api.anthropic.com", "/v1/messages/count_tokens", Route("anthropic", "anthropic", None)),
        ("api.anthropic.com", "/v1/complete", Route("anthropic", "model", "text_completion")),
        ("api.anthropic.com", "/v1/messages/batches", Route("anthropic", "", None)),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            Route("gcp.gemini", "gemini", "generate_content"),
        ),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-2.5-flash:countTokens",
            Route("gcp.gemini", "gemini", None),
        ),
        (
            "generativelanguage.googleapis.com",
            "/v1/interactions",
            Route("gcp.gemini", "gemini-interactions", "generate_content"),
        ),
        ("generativelanguage.googleapis.com", "/v1/interactions/i/cancel", Route("gcp.gemini", "", None)),
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
            Route("gcp.vertex_ai", "anthropic", None),
        ),
        (
            VERTEX,
            f"{PROJECT}/publishers/mistralai/models/mistral-large:rawPredict",
            Route("gcp.vertex_ai", "openai-chat", "chat"),
        ),
        (
            VERTEX,
            f"{PROJECT}/publishers/google/models/text-embedding-005:predict",
            Route("gcp.vertex_ai", "vertex-embeddings", "embeddings"),
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
        ("api.cohere.ai", "/v1/chat", Route("cohere", "cohere", "chat")),
        ("api.cohere.com", "/v2/embed", Route("cohere", "cohere-embeddings", "embeddings")),
        ("api.cohere.com", "/v1/embed", Route("cohere", "cohere-embeddings", "embeddings")),
        ("api.cohere.com", "/v1/embed-jobs", Route("cohere", "", None)),
        ("api.cohere.com", "/v2/rerank", Route("cohere", "rerank", "rerank")),
        ("api.cohere.com", "/v1/summarize", Route("cohere", "model", "text_completion")),
        ("api.cohere.com", "/v2/parse", Route("cohere", "model", "generate_content")),
        ("api.cohere.com", "/v1/classify", Route("cohere", "model", None)),
        ("api.cohere.com", "/v1/tokenize", Route("cohere", "model", None)),
        ("api.cohere.com", "/v1/datasets", Route("cohere", "", None)),
        (
            "api.cohere.com",
            "/compatibility/v1/chat/completions",
            Route("cohere", "openai-chat", "chat"),
        ),
        ("api.mistral.ai", "/v1/fim/completions", Route("mistral_ai", "openai-chat", "text_completion")),
        ("api.mistral.ai", "/v1/agents/completions", Route("mistral_ai", "openai-chat", "chat")),
        ("api.mistral.ai", "/v1/conversations", Route("mistral_ai", "mistral-conversations", "chat")),
        ("api.mistral.ai", "/v1/conversations/c", Route("mistral_ai", "mistral-conversations", "chat")),
        (
            "api.mistral.ai",
            "/v1/conversations/c/restart",
            Route("mistral_ai", "mistral-conversations", "chat"),
        ),
        ("api.mistral.ai", "/v1/conversations/c/history", Route("mistral_ai", "", None)),
        ("ollama.com", "/api/chat", Route("ollama", "ollama", "chat")),
        ("ollama.com", "/api/web_search", Route("ollama", "", None)),
        (
            "us-south.ml.cloud.ibm.com",
            "/ml/v1/text/chat_stream",
            Route("ibm.watsonx.ai", "openai-chat", "chat"),
        ),
        (
            "us-south.ml.cloud.ibm.com",
            "/ml/v1/text/generation",
            Route("ibm.watsonx.ai", "model", "text_completion"),
        ),
        ("api.voyageai.com", "/v1/rerank", Route("voyageai", "rerank", "rerank")),
        ("openrouter.ai", "/api/v1/messages", Route("openrouter", "anthropic", "chat")),
        ("api.fireworks.ai", "/inference/v1/chat/completions", Route("fireworks_ai", "openai-chat", "chat")),
        ("api.x.ai", "/v1/responses", Route("x_ai", "openai-responses", "chat")),
        (AZURE, "/openai/deployments/d/chat/completions", Route(AZURE_OPENAI, "openai-chat", "chat")),
        (
            AZURE,
            "/openai/deployments/d/completions",
            Route(AZURE_OPENAI, "openai-completions", "text_completion"),
        ),
        (AZURE, "/openai/deployments/d/embeddings", Route(AZURE_OPENAI, "openai-embeddings", "embeddings")),
        (
            AZURE,
            "/openai/deployments/d/images/generations",
            Route(AZURE_OPENAI, "openai-images", "generate_content"),
        ),
        (
            AZURE,
            "/openai/deployments/d/audio/transcriptions",
            Route(AZURE_OPENAI, "openai-audio", "generate_content"),
        ),
        (
            AZURE,
            "/openai/deployments/d/audio/speech",
            Route(AZURE_OPENAI, "openai-audio", "generate_content"),
        ),
        (AZURE, "/openai/responses?api-version=1", Route(AZURE_OPENAI, "openai-responses", "chat")),
        (AZURE, "/openai/v1/chat/completions", Route(AZURE_OPENAI, "openai-chat", "chat")),
        (AZURE, "/openai/files", Route(AZURE_OPENAI, "", None)),
        (AZURE, "/openai/threads/t/runs", Route(AZURE_OPENAI, "", None)),
        (FOUNDRY, "/openai/v1/responses", Route(AZURE_OPENAI, "openai-responses", "chat")),
        (FOUNDRY, "/api/projects/p/openai/v1/responses", Route(AZURE_OPENAI, "openai-responses", "chat")),
        (FOUNDRY, "/api/projects/p/agents", Route("azure.ai.inference", "", None)),
        (FOUNDRY, "/api/projects/p/threads/t/runs", Route("azure.ai.inference", "", None)),
        (FOUNDRY, "/models/chat/completions", Route("azure.ai.inference", "openai-chat", "chat")),
        (FOUNDRY, "/models/embeddings", Route("azure.ai.inference", "openai-embeddings", "embeddings")),
        (
            FOUNDRY,
            "/models/images/embeddings",
            Route("azure.ai.inference", "openai-embeddings", "embeddings"),
        ),
        (FOUNDRY, "/anthropic/v1/messages", Route("azure.ai.inference", "anthropic", "chat")),
        (BEDROCK, "/model/amazon.nova-pro-v1%3A0/converse", Route(AWS, "bedrock-converse", "chat")),
        (BEDROCK, "/model/amazon.nova-pro-v1:0/converse-stream", Route(AWS, "bedrock-converse", "chat")),
        (BEDROCK, "/model/anthropic.claude-v1%3A0/invoke", Route(AWS, "bedrock-invoke", "chat")),
        (
            BEDROCK,
            "/model/us.anthropic.claude-v1:0/invoke-with-response-stream",
            Route(AWS, "bedrock-invoke", "chat"),
        ),
        (
            BEDROCK,
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aimported-model%2Fx/invoke",
            Route(AWS, "bedrock-invoke", "chat"),
        ),
        (BEDROCK, "/model/meta.llama3-8b/invoke", Route(AWS, "bedrock-invoke", "text_completion")),
        (BEDROCK, "/model/amazon.titan-embed-text-v2:0/invoke", Route(AWS, "bedrock-data", "embeddings")),
        (BEDROCK, "/model/cohere.rerank-v3-5%3A0/invoke", Route(AWS, "bedrock-data", "rerank")),
        (BEDROCK, "/model/amazon.nova-canvas-v1:0/invoke", Route(AWS, "bedrock-data", "generate_content")),
        (BEDROCK, "/model/amazon.nova-pro-v1:0/count-tokens", Route(AWS, "bedrock-data", None)),
        (BEDROCK, "/model/amazon.nova-sonic-v1:0/invoke-with-bidirectional-stream", Route(AWS, "", None)),
        (BEDROCK, "/async-invoke", Route(AWS, "", None)),
        (BEDROCK, "/guardrail-checks/invoke", Route(AWS, "", None)),
        (BEDROCK, "/openai/v1/chat/completions", Route(AWS, "openai-chat", "chat")),
        (BEDROCK, "/openai/v1/responses", Route(AWS, "openai-responses", "chat")),
        (MANTLE, "/openai/v1/responses", Route(AWS, "openai-responses", "chat")),
        (MANTLE, "/v1/chat/completions", Route(AWS, "openai-chat", "chat")),
        (MANTLE, "/anthropic/v1/messages", Route(AWS, "anthropic", "chat")),
        (BEDROCK, "/guardrail/g/version/1/apply", Route(AWS, "", None)),
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
        ("/v1/complete", Route("custom", "model", "text_completion")),
        ("/v1beta/models/g:embedContent", Route("gcp.gemini", "gemini-embeddings", "embeddings")),
        ("/v1beta/interactions", Route("gcp.gemini", "gemini-interactions", "generate_content")),
        ("/api/generate", Route("ollama", "ollama", "text_completion")),
        ("/api/embed", Route("ollama", "ollama-embeddings", "embeddings")),
        ("/api/embeddings", Route("ollama", "ollama-embeddings", "embeddings")),
        ("/v1/systemone", Route("custom", "model", "generate_content")),
        ("/v2/chat", Route("cohere", "cohere", "chat")),
        ("/v2/embed", Route("cohere", "cohere-embeddings", "embeddings")),
        ("/v1/rerank", Route("custom", "rerank", "rerank")),
        ("/v1/messages/count_tokens", Route("anthropic", "anthropic", None)),
        ("/model/m/converse-stream", Route("aws.bedrock", "bedrock-converse", "chat")),
        ("/model/anthropic.m/invoke", Route("aws.bedrock", "bedrock-invoke", "chat")),
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
