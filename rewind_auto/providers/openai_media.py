"""OpenAI's embeddings, images and audio: no conversation, and answers that may be megabytes of data.

Only what stands around the data is read.
"""

from __future__ import annotations

import re
from typing import Any

from rewind_auto.core import sse
from rewind_auto.providers.info import RequestInfo, ResponseInfo
from rewind_auto.providers.openai_chat import deployment_of, read_usage
from rewind_auto.providers.reading import error_code, integer, is_json, obj, outline, parse, pick, text

_EDGE = 8 * 1024
_FIELD = re.compile(rb'; name="(model|stream)"(?:\r\n[^\r\n]+)*\r\n\r\n([^\r\n]*)\r\n')


def model_request(path: str, body: bytes) -> RequestInfo:
    """Read the model out of a request that nothing else is known of."""
    return RequestInfo(model=_model(obj(parse(body)), path))


def embeddings_request(path: str, body: bytes) -> RequestInfo:
    """Read a request for embeddings."""
    document = obj(parse(body))
    format_ = text(pick(document, "encoding_format", "output_dtype"))  # the second ones are Mistral's
    return RequestInfo(
        model=_model(document, path),
        dimension_count=integer(pick(document, "dimensions", "output_dimension")),
        encoding_formats=(format_,) if format_ else (),
    )


def images_request(path: str, body: bytes) -> RequestInfo:
    """Read a request for images; edits are multipart forms."""
    document = _form(body)
    return RequestInfo(
        model=_model(document, path),
        stream=document.get("stream") is True,
        choice_count=integer(document.get("n")),
        output_type="image",
    )


def audio_request(path: str, body: bytes) -> RequestInfo:
    """Read a request for speech; transcriptions are multipart forms."""
    document = _form(body)
    return RequestInfo(
        model=_model(document, path),
        stream=document.get("stream_format") == "sse" or document.get("stream") is True,
        output_type="speech" if path.partition("?")[0].endswith("/speech") else "text",
    )


def response_info(body: bytes) -> ResponseInfo:
    """Read what an answer says beside its data."""
    if not is_json(body):
        document: dict[str, Any] = {}
        for _, data in sse.last_events(body):
            document.update(outline(data, "model", "usage"))
    else:
        document = outline(body, "model", "usage")
    return ResponseInfo(
        model=_model(document),
        usage=read_usage(obj(document.get("usage"))),
        error=error_code(document),
    )


def _form(body: bytes) -> dict[str, Any]:
    """The JSON of a request, or the fields of its form, but not the file that stands between them."""
    if is_json(body):
        return obj(parse(body))
    fields = _FIELD.findall(body[:_EDGE] + body[-_EDGE:])
    told = {name.decode(): value.decode("utf-8", "replace") for name, value in fields}
    return {**told, "stream": told.get("stream") in ("true", "True")}


def _model(document: dict[str, Any], path: str = "") -> str | None:
    return text(pick(document, "model", "model_id")) or deployment_of(path)  # the second is watsonx.ai's
