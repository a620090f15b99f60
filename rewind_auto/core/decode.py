"""Removes content encodings: one function for display, matching, usage and replay into another library."""

from __future__ import annotations

import zlib
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


def _decode(coding: str, body: bytes) -> bytes:
    try:
        if coding in ("gzip", "x-gzip"):
            return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body)
        if coding == "deflate":
            try:
                return zlib.decompressobj().decompress(body)
            except zlib.error:
                return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body)  # servers that send raw deflate
        if coding == "br":
            return _brotli(body)
        if coding == "zstd":
            return _zstd(body)
    except Exception:  # noqa: BLE001 - codecs share no base error; an undecodable body is shown raw
        return body
    return body


def _first(*names: str) -> Any:
    """The first of these modules that is installed."""
    for name in names[:-1]:
        try:
            return import_module(name)
        except ImportError:
            continue
    return import_module(names[-1])


def _brotli(body: bytes) -> bytes:
    decoder: Any = _first("brotli", "brotlicffi").Decompressor()
    process = getattr(decoder, "process", None) or decoder.decompress
    parts = [process(body)]
    while parts[-1] and not decoder.is_finished():  # brotli 1.2 gives a truncated body 32 KB at a time
        parts.append(process(b""))
    return b"".join(parts)


def _zstd(body: bytes) -> bytes:
    module = _first("compression.zstd", "backports.zstd", "zstandard")  # standard library, 3.14; its backport
    decoder = module.ZstdDecompressor()
    if hasattr(decoder, "decompressobj"):
        decoder = decoder.decompressobj()
    return bytes(decoder.decompress(body))
