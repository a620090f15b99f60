"""What a program may decide about its own requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from rewind_auto.core.model import Request
from rewind_auto.providers.hosts import HostGate

_STREAM = re.compile(rb'"stream"\s*:\s*true')
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """An HTTP request about to be sent, as a predicate sees it.

    Attributes:
        url: absolute URL.
        method: upper case.
        headers: names in lower case; of a repeated one, the values joined by ``", "``.
        body: what was in memory already. A streamed upload is never read for a predicate: ``b""``.
        stream: whether the program asked for the response as a stream.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: bool = False

    @classmethod
    def of(cls, request: Request) -> LLMRequest:
        """The view of a request at the seam."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in request.headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        stream = "text/event-stream" in headers.get("accept", "") or _asks_for_stream(request.body)
        return cls(request.url, request.method.upper(), headers, request.body, stream)

    def header(self, name: str) -> str:
        """Value of a header in whatever spelling, or ``""``."""
        return self.headers.get(name.lower(), "")

    def content_type(self) -> str:
        """Media type of the body without parameters, in lower case, or ``""``."""
        return self.header("content-type").partition(";")[0].strip().lower()


def _asks_for_stream(body: bytes) -> bool:
    """Whether a JSON body has ``"stream": true`` at its top. Parsed only if it says so somewhere."""
    if not _STREAM.search(body):
        return False
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("stream") is True


@runtime_checkable
class Predicates(Protocol):
    """Chooses the requests to record. One that raises counts as false, and is reported once.

    Both are called for every request of the program, in the thread or event loop that makes it.
    """

    def is_llm_call(self, request: LLMRequest) -> bool:
        """Whether this goes to an LLM provider."""

    def is_tool_call(self, request: LLMRequest) -> bool:
        """Whether this is an HTTP tool of the agent. Asked when it is no LLM call."""


class DefaultPredicates:
    """By host: the known providers and ``hosts`` are LLM calls, nothing is a tool.

    Args:
        hosts: further LLM hosts: ``host``, ``host:port``, ``*.suffix`` or ``*.suffix:port``.

    Raises:
        ValueError: a host is malformed.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._gate = HostGate(hosts)

    def is_llm_call(self, request: LLMRequest) -> bool:
        """Whether the host of the URL is one of them."""
        try:
            parts = urlsplit(request.url)
            port = parts.port or _PORTS.get(parts.scheme.lower())
        except ValueError:
            return False
        return self._gate(parts.hostname or "", port)

    def is_tool_call(self, request: LLMRequest) -> bool:  # noqa: ARG002 - the protocol's signature
        """Never."""
        return False
