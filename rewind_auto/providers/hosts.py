"""Which hosts are LLM providers: the data, and a gate that answers for one host in one dict look-up.

Loaded by an import hook inside other people's programs, before it is known that they will ever call an
LLM: it imports nothing (not even ``__future__``), and what a rare host name needs is imported when met.

A pattern is an exact host; ``*.suffix``, any host with labels before that suffix; or a host with ``*`` inside
labels, each standing for one or more characters other than a dot. Nothing is ever matched by substring.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# (provider as gen_ai.provider.name has it, its hosts)
PROVIDERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("openai", ("api.openai.com", "*.api.openai.com")),
    # Claude on Google Cloud and the Claude platform on AWS are run by Anthropic.
    ("anthropic", ("api.anthropic.com", "claude.googleapis.com", "aws-external-anthropic.*.api.aws")),
    ("gcp.gemini", ("generativelanguage.googleapis.com", "generativelanguage.mtls.googleapis.com")),
    (
        "gcp.vertex_ai",
        (
            "aiplatform.googleapis.com",
            "*-aiplatform.googleapis.com",
            "aiplatform.*.rep.googleapis.com",
            "aiplatform.mtls.googleapis.com",
            "*-aiplatform.mtls.googleapis.com",
        ),
    ),
    ("cohere", ("api.cohere.ai", "api.cohere.com")),
    ("mistral_ai", ("api.mistral.ai", "api.*.mistral.ai", "codestral.mistral.ai")),
    ("groq", ("api.groq.com",)),
    ("together_ai", ("api.together.xyz", "api.together.ai", "api-inference.together.ai")),
    ("deepseek", ("api.deepseek.com",)),
    ("openrouter", ("openrouter.ai", "eu.openrouter.ai", "us.openrouter.ai")),
    ("x_ai", ("api.x.ai", "*.api.x.ai")),
    ("fireworks_ai", ("api.fireworks.ai",)),
    ("perplexity", ("api.perplexity.ai",)),
    ("moonshot_ai", ("api.moonshot.ai", "api.moonshot.cn")),
    ("ibm.watsonx.ai", ("*.ml.cloud.ibm.com", "*.wxai.ibm.com")),
    # The conventions have no value for these.
    ("ai21", ("api.ai21.com",)),
    ("alibaba", ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com")),
    ("cerebras", ("api.cerebras.ai",)),
    ("deepinfra", ("api.deepinfra.com",)),
    ("huggingface", ("router.huggingface.co", "api-inference.huggingface.co")),
    ("meta", ("api.llama.com",)),
    ("minimax", ("api.minimax.io", "api.minimaxi.com")),
    ("nebius", ("api.studio.nebius.ai", "api.studio.nebius.com", "api.tokenfactory.nebius.com")),
    ("novita", ("api.novita.ai",)),
    ("nvidia", ("integrate.api.nvidia.com", "ai.api.nvidia.com")),
    ("ollama", ("ollama.com",)),
    ("replicate", ("api.replicate.com",)),
    ("sambanova", ("api.sambanova.ai",)),
    ("vercel", ("ai-gateway.vercel.sh",)),
    ("voyageai", ("api.voyageai.com",)),
    ("z_ai", ("api.z.ai", "open.bigmodel.cn")),
    (
        "azure.ai.openai",
        ("*.openai.azure.com", "*.openai.azure.us", "*.cognitiveservices.azure.com"),
    ),
    ("azure.ai.inference", ("*.services.ai.azure.com", "*.models.ai.azure.com", "*.inference.ai.azure.com")),
    (
        "aws.bedrock",
        (
            "bedrock-runtime.*.amazonaws.com",
            "bedrock-runtime-fips.*.amazonaws.com",
            "bedrock-runtime.*.api.aws",
            "bedrock-runtime-fips.*.api.aws",
            "bedrock-runtime.*.amazonaws.eu",
            "bedrock-runtime-fips.*.amazonaws.eu",
            "bedrock-runtime.*.api.amazonwebservices.eu",
            "vpce-*.bedrock-runtime.*.vpce.amazonaws.com",
            "bedrock-mantle.*.api.aws",
        ),
    ),
)

HostPattern = tuple[bool, str, int | None]
"""``(is a suffix, host in canonical spelling, port or None for any)``"""

_EXACT: dict[str, str] = {}
_SUFFIX: dict[str, str] = {}
_LABELS: list[tuple[list[str], str]] = []
for _provider, _hosts in PROVIDERS:
    for _host in _hosts:
        if "*" not in _host:
            _EXACT[_host] = _provider
        elif _host.startswith("*.") and "*" not in _host[2:]:
            _SUFFIX[_host[2:]] = _provider
        else:
            _LABELS.append((_host.split("."), _provider))

_MEMO_LIMIT = 1024
_LABEL_LIMIT = 63
_HOST_LIMIT = 253
_PORT_LIMIT = 65535
_IMPLIED_PORTS = (80, 443)


def provider_of(host: str) -> str | None:
    """Return the provider that answers at this host, or None if it is nobody's in the table."""
    host = canonical(host)
    found = _EXACT.get(host)
    if found is not None:
        return found
    dot = host.find(".")
    while dot > 0:
        found = _SUFFIX.get(host[dot + 1 :])
        if found is not None:
            return found
        dot = host.find(".", dot + 1)
    labels = host.split(".")
    for patterns, provider in _LABELS:
        if len(patterns) == len(labels) and all(map(_label_matches, patterns, labels)):
            return provider
    return None


def parse_host(text: str) -> HostPattern:
    """Read one host of the user's: ``host``, ``host:port``, ``*.suffix`` or ``*.suffix:port``.

    An IPv6 address stands in brackets.

    Raises:
        ValueError: with a one-line reason, for anything else.
    """
    text = text.strip()
    if "/" in text:
        raise ValueError(f"{text!r} is not a host: leave out the scheme and the path")
    if "@" in text:
        raise ValueError(f"{text!r} is not a host: leave out the user name")
    name, port = _split_port(text)
    suffix = name.startswith("*.")
    if suffix:
        name = name[2:]
    if name.startswith("[") and name.endswith("]") and not suffix:
        return False, _ipv6(text, name), port
    if ":" in name or "[" in name:
        raise ValueError(f"{text!r}: an IPv6 address must stand in brackets, as in [::1]:8080")
    if "*" in name:
        raise ValueError(f"{text!r}: '*' may only be the first label, as in *.example.com")
    return suffix, _name(text, canonical(name)), port


def canonical(host: str) -> str:
    """Return the one spelling hosts are compared in: lower case, no trailing dot, A-labels, short IPv6."""
    host = host.lower().removesuffix(".")
    if ":" in host:
        try:
            return _ipv6(host, host)
        except ValueError:
            return host
    if not host.isascii():
        try:
            return host.encode("idna").decode("ascii")
        except UnicodeError:
            return host
    return host


class HostGate:
    """Whether a call to a host is ours to see, remembered for every host asked about.

    Args:
        user_hosts: further hosts, as `parse_host` reads them.
        providers: whether the hosts of the table pass too.

    Raises:
        ValueError: a user host is malformed.
    """

    __slots__ = ("_answers", "_patterns", "_providers")

    def __init__(self, user_hosts: "Iterable[str]" = (), *, providers: bool = True) -> None:
        self._patterns = tuple(parse_host(text) for text in user_hosts)
        self._providers = providers
        self._answers: dict[tuple[str, int | None], bool] = {}

    def __call__(self, host: str, port: int | None) -> bool:
        """Answer for a host and port. A port of None is the scheme's own (80 or 443)."""
        try:
            return self._answers[host, port]
        except KeyError:
            return self._learn(host, port)

    def _learn(self, host: str, port: int | None) -> bool:
        answer = self.names(host, port) or (self._providers and provider_of(host) is not None)
        # A crawler asks about more hosts than are worth keeping: start over, rather than grow or order them.
        if len(self._answers) >= _MEMO_LIMIT:
            self._answers.clear()
        self._answers[host, port] = answer
        return answer

    def names(self, host: str, port: int | None) -> bool:
        """Whether the user's own hosts, without the table, cover this one."""
        if not self._patterns:
            return False
        host = canonical(host)
        for suffix, name, wanted in self._patterns:
            if wanted is not None and wanted != port and not (port is None and wanted in _IMPLIED_PORTS):
                continue
            if host.endswith("." + name) if suffix else host == name:
                return True
        return False


def _name(text: str, name: str) -> str:
    labels = name.split(".")
    if not all(labels):
        raise ValueError(f"{text!r} has an empty label")
    if len(name) > _HOST_LIMIT or any(len(label) > _LABEL_LIMIT for label in labels):
        raise ValueError(f"{text!r} is too long for a host")
    for label in labels:
        if not label.replace("-", "").replace("_", "").isalnum() or not label.isascii():
            raise ValueError(f"{text!r}: {label!r} cannot be part of a host")
    return name


def _split_port(text: str) -> tuple[str, int | None]:
    name, colon, digits = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in name and not name.endswith("]")):
        return text, None
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:6]) <= _PORT_LIMIT):
        raise ValueError(f"{text!r}: the port must be a number from 1 to {_PORT_LIMIT}")
    return name, int(digits)


def _ipv6(text: str, name: str) -> str:
    from ipaddress import IPv6Address

    try:
        return str(IPv6Address(name.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address in brackets") from None


def _label_matches(pattern: str, label: str) -> bool:
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == label
    return len(label) > len(before) + len(after) and label.startswith(before) and label.endswith(after)
