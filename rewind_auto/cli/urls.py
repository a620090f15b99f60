"""Whether a request to a URL would be recorded, and as what."""

from __future__ import annotations

from urllib.parse import urlsplit

from rewind_auto.core.address import port_of
from rewind_auto.core.errors import RewindError
from rewind_auto.providers import registry
from rewind_auto.providers.hosts import HostGate
from rewind_auto.settings import Settings
from rewind_auto.values import ALL_HOSTS


class NotRecordedError(RewindError):
    """A request to this URL is left alone. One line, with what would change that."""


def look(url: str, settings: Settings) -> str:
    """What a POST to ``url`` is taken for. No request is made.

    Raises:
        NotRecordedError: for nothing of ours, or it is no URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", port_of(parts)
    except ValueError as error:
        raise NotRecordedError(f"{url}: {error}") from None
    if not host or parts.scheme not in ("http", "https"):
        raise NotRecordedError(f"{url}: not a URL: it begins with https:// or http://")
    place = f"{host}:{port}" if port else host
    shown = f"{parts.scheme}://{place}{parts.path}"  # users, keys and queries are nobody's business
    if HostGate(settings.llm_hosts)(host, port):
        route = registry.identify(host, port, parts.path, "POST", settings.llm_hosts)
        assert route is not None
        if route.operation is None:
            return f"{shown}: recorded, as a call to {route.provider} that is no inference (no span)"
        read = f"read as {route.shape}" if route.shape else "its bodies are not understood"
        return f"{shown}: recorded, as an LLM call: {route.operation} of {route.provider}, {read}"
    tools = settings.tool_hosts
    if ALL_HOSTS in tools or HostGate(tools).names(host, port):
        return f"{shown}: recorded, as a call of a tool"
    raise NotRecordedError(
        f"{shown}: left alone, its host is no provider's that is known: --hosts {place} (REWIND_LLM_HOSTS)"
        f" makes it an LLM's, --tools {place} (REWIND_TOOL_HOSTS) a tool's"
    )
