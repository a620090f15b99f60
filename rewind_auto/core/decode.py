"""Removes content encodings: one function for display, matching, usage and replay into another library."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from rewind_auto.core import guard
from rewind_auto.core.model import Head, Request

READABLE = 32 << 20  # bytes of an answer that are read for what it says
_CODING = b"content-encoding"
_SMALL = 512  # bytes


def content_encoding(head: Head) -> tuple[str, ...]:
    """Codings still on the body, in the order they were applied."""
    if not head.wire:
        return ()
    values = [v.decode("latin-1").lower() for n, v in head.headers if n.lower() == b"content-encoding"]
    return tuple(
        c for value in values for c in (part.strip() for part in value.split(",")) if c and c != "identity"
    )


def decode(head: Head, body: bytes, most: int = READABLE) -> bytes:
    """The body as the program read it, up to ``most`` bytes: a few kilobytes can stand for gigabytes.

    A truncated body gives what can be had of it. A coding that nothing installed here understands
    leaves the bytes as they are, and so does no coding at all, however many they are.
    """
    for coding in reversed(content_encoding(head)):
        body = _decode(coding, body, most)
    return body


def uncoded(request: Request) -> Request:
    """The request as it is kept: with its content codings taken off, which differ from one time to the next.

    Of gzip and zstd all members are read, and what follows is kept: requests that differ there are not equal.
    A body that is not so coded after all, or unpacks to `READABLE` bytes or more, stays as it is; so does a
    coding that nothing installed here understands, with all that is below it.
    """
    if not request.body or not any(name.lower() == _CODING for name, _ in request.headers):
        return request
    body, codings = request.body, content_encoding(Head(0, request.headers))
    while codings and (plain := _all(codings[-1], body)):
        body, codings = plain, codings[:-1]
        if len(body) >= READABLE:
            return request
    if body is request.body:
        return request
    headers = tuple(pair for pair in request.headers if pair[0].lower() != _CODING)
    if codings:
        headers = (*headers, (_CODING, ", ".join(codings).encode("latin-1")))
    return replace(request, body=body, headers=headers)


def is_cut(head: Head, decoded: bytes) -> bool:
    """Whether `decode` stopped before the end of a body."""
    return len(decoded) >= READABLE and bool(content_encoding(head))


class Decoder:
    """`decode`, piece by piece: what each piece of the body adds to what can be read.

    Raises:
        Exception: from `feed`, the codec's own, for what is no such body.
    """

    def __init__(self, head: Head) -> None:
        self._stages = [_stage(coding) for coding in reversed(content_encoding(head))]

    def feed(self, data: bytes) -> bytes:
        """What one more piece gives, which may be nothing yet."""
        for stage in self._stages:
            data = stage(data, 0)
        return data


# Takes one coding off, a piece at a time: at most so many bytes, and the rest is lost; 0 for all of them.
_Stage = Callable[[bytes, int], bytes]


def _decode(coding: str, body: bytes, most: int) -> bytes:
    try:
        return _stage(coding)(body, most)
    except Exception as error:  # noqa: BLE001 - codecs share no base error; an undecodable body is shown raw
        guard.not_programs(error, thrown=False)
        return body


def _all(coding: str, body: bytes) -> bytes:
    """The body without a coding; nothing if it is not so coded, or nothing here understands it."""
    try:
        if coding in ("gzip", "x-gzip"):
            return _members(lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), body)
        if coding == "zstd":
            return _members(_zstd_frame(), body)
        stage = _stage(coding)
        return b"" if stage is _as_it_is else stage(body, READABLE)
    except Exception as error:  # noqa: BLE001 - codecs share no base error, and one may not be installed
        guard.not_programs(error, thrown=False)
        return b""


def _members(new: Callable[[], Any], body: bytes) -> bytes:
    """What all members of a body give, up to `READABLE` bytes and a little: as gzip (RFC 1952) has them.

    What follows the last of them, and is none, comes as it is. In small pieces: what a decoder leaves of one
    is copied, and a body may have a million members.
    """
    kept: list[bytes] = []
    size = start = end = whole = 0
    decoder = new()
    for piece in _small(body):
        left = piece
        end += len(piece)
        try:
            while left and size < READABLE:
                kept.append(decoder.decompress(left))
                size += len(kept[-1])
                if not decoder.eof:
                    break
                left, decoder = decoder.unused_data, new()
                start, whole = end - len(left), len(kept)
        except Exception as error:
            guard.not_programs(error, thrown=False)
            if not start:
                raise
            return b"".join([*kept[:whole], body[start:]])
    return b"".join(kept)


def _stage(coding: str) -> _Stage:
    try:
        if coding in ("gzip", "x-gzip"):
            return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
        if coding == "deflate":
            return _Deflate()
        if coding == "br":
            return _brotli()
        if coding == "zstd":
            return _zstd()
    except ImportError:
        pass
    return _as_it_is


def _as_it_is(data: bytes, _most: int) -> bytes:
    return data


class _Deflate:
    """deflate, which some servers send without the zlib format around it."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self._first = True

    def __call__(self, data: bytes, most: int) -> bytes:
        if not (self._first and data):
            return self._inner.decompress(data, most)
        self._first = False
        try:
            return self._inner.decompress(data, most)
        except zlib.error:
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._inner.decompress(data, most)


def _first(*names: str) -> Any:
    """The first of these modules that is installed."""
    for name in names[:-1]:
        try:
            return import_module(name)
        except ImportError:
            continue
    return import_module(names[-1])


def _brotli() -> _Stage:
    decoder: Any = _first("brotli", "brotlicffi").Decompressor()
    process = getattr(decoder, "process", None) or decoder.decompress

    def feed(data: bytes, most: int) -> bytes:
        if not most:
            return b"".join(_emptied(process, process(data), decoder))
        try:
            return _upto(most, _emptied(process, process(data, output_buffer_limit=most), decoder))
        except TypeError:  # brotli before 1.2 gives all at once that a piece stands for
            return _upto(most, (process(piece) for piece in _small(data)))

    return feed


def _emptied(process: Any, given: bytes, decoder: Any) -> Iterator[bytes]:
    while True:
        yield given
        if not given or decoder.is_finished():  # brotli 1.2 gives a truncated body 32 KB at a time
            return
        given = process(b"")


def _zstd() -> _Stage:
    decoder = _zstd_frame()()
    if hasattr(decoder, "needs_input"):
        return lambda data, most: decoder.decompress(data, most or -1)

    def pieces(data: bytes) -> Iterator[bytes]:
        for piece in _small(data):
            if decoder.eof:
                return
            yield decoder.decompress(piece)

    def feed(data: bytes, most: int) -> bytes:
        return _upto(most, pieces(data)) if most else decoder.decompress(data)

    return feed


def _zstd_frame() -> Callable[[], Any]:
    """What makes a decoder of one frame."""
    module = _first("compression.zstd", "backports.zstd", "zstandard")  # standard library, 3.14; its backport
    if hasattr(module.ZstdDecompressor, "decompressobj"):
        return lambda: module.ZstdDecompressor().decompressobj()
    return module.ZstdDecompressor  # type: ignore[no-any-return]


def _small(data: bytes) -> Iterator[bytes]:
    """Pieces for a decoder that cannot be told how much to give.

    A block of zstd has four bytes at least, and gives 128 KB at most.
    """
    return (data[at : at + _SMALL] for at in range(0, len(data), _SMALL))


def _upto(most: int, pieces: Iterator[bytes]) -> bytes:
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        kept.append(piece[: most - size])
        size += len(kept[-1])
        if size == most:
            break
    return b"".join(kept)
