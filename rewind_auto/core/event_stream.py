"""The frames of ``application/vnd.amazon.eventstream``, from a body that is already here.

Read as ``botocore/eventstream.py`` reads them and https://smithy.io/2.0/aws/amazon-eventstream.html says it;
numbers are big-endian::

    total length (4) | length of the headers (4) | CRC-32 of these eight bytes (4)
    headers | payload | CRC-32 of all that stands before it (4)

A header is its name (length in one byte), a type (one byte) and a value. Nothing marks where a frame begins,
so what comes after a damaged one cannot be read: that ends the reading, as a frame that is cut does.

Bedrock puts a model's own stream into such frames as ``{"bytes": base64 of a chunk}`` (``PayloadPart`` in
``botocore/data/bedrock-runtime``).
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterator
from functools import lru_cache
from struct import Struct
from typing import NamedTuple
from zlib import crc32

TYPE = b"application/vnd.amazon.eventstream"

_PRELUDE = Struct("!III")
_COVERED = 8  # bytes of the prelude that its own checksum is of
_CHECKSUM = Struct("!I")
_AROUND = _PRELUDE.size + _CHECKSUM.size
_MOST_HEADERS = 128 * 1024  # bytes; this and the next as botocore limits them
_MOST_PAYLOAD = 24 * 1024 * 1024
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # bytes of a value, by its type
_CHUNK = re.compile(rb'\{"bytes":"([A-Za-z0-9+/=]*)"[,}]')  # as Amazon writes it: no JSON needs to be parsed
_BINARY, _TEXT = 6, 7  # these begin with their length, in two bytes


class Frame(NamedTuple):
    """One event.

    Attributes:
        headers: those whose values are texts, such as ``:event-type``.
        payload: what is in it, as a rule JSON.
        end: where in the body the next frame begins.
    """

    headers: dict[str, str]
    payload: bytes
    end: int

    @property
    def event(self) -> str:
        """Name of the event, or empty for an error."""
        return self.headers.get(":event-type", "")

    @property
    def error(self) -> str | None:
        """Code of the error that the service ends the stream with, if this is one."""
        kind = self.headers.get(":message-type")
        if kind == "exception":
            return self.headers.get(":exception-type") or "error"
        return self.headers.get(":error-code") or "error" if kind == "error" else None

    @property
    def chunk(self) -> bytes:
        """The piece of a model's own stream in it, or nothing."""
        plain = _CHUNK.match(self.payload)
        return _decoded(plain[1] if plain else _field(self.payload, "bytes"))


def _decoded(data: object) -> bytes:
    try:
        return a2b_base64(data) if isinstance(data, bytes | str) else b""
    except ValueError:
        return b""


def _field(payload: bytes, name: str) -> object:
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return document.get(name) if isinstance(document, dict) else None


def frames(body: bytes) -> Iterator[Frame]:
    """Yield the frames of a body, up to the first that is damaged or cut."""
    at = 0
    while (frame := _frame(body, at)) is not None:
        yield frame
        at = frame.end


def last_frame(body: bytes) -> Frame | None:
    """Return the last whole frame, if it is sound. Of the others only the lengths are looked at."""
    last, at = None, 0
    while (length := _length(body, at)) is not None:
        last, at = at, at + length
    return None if last is None else _frame(body, last)


def chunks(body: bytes) -> bytes:
    """Return what stands in base64 in the frames of a body, all together."""
    return b"".join(_decoded(found[1]) for found in _CHUNK.finditer(body))


def cleaned(body: bytes, clean: Callable[[bytes], bytes]) -> bytes:
    """Return the body with ``clean`` done to what is in its frames, also within base64, under new checksums.

    ``clean`` keeps lengths.
    """
    made: list[bytes] = []
    at = 0
    for frame in frames(body):
        payload_at = frame.end - _CHECKSUM.size - len(frame.payload)
        start = at + _PRELUDE.size
        sealed = body[at:start] + clean(body[start:payload_at]) + clean(_clean_chunk(frame, clean))
        made.append(sealed + _CHECKSUM.pack(crc32(sealed)))
        at = frame.end
    return b"".join([*made, clean(body[at:])])


def _clean_chunk(frame: Frame, clean: Callable[[bytes], bytes]) -> bytes:
    plain = _CHUNK.match(frame.payload)
    if plain is None:
        return frame.payload
    data = b2a_base64(clean(frame.chunk), newline=False)
    same = len(data) == len(plain[1])
    return frame.payload[: plain.start(1)] + data + frame.payload[plain.end(1) :] if same else frame.payload


def _length(body: bytes, at: int) -> int | None:
    """Bytes of the frame that begins here, or None where no whole one can."""
    if len(body) - at < _AROUND:
        return None
    total, headers, _ = _PRELUDE.unpack_from(body, at)
    payload = total - headers - _AROUND
    fits = headers <= _MOST_HEADERS and 0 <= payload <= _MOST_PAYLOAD and total <= len(body) - at
    return total if fits else None


def _frame(body: bytes, at: int) -> Frame | None:
    total = _length(body, at)
    if total is None:
        return None
    _, length, checksum = _PRELUDE.unpack_from(body, at)
    frame = memoryview(body)[at : at + total]
    if crc32(frame[:_COVERED]) != checksum:
        return None
    if crc32(frame[: -_CHECKSUM.size]) != _CHECKSUM.unpack_from(frame, total - _CHECKSUM.size)[0]:
        return None
    start = _PRELUDE.size + length
    headers = _headers(bytes(frame[_PRELUDE.size : start]))
    if headers is None:
        return None
    return Frame(headers, bytes(frame[start : -_CHECKSUM.size]), at + total)


@lru_cache(maxsize=64)  # a stream has few kinds of events, many times
def _headers(block: bytes) -> dict[str, str] | None:
    """The headers with texts, or None for what is no block of headers."""
    found: dict[str, str] = {}
    at, end = 0, len(block)
    while at < end:
        name_at = at + 1
        at = name_at + block[at]
        if at >= end:
            return None
        name, kind = block[name_at:at], block[at]
        at += 1
        if kind in (_BINARY, _TEXT):
            size = int.from_bytes(block[at : at + 2])
            at += 2
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            return None
        value = block[at : at + size]
        at += size
        if at > end:
            return None
        if kind == _TEXT:
            found[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return found
