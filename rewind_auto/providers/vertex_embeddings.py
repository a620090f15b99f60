"""Embeddings of Vertex AI's own models, through ``:predict``: ``{"instances": …}``, ``{"predictions": …}``.

Source: "Text embeddings API" of the Vertex AI documentation, and `_EmbedContentParameters_to_vertex` of
google-genai 3.
"""

from __future__ import annotations

import re

from rewind_auto.providers.gemini import model_in
from rewind_auto.providers.info import RequestInfo, ResponseInfo
from rewind_auto.providers.reading import error_code, integer, obj, outline, parse, total, usage

_COUNT = re.compile(rb'"token_count"\s*:\s*(\d+)')


def request_info(path: str, body: bytes) -> RequestInfo:
    """Read a request for embeddings. The path says the model."""
    parameters = obj(obj(parse(body)).get("parameters"))
    return RequestInfo(
        model=model_in(path.partition("?")[0]),
        dimension_count=integer(parameters.get("outputDimensionality")),
    )


def response_info(body: bytes) -> ResponseInfo:
    """Add up what each embedding says of its text. A body of megabytes has no other text in it."""
    counts = [int(count) for count in _COUNT.findall(body)]
    return ResponseInfo(
        usage=usage({"input_tokens": total(*counts)}), error=error_code(outline(body, "error"))
    )
