"""OpenAI's embeddings, images and audio: no conversation, and answers that may be megabytes of data.

Only what stands around the data is read.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rewind_auto.core import sse
from rewind_auto.providers.info import RequestInfo, ResponseInfo
from rewind_auto.providers.openai_chat import read_usage
from rewind_auto.providers.reading import error_code, integer, is_json, obj, parse, text

_SMALL = 64 * 1024
_EDGE = 8 * 1024
_JSON = json.JSONDecoder()
_FIELD = re.compile(r'"(usage|model)"\s*:\s*(?=["{])')


def embeddings_request(path: str, body: bytes) -> RequestInfo:  # noqa: ARG001 - one signature for all shapes
    """Read a request for embeddings."""
    document = obj(parse(body))
    format_ = text(document.get("encoding_format"))
    return RequestInfo(
        model=text(document.get("model")),
        dimension_count=integer(document.get("dimensions")),
        encoding_formats=(format_,) if format_ else (),
    )


def images_request(path: str, body: bytes) -> RequestInfo:  # noqa: ARG001
    """Read a request for images; edits are multipart forms, and tell nothing here."""
    document = obj(parse(body))
    return RequestInfo(
        model=text(document.get("model")),
        stream=document.get("stream") is True,
        choice_count=integer(document.get("n")),
        output_type="image",
    )


def audio_request(path: str, body: bytes) -> RequestInfo:
    """Read a request for speech; transcriptions are multipart forms, and tell nothing here."""
    document = obj(parse(body))
    return RequestInfo(
        model=text(document.get("model")),
        stream=document.get("stream_format") == "sse",
        output_type="speech" if path.partition("?")[0].endswith("/speech") else "text",
    )


def response_info(body: bytes) -> ResponseInfo:
    """Read what an answer says beside its data."""
    if not is_json(body):
        document: dict[str, Any] = {}
        for _, data in sse.last_events(body):
            document.update(_outline(data))
    else:
        document = _outline(body)
    return ResponseInfo(
        model=text(document.get("model")),
        usage=read_usage(obj(document.get("usage"))),
        error=error_code(document),
    )


def _outline(body: bytes) -> dict[str, Any]:
    """The model and the usage from the edges of a large document, or a small one as it is."""
    if len(body) <= _SMALL:
        return obj(parse(body))
    found: dict[str, Any] = {}
    for edge in (body[:_EDGE], body[-_EDGE:]):
        told = edge.decode("utf-8", "replace")
        for match in _FIELD.finditer(told):
            try:
                found[match[1]] = _JSON.raw_decode(told, match.end())[0]
            except (ValueError, RecursionError):
                continue
    return found
