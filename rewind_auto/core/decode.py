"""Removes content encodings: one function for display, matching, usage and replay into another library."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

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

    One that is not so coded after all, or unpacks to more than `READABLE` bytes, stays as it is.
    """
    if not request.body or not any(name.lower() == _CODING for name, _ in request.headers):
        return request
    body = decode(Head(0, request.headers), request.body)
    if body == request.body or len(body) >= READABLE:
        return request
    headers = tuple(pair for pair in request.headers if pair[0].lower() != _CODING)
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
    except Exception:  # noqa: BLE001 - codecs share no base error; an undecodable body is shown raw
        return body


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
    return lambda data, _most: data


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
    module = _first("compression.zstd", "backports.zstd", "zstandard")  # standard library, 3.14; its backport
    decoder = module.ZstdDecompressor()
    if not hasattr(decoder, "decompressobj"):
        return lambda data, most: decoder.decompress(data, most or -1)
    whole = decoder.decompressobj()

    def pieces(data: bytes) -> Iterator[bytes]:
        for piece in _small(data):
            if whole.eof:
                return
            yield whole.decompress(piece)

    def feed(data: bytes, most: int) -> bytes:
        return _upto(most, pieces(data)) if most else whole.decompress(data)

    return feed


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
