"""How an answer travels: the knobs, and the cutting of a body into the pieces that are sent."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from offline.brain import DIRECTIVE


@dataclass(frozen=True)
class Knobs:
    """How answers are delivered. Times in seconds; a piece is one event of a stream."""

    delay: float = 0.0  # before each piece of a stream but the first
    wait: float = 0.0  # before the head
    words: int = 0  # least length of a text
    status: int = 200  # anything else: an error of the wire shape
    fail: int = 0  # answer 429 the first so many times that a body is seen
    retry_after: float = 1.0  # what the 429 says
    encoding: str = ""  # gzip or deflate, if the client accepts it
    cut: int = 0  # send pieces of so many bytes instead
    disconnect: int = -1  # drop the connection after so many pieces; 0: before the head
    hang: int = -1  # say nothing more after so many pieces, until stopped; 0: before the head

    def with_directives(self, prompt: str) -> Knobs:
        """These knobs, with what the prompt sets.

        Raises:
            ValueError: a directive's value is of the wrong type.
        """
        found = {name: value for name, value in DIRECTIVE.findall(prompt) if name in _TYPES}
        return replace(self, **{name: _TYPES[name](value) for name, value in found.items()})


_TYPES: dict[str, Any] = {field.name: type(field.default) for field in fields(Knobs)}


def encode_whole(data: dict[str, Any], encoding: str, knobs: Knobs) -> tuple[int, Iterator[bytes]]:
    """Length in bytes and pieces of a buffered body. ``encoding`` is gzip, deflate or empty."""
    body = json.dumps(data, ensure_ascii=False).encode()
    if encoding:
        body = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    # A body of one piece could not break in the middle.
    broken = knobs.disconnect > 0 or knobs.hang > 0
    return len(body), _cut([body], knobs.cut or (len(body) // 3 if broken else 0))


def encode_stream(frames: Iterable[str], encoding: str, knobs: Knobs) -> Iterator[bytes]:
    """Pieces of a streamed body: each frame can be read without the next one."""
    return _cut(_compress(frames, encoding) if encoding else map(str.encode, frames), knobs.cut)


def _compress(frames: Iterable[str], encoding: str) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    for frame in frames:
        yield packer.compress(frame.encode()) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def _cut(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of ``size``, or as they are when it is 0."""
    if not size:
        yield from pieces
        return
    body = b"".join(pieces)
    yield from (body[i : i + size] for i in range(0, len(body), size))
