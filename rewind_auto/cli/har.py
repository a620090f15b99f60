"""Sessions as an HTTP archive, for the viewers of browsers.

Source of the format: http://www.softwareishard.com/blog/har-12-spec/. Times between chunks, errors of the
transport and what belongs to replays have no place in it: they stand in fields that begin with ``_``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from rewind_auto import __version__
from rewind_auto.cli import output
from rewind_auto.cli.jsonl import Entry
from rewind_auto.core.address import parts_of
from rewind_auto.core.decode import decode
from rewind_auto.core.model import MAX_BODY, Headers, Recording, Session, Step


def document(entries: Iterable[Entry]) -> Iterator[str]:
    """The lines of the file."""
    creator = json.dumps({"name": "rewind-auto", "version": __version__})
    yield f'{{"log": {{"version": "1.2", "creator": {creator}, "entries": ['
    before = ""
    for session, steps in entries:
        for step, recording in steps:
            if recording is not None:
                yield before + json.dumps(_entry(session, step, recording))
                before = ","
    yield "]}}"


def _entry(session: Session, step: Step, recording: Recording) -> dict[str, Any]:
    waited, total = recording.head_us / 1000, recording.end_us / 1000
    if recording.head is None:
        waited = total
    return {
        "startedDateTime": output.iso(step.started_at),
        "time": total,
        "request": _request(step, recording),
        "response": _response(recording),
        "cache": {},
        "timings": {"send": 0, "wait": waited, "receive": max(0.0, total - waited)},
        "_session": session.id,
        "_step": step.step,
        "_decision": step.decision,
        "_model": step.model,
    }


def _request(step: Step, recording: Recording) -> dict[str, Any]:
    request = recording.request
    asked: dict[str, Any] = {
        "method": step.method,
        "url": step.url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(request.headers),
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(parts_of(step.url).query, keep_blank_values=True)
        ],
        "headersSize": -1,
        "bodySize": len(request.body),
    }
    if request.body:
        asked["postData"] = {"mimeType": _kind(request.headers), **_text(request.body)}
    return asked


def _response(recording: Recording) -> dict[str, Any]:
    head = recording.head
    body = decode(head, recording.body, MAX_BODY) if head else b""
    answered: dict[str, Any] = {
        "status": head.status if head else 0,
        "statusText": (head.reason or b"").decode("latin-1") if head else "",
        "httpVersion": head.http_version if head else "",
        "cookies": [],
        "headers": _headers(head.headers) if head else [],
        "content": {"size": len(body), "mimeType": _kind(head.headers if head else ()), **_text(body)},
        "redirectURL": next(
            (v["value"] for v in _headers(head.headers) if v["name"].lower() == "location"), ""
        )
        if head
        else "",
        "headersSize": -1,
        "bodySize": len(recording.body),
    }
    if recording.fault is not None:
        answered["_error"] = f"{recording.fault.name}: {recording.fault.message}"
    return answered


def _text(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), "encoding": "base64"}


def _kind(headers: Headers) -> str:
    return next((v.decode("latin-1") for n, v in headers if n.lower() == b"content-type"), "")


def _headers(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name.decode("latin-1"), "value": value.decode("latin-1")} for name, value in headers]
