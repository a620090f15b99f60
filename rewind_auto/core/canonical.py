"""The canonical form of a request and its fingerprint.

Two requests that mean the same to a provider have the same canonical form: JSON with sorted keys and
normal numbers, without volatile paths, with ids that were minted on the client (or echoed back to the
provider) renamed by first appearance, multipart with a fixed boundary, and no secrets. Headers are not
part of it: they carry trace ids, retry counts and versions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from rewind_auto.core import guard, redact
from rewind_auto.core.address import parts_of, port_of
from rewind_auto.core.model import Fingerprint, Request

DIGEST_SIZE = 16  # bytes; 2^64 requests before a collision is likely

# Who asked, not what was asked: OpenAI's and Anthropic's end-user tags and cache routing hints.
VOLATILE: tuple[str, ...] = ("user", "metadata.user_id", "safety_identifier", "prompt_cache_key")

_REFERENCE_KEYS = frozenset({"tool_call_id", "tool_use_id", "call_id"})
# Ids under a bare "id" that frameworks or providers mint. A file or a vector store id is not among them:
# which file was meant is part of the question.
_MINTED = re.compile(
    r"^(?:call|toolu|tooluse|srvtoolu|msg|run|lc_run|lc|fc|ctc|rs|resp|pyd_ai|chatcmpl)[-_]+[0-9A-Za-z_\-]{4,}$"
    r"|^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$"
)
_SIGNED_AT = re.compile(r"x-(?:amz|goog)-date=", re.IGNORECASE)  # of a URL with its own signature
_BOUNDARY = re.compile(rb'boundary="?([^";,\s]+)"?', re.IGNORECASE)

Path = tuple[str, ...]


def digest(*parts: bytes) -> bytes:
    """Digest of the parts, each with its length, so that they cannot run into one another."""
    h = blake2b(digest_size=DIGEST_SIZE)
    for part in parts:
        h.update(len(part).to_bytes(8, "little"))
        h.update(part)
    return h.digest()


def parse_path(text: str) -> Path:
    """Read an ignore path such as ``metadata.user_id``, ``messages[*].name`` or ``$.messages[3].content``.

    Raises:
        ValueError: the path is empty or malformed.
    """
    trimmed = text.strip().removeprefix("$").lstrip(".")
    parts = re.findall(r"[^.\[\]]+|\[(?:\*|\d+)\]", trimmed)
    if not parts or "".join(parts) != trimmed.replace(".", ""):
        raise ValueError(f"not a JSON path: {text!r}")
    return tuple(part.strip("[]") for part in parts)


class Canonicalizer:
    """Computes fingerprints under one set of ignore paths.

    Args:
        ignore: further JSON paths to leave out, in the syntax of `parse_path`.
        host_class: maps ``(host, port)`` to what stands for it in the fingerprint, so that regional hosts
            of one provider, or a local server on another port, are the same. Default: the host.
    """

    def __init__(
        self, ignore: tuple[str, ...] = (), host_class: Callable[[str, int | None], str] | None = None
    ) -> None:
        self._ignore = tuple(parse_path(path) for path in (*VOLATILE, *ignore))
        self._roots = tuple(f'"{path[0]}"'.encode() for path in self._ignore if path[0] != "*")
        # JSON may have characters beyond ASCII escaped: then a look at the bytes would not find the name.
        self._anywhere = any(path[0] == "*" or not path[0].isascii() for path in self._ignore)
        self._host_class = host_class or (lambda host, _port: host)
        self._where = lru_cache(maxsize=512)(self._address)  # programs call few URLs, many times

    def fingerprint(self, request: Request) -> Fingerprint:
        """Both digests of a request. Never raises on an odd body: it then counts as opaque bytes."""
        where = self._where(request.method, request.url)
        return Fingerprint(digest(where, request.body), digest(where, self.body(request)))

    def exact(self, request: Request) -> bytes:
        """Only the exact digest: what a replay asks for first."""
        return digest(self._where(request.method, request.url), request.body)

    def canonical(self, request: Request) -> bytes:
        """Only the canonical digest."""
        return digest(self._where(request.method, request.url), self.body(request))

    def _address(self, method: str, url: str) -> bytes:
        parts = parts_of(url)
        host = self._host_class((parts.hostname or "").lower(), port_of(parts))
        asked = redact.query_string(parts.query).split("&") if parts.query else ()
        query = "&".join(sorted(one for one in asked if not _SIGNED_AT.match(one)))
        path = redact.text(parts.path)
        return f"{method} {host} {path}?{query}".encode("utf-8", "surrogateescape")

    def body(self, request: Request) -> bytes:
        """The canonical body."""
        if not request.body:
            return b""
        # As a store keeps it: another key, or a token that is renewed now and then, is no other question, and
        # what was recorded has the same form after it was redacted as before.
        body = redact.request_body(request.body, redact.credentials(request.headers, request.url))
        if body == request.body:
            redact.seen(request.body)
        else:
            redact.unseen(request.body)
        if body[:1] in b"{[ \r\n\t":
            try:
                return self._json(body)
            except (ValueError, RecursionError) as error:
                guard.not_programs(error)
                return body
        content_type = next((v for n, v in request.headers if n.lower() == b"content-type"), b"")
        boundary = _BOUNDARY.search(content_type)
        return body.replace(boundary[1], b"boundary") if boundary else body

    def _json(self, body: bytes) -> bytes:
        value = _decode(body.decode())
        if self._anywhere or any(root in body for root in self._roots):
            for path in self._ignore:
                _drop(value, path)
        if b'id"' in body:
            value = _Renamer().apply(value)
        return _encode(value).encode()


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


# Made once: json.loads and json.dumps build one at every call that has options.
_decode = json.JSONDecoder(parse_float=_number).decode
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _drop(value: Any, path: Path) -> None:
    """Remove what ``path`` names, in place. ``*`` stands for every key or index."""
    head, rest = path[0], path[1:]
    if isinstance(value, dict):
        keys = list(value) if head == "*" else [head] if head in value else []
        for key in keys:
            if rest:
                _drop(value[key], rest)
            else:
                del value[key]
    elif isinstance(value, list):
        if head == "*":
            indexes = range(len(value))
        elif head.isdigit() and int(head) < len(value):
            indexes = range(int(head), int(head) + 1)
        else:
            return
        for index in indexes:
            if rest:
                _drop(value[index], rest)
            else:
                value[index] = None


class _Renamer:
    """Renames ids by first appearance: that a result answers *that* call stays, its value goes."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def apply(self, value: Any) -> Any:
        # Sorted, since "first appearance" must not depend on the order of the keys.
        if isinstance(value, dict):
            return {key: self._field(key, value[key]) for key in sorted(value)}
        if isinstance(value, list):
            return [self.apply(item) for item in value]
        return value

    def _field(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            if key in _REFERENCE_KEYS or (key == "id" and _MINTED.match(value)):
                return self._names.setdefault(value, f"id_{len(self._names) + 1}")
            return value
        return self.apply(value)
