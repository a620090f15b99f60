"""Removes content encodings: one function for display, matching, usage and replay into another library."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

from rewind_auto.core.model import Head


def content_encoding(head: Head) -> tuple[str, ...]:
    """Codings still on the body, in the order they were applied."""
    if not head.wire:
        return ()
    values = [v.decode("latin-1").lower() for n, v in head.headers if n.lower() == b"content-encoding"]
    return tuple(
        c for value in values for c in (part.strip() for part in value.split(",")) if c and c != "identity"
    )


def decode(head: Head, body: bytes) -> bytes:
    """The body as the program read it.

    A truncated body gives what can be had of it. A coding that nothing installed here understands
    leaves the bytes as they are.
    """
    for coding in reversed(content_encoding(head)):
        body = _decode(coding, body)
    return body


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
            data = stage(data)
        return data


def _decode(coding: str, body: bytes) -> bytes:
    try:
        return _stage(coding)(body)
    except Exception:  # noqa: BLE001 - codecs share no base error; an undecodable body is shown raw
        return body


def _stage(coding: str) -> Callable[[bytes], bytes]:
    """A function that takes one coding off, a piece at a time."""
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
    return bytes


class _Deflate:
    """deflate, which some servers send without the zlib format around it."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self._first = True

    def __call__(self, data: bytes) -> bytes:
        if not (self._first and data):
            return self._inner.decompress(data)
        self._first = False
        try:
            return self._inner.decompress(data)
        except zlib.error:
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._inner.decompress(data)


def _first(*names: str) -> Any:
    """The first of these modules that is installed."""
    for name in names[:-1]:
        try:
            return import_module(name)
        except ImportError:
            continue
    return import_module(names[-1])


def _brotli() -> Callable[[bytes], bytes]:
    decoder: Any = _first("brotli", "brotlicffi").Decompressor()
    process = getattr(decoder, "process", None) or decoder.decompress

    def feed(data: bytes) -> bytes:
        parts = [process(data)]
        while parts[-1] and not decoder.is_finished():  # brotli 1.2 gives a truncated body 32 KB at a time
            parts.append(process(b""))
        return b"".join(parts)

    return feed


def _zstd() -> Callable[[bytes], bytes]:
    module = _first("compression.zstd", "backports.zstd", "zstandard")  # standard library, 3.14; its backport
    decoder = module.ZstdDecompressor()
    if hasattr(decoder, "decompressobj"):
        decoder = decoder.decompressobj()
    feed: Callable[[bytes], bytes] = decoder.decompress
    return feed
