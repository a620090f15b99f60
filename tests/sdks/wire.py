"""The offline provider with the wire shapes that it lacks; it says to every run what the first was told."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from offline.delivery import Knobs, encode_stream, encode_whole
from servers import CUT, Acts, Seen, chunked, head, reply
from shapes import SHAPES, Said
from tape import Tape

if TYPE_CHECKING:
    from offline_provider import OfflineProvider


class Wire(Tape):
    """Answers in the shapes of `SHAPES`, and leaves all else to ``provider``."""

    def __init__(self, provider: OfflineProvider) -> None:
        super().__init__(provider)
        self._numbers = itertools.count(1)
        self._asked: Counter[tuple[str, bytes]] = Counter()

    def _ask(self, seen: Seen) -> Acts:
        shape = SHAPES.get((seen.method, seen.path))
        if shape is None:
            return super()._ask(_as_usual(seen))
        self._asked[seen.target, seen.body] += 1
        said = shape(json.loads(seen.body or b"{}"), next(self._numbers))
        knobs = Knobs().with_directives(said.prompt)
        if self._asked[seen.target, seen.body] <= knobs.fail:
            knobs = replace(knobs, status=429)
        encoding = knobs.encoding if knobs.encoding in str(seen.header("accept-encoding")) else ""
        return [CUT] if knobs.disconnect == 0 else _acts(said, knobs, encoding)


def _as_usual(seen: Seen) -> Seen:
    """The request as the provider knows it: without Groq's prefix, and asking for the connection's end."""
    line, *headers = seen.head.split(b"\r\n")
    kept = [header for header in headers if not header.lower().startswith(b"connection:")]
    line = line.replace(b" /openai/v1/", b" /v1/")
    return replace(seen, head=b"\r\n".join([line, *kept, b"Connection: close"]))


def _acts(said: Said, knobs: Knobs, encoding: str) -> Acts:
    headers: list[tuple[str | bytes, str | bytes]] = []
    if knobs.status != 200:
        headers.append(("Content-Type", "application/json"))
        body = json.dumps(said.failure).encode()
        return reply(body, knobs.status, headers, reason=HTTPStatus(knobs.status).phrase)
    if encoding:
        headers.append(("Content-Encoding", encoding))
    if said.frames is not None:
        frames = list(encode_stream(said.frames, encoding, knobs))
        broken = knobs.disconnect > 0
        end = [CUT] if broken else [b"0\r\n\r\n"]
        headers.append(("Content-Type", said.kind))
        return chunked(frames[: knobs.disconnect] if broken else frames, headers, end=end)
    length, pieces = encode_whole(said.whole, encoding, knobs)
    headers += [("Content-Type", "application/json"), ("Content-Length", str(length))]
    if knobs.disconnect > 0:
        return [head(200, headers), *itertools.islice(pieces, knobs.disconnect), CUT]
    return [head(200, headers), *pieces]
