"""Cassettes of vcrpy, as sessions: requests and answers, without times, tasks or chunks.

Source of the format: vcrpy's ``vcr/serialize.py`` (version 1), in YAML or JSON. YAML is read with the safe
loader, which makes nothing but plain values.
"""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64decode
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rewind_auto.cli.jsonl import Entry, FormatError
from rewind_auto.core.canonical import Canonicalizer
from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import Head, Headers, Kind, Mode, Recording, Request, Session, Step
from rewind_auto.describe import Description, host_class, route_of

_MOST_VALUES = 1_000_000  # in an interaction


def read(path: Path, data: bytes) -> Entry:
    """The session that a cassette holds. Its id follows from what is in it, so that it is brought in once.

    Raises:
        FormatError: it is no cassette.
        RewindError: it is YAML, and PyYAML is not installed.
    """
    document = _load(data)
    interactions = document.get("interactions") if isinstance(document, dict) else None
    if not isinstance(interactions, list):
        raise FormatError("neither an export of rewind-auto nor a cassette of vcrpy")
    session = Session(hashlib.sha256(data).hexdigest()[:32], path.stem, Mode.RECORD, "completed")
    session.started_at = session.ended_at = time.time()
    steps: list[tuple[Step, Recording | None]] = []
    hosts: dict[str, None] = {}
    for number, interaction in enumerate(interactions, start=1):
        try:
            _measure(interaction)
            recording = _recording(interaction)
            host = urlsplit(recording.request.url).hostname
            if host and ":" not in host:
                hosts[host] = None
            steps.append((_step(session, number, recording), recording))
        except (ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"interaction {number}: {type(error).__name__}: {error}") from None
    session.llm_hosts = tuple(hosts)
    return session, steps


def _load(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        pass
    try:
        yaml = import_module("yaml")
    except ImportError:
        raise RewindError("a cassette in YAML needs PyYAML: pip install pyyaml") from None
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return yaml.load(data, Loader=loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FormatError(f"not YAML: {' '.join(str(error).split())[:200]}") from None


def _measure(interaction: Any) -> None:
    """Make sure that it has an end: in YAML, a few lines can stand for millions, or for themselves."""
    waiting, seen = [interaction], 0
    while waiting:
        one = waiting.pop()
        seen += 1
        if seen + len(waiting) > _MOST_VALUES:
            raise ValueError("it has too many values")
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _recording(interaction: Mapping[str, Any]) -> Recording:
    asked, answered = interaction["request"], interaction["response"]
    request = Request(
        str(asked["method"]), str(asked["uri"]), _headers(asked["headers"]), _bytes(asked.get("body"))
    )
    status = answered["status"]
    inner = answered.get("body")
    body = _bytes(inner.get("string", inner.get("base64_string")) if isinstance(inner, dict) else inner)
    if isinstance(inner, dict) and "base64_string" in inner:
        body = b64decode(body)
    head = Head(int(status["code"]), _headers(answered["headers"]), _bytes(status.get("message")) or None)
    coded = any(name.lower() == b"content-encoding" for name, _ in head.headers)
    if coded and not body.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x78")):
        head = Head(head.status, head.headers, head.reason, wire=False)  # decode_compressed_response=True
    return Recording(request, head, body, ((len(body), 0),) if body else ())


def _step(session: Session, number: int, recording: Recording) -> Step:
    request = recording.request
    route = route_of(request.method, request.url, ())
    step = Step(session.id, number, method=request.method, url=request.url, library="vcrpy")
    step.kind = Kind.LLM if route.operation else Kind.HTTP
    step.provider, step.operation = route.provider, route.operation
    step.fingerprint = Canonicalizer((), host_class).fingerprint(request)
    step.status = recording.head.status if recording.head else None
    step.complete, step.chunks, step.started_at = True, len(recording.cuts), session.started_at
    Description(route, request).finish(step, recording)
    return step


def _headers(headers: Mapping[str, Any] | None) -> Headers:
    pairs: list[tuple[bytes, bytes]] = []
    for name, values in (headers or {}).items():
        given = values if isinstance(values, list) else [values]
        pairs += [(_bytes(name), _bytes(value)) for value in given]
    return tuple(pairs)


def _bytes(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (dict, list)):  # some serializers keep JSON as it is
        return json.dumps(value).encode()
    return str(value).encode("utf-8", "surrogateescape")
