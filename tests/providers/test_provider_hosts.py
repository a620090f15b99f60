from __future__ import annotations

import subprocess
import sys

import pytest

from rewind_auto.providers.hosts import PROVIDERS, HostGate, canonical, parse_host, provider_of

KNOWN = {
    "api.openai.com": "openai",
    "eu.api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "claude.googleapis.com": "anthropic",
    "aws-external-anthropic.us-east-1.api.aws": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "generativelanguage.mtls.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "aiplatform.mtls.googleapis.com": "gcp.vertex_ai",
    "us-central1-aiplatform.googleapis.com": "gcp.vertex_ai",
    "europe-west4-aiplatform.mtls.googleapis.com": "gcp.vertex_ai",
    "aiplatform.eu.rep.googleapis.com": "gcp.vertex_ai",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.mistral.ai": "mistral_ai",
    "api.eu.mistral.ai": "mistral_ai",
    "codestral.mistral.ai": "mistral_ai",
    "api.groq.com": "groq",
    "api.together.xyz": "together_ai",
    "api.together.ai": "together_ai",
    "api-inference.together.ai": "together_ai",
    "api.deepseek.com": "deepseek",
    "openrouter.ai": "openrouter",
    "eu.openrouter.ai": "openrouter",
    "us.openrouter.ai": "openrouter",
    "api.x.ai": "x_ai",
    "us-east-1.api.x.ai": "x_ai",
    "api.fireworks.ai": "fireworks_ai",
    "api.perplexity.ai": "perplexity",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "us-south.ml.cloud.ibm.com": "ibm.watsonx.ai",
    "us-east-1.aws.wxai.ibm.com": "ibm.watsonx.ai",
    "api.ai21.com": "ai21",
    "dashscope.aliyuncs.com": "alibaba",
    "dashscope-intl.aliyuncs.com": "alibaba",
    "dashscope-us.aliyuncs.com": "alibaba",
    "api.cerebras.ai": "cerebras",
    "api.deepinfra.com": "deepinfra",
    "router.huggingface.co": "huggingface",
    "api-inference.huggingface.co": "huggingface",
    "api.llama.com": "meta",
    "api.minimax.io": "minimax",
    "api.minimaxi.com": "minimax",
    "api.studio.nebius.ai": "nebius",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.novita.ai": "novita",
    "integrate.api.nvidia.com": "nvidia",
    "ai.api.nvidia.com": "nvidia",
    "ollama.com": "ollama",
    "api.replicate.com": "replicate",
    "api.sambanova.ai": "sambanova",
    "ai-gateway.vercel.sh": "vercel",
    "api.voyageai.com": "voyageai",
    "api.z.ai": "z_ai",
    "open.bigmodel.cn": "z_ai",
    "my-resource.openai.azure.com": "azure.ai.openai",
    "my-resource.openai.azure.us": "azure.ai.openai",
    "my-resource.cognitiveservices.azure.com": "azure.ai.openai",
    "my-resource.services.ai.azure.com": "azure.ai.inference",
    "my-model.eastus2.models.ai.azure.com": "azure.ai.inference",
    "models.inference.ai.azure.com": "azure.ai.inference",
    "bedrock-runtime.us-east-1.amazonaws.com": "aws.bedrock",
    "bedrock-runtime-fips.us-gov-west-1.amazonaws.com": "aws.bedrock",
    "bedrock-runtime.us-east-1.api.aws": "aws.bedrock",
    "bedrock-runtime-fips.us-east-1.api.aws": "aws.bedrock",
    "bedrock-runtime.eusc-de-east-1.amazonaws.eu": "aws.bedrock",
    "bedrock-runtime-fips.eusc-de-east-1.amazonaws.eu": "aws.bedrock",
    "bedrock-runtime.eusc-de-east-1.api.amazonwebservices.eu": "aws.bedrock",
    "bedrock-mantle.us-west-2.api.aws": "aws.bedrock",
    "vpce-0a1-b2c3.bedrock-runtime.us-east-1.vpce.amazonaws.com": "aws.bedrock",
}


@pytest.mark.parametrize(("host", "provider"), KNOWN.items())
def test_every_provider_is_known_by_its_hosts(host: str, provider: str) -> None:
    assert provider_of(host) == provider
    assert provider_of(host.upper() + ".") == provider


def test_there_is_a_host_for_every_pattern() -> None:
    assert len(KNOWN) == sum(len(hosts) for _, hosts in PROVIDERS)


@pytest.mark.parametrize(
    "host",
    [
        "api.openai.com.attacker.net",
        "notapi.openai.com",
        "xapi.openai.com",
        "openai.com",
        "api-openai.com",
        "openai.azure.com",
        "evilopenai.azure.com",
        "aiplatform.googleapis.com.attacker.net",
        "us-central1-aiplatform.googleapis.com.attacker.net",
        "a.us-central1-aiplatform.googleapis.com",
        "-aiplatform.googleapis.com",
        "storage.googleapis.com",
        "bedrock-runtime.amazonaws.com",
        "bedrock-runtime..amazonaws.com",
        "bedrock-runtime.us-east-1.s3.amazonaws.com",
        "s3.us-east-1.amazonaws.com",
        "cloud.ibm.com",
        "huggingface.co",
        "registry.ollama.ai",
        "",
        ".",
        "localhost",
        "127.0.0.1",
    ],
)
def test_a_host_that_only_looks_like_a_provider_is_foreign(host: str) -> None:
    assert provider_of(host) is None
    assert HostGate()(host, 443) is False


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("llm.corp.example", (False, "llm.corp.example", None)),
        (" LLM.Corp.Example. ", (False, "llm.corp.example", None)),
        ("llm.corp.example:8080", (False, "llm.corp.example", 8080)),
        ("localhost:1", (False, "localhost", 1)),
        ("127.0.0.1:11434", (False, "127.0.0.1", 11434)),
        ("my_service", (False, "my_service", None)),
        ("*.corp.example", (True, "corp.example", None)),
        ("*.corp.example:65535", (True, "corp.example", 65535)),
        ("[::1]", (False, "::1", None)),
        ("[0:0:0:0:0:0:0:1]:8080", (False, "::1", 8080)),
        ("bücher.example", (False, "xn--bcher-kva.example", None)),
    ],
)
def test_hosts_of_the_user_are_read(text: str, pattern: tuple[bool, str, int | None]) -> None:
    assert parse_host(text) == pattern


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://llm.corp.example", "leave out the scheme and the path"),
        ("llm.corp.example/v1", "leave out the scheme and the path"),
        ("me@llm.corp.example", "leave out the user name"),
        ("", "empty label"),
        ("*.", "empty label"),
        ("a..b", "empty label"),
        (".corp.example", "empty label"),
        ("a.b..", "empty label"),
        ("*", "only be the first label"),
        ("*corp.example", "only be the first label"),
        ("llm.*.example", "only be the first label"),
        ("*.*.example", "only be the first label"),
        ("llm.corp.example:", "port must be a number"),
        ("llm.corp.example:http", "port must be a number"),
        ("llm.corp.example:0", "port must be a number"),
        ("llm.corp.example:65536", "port must be a number"),
        ("llm.corp.example:" + "9" * 5000, "port must be a number"),
        ("llm.corp.example:८०", "port must be a number"),
        ("::1", "must stand in brackets"),
        ("[::1", "must stand in brackets"),
        ("*.[::1]", "must stand in brackets"),
        ("[::g]", "not an IPv6 address"),
        ("llm corp", "cannot be part of a host"),
        ("llm.corp?x=1", "cannot be part of a host"),
        ("a.-.b", "cannot be part of a host"),
        ("a" * 64, "too long"),
        ("a." * 130 + "b", "too long"),
    ],
)
def test_a_malformed_host_of_the_user_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_host(text)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=reason):
        HostGate((text,))


@pytest.mark.parametrize(
    ("listed", "host", "port", "passes"),
    [
        ("corp.example", "corp.example", 443, True),
        ("corp.example", "CORP.example.", None, True),
        ("corp.example", "llm.corp.example", 443, False),
        ("corp.example", "corp.example.attacker.net", 443, False),
        ("corp.example", "notcorp.example", 443, False),
        ("corp.example:8080", "corp.example", 8080, True),
        ("corp.example:8080", "corp.example", 443, False),
        ("corp.example:8080", "corp.example", None, False),
        ("corp.example:443", "corp.example", None, True),
        ("*.corp.example", "llm.corp.example", 443, True),
        ("*.corp.example", "a.b.corp.example", 9, True),
        ("*.corp.example", "corp.example", 443, False),
        ("*.corp.example", "evilcorp.example", 443, False),
        ("*.corp.example", "llm.corp.example.attacker.net", 443, False),
        ("*.corp.example:8080", "llm.corp.example", 8080, True),
        ("*.corp.example:8080", "llm.corp.example", 8081, False),
        ("[::1]:8080", "::1", 8080, True),
        ("[::1]:8080", "[::1]", 8080, True),
        ("[::1]:8080", "0:0::1", 8080, True),
        ("[::1]:8080", "::2", 8080, False),
        ("bücher.example", "xn--bcher-kva.example", 443, True),
        ("xn--bcher-kva.example", "bücher.example", 443, True),
    ],
)
def test_the_gate_lets_a_listed_host_pass(listed: str, host: str, port: int | None, passes: bool) -> None:
    gate = HostGate((listed,))
    assert gate(host, port) is passes
    assert gate(host, port) is passes  # and remembers it
    assert gate("api.openai.com", 443) is True


def test_a_gate_without_the_providers_has_only_the_users_hosts() -> None:
    gate = HostGate(("corp.example",), providers=False)
    assert gate("corp.example", 443) is True
    assert gate("api.openai.com", 443) is False


def test_a_crawler_does_not_fill_the_memory_of_the_gate() -> None:
    gate = HostGate()
    for number in range(5000):
        assert gate(f"host{number}.example", 443) is False
    assert len(gate._answers) <= 1024
    assert gate("api.openai.com", 443) is True


@pytest.mark.parametrize("host", ["\ud800.example", "ü" * 80, "a:b:c", "[", "\x00", "xn--\u0378.example"])
def test_no_host_of_a_program_breaks_the_gate(host: str) -> None:
    assert HostGate(("corp.example", "[::1]"))(host, 443) is False
    assert isinstance(canonical(host), str)


def test_the_table_loads_without_importing_anything() -> None:
    code = (
        "import sys, rewind_auto.providers; before = set(sys.modules)\n"
        "from rewind_auto.providers.hosts import HostGate\n"
        "assert HostGate(('corp.example:8080',))('api.openai.com', None)\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['rewind_auto.providers.hosts']"
