"""Removing content codings, from whole bodies and from what is left of them."""

from __future__ import annotations

import gzip
import random
import sys
import zlib

import brotli
import pytest
import zstandard

from rewind_auto.core.decode import content_encoding, decode, uncoded
from rewind_auto.core.model import Head, Request

BODY = b'{"content":"' + b"".join(b"word %d " % number for number in range(400)) + b'"}'
# Not to be compressed to a single block, of which there is nothing to be had until it is whole.
NOISE = random.Random(1).randbytes(200_000).hex().encode()


def deflated(data, bits):
    compressor = zlib.compressobj(wbits=bits)
    return compressor.compress(data) + compressor.flush()


def zstd_of(data):
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": lambda data: deflated(data, zlib.MAX_WBITS),
    "deflate, raw": lambda data: deflated(data, -zlib.MAX_WBITS),
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd, size unknown": zstd_of,
}


@pytest.fixture(params=CODINGS)
def coding(request):
    return request.param


def head(*codings, wire=True):
    return Head(200, tuple((b"Content-Encoding", coding.encode()) for coding in codings), wire=wire)


def test_whole(coding):
    name = coding.partition(",")[0]
    assert decode(head(name), CODINGS[coding](BODY)) == BODY
    assert decode(head(name.upper()), CODINGS[coding](BODY)) == BODY


def test_truncated(coding):
    """What can be had of it, however little is there."""
    name, packed = coding.partition(",")[0], CODINGS[coding](NOISE)
    assert decode(head(name), b"") == b""
    got = [decode(head(name), packed[: len(packed) * tenth // 10]) for tenth in range(1, 10)]
    assert all(NOISE.startswith(part) for part in got)
    assert got[2] == b"" or len(got[2]) > 50_000
    assert len(got[-1]) > 250_000
    for length in range(1, 20):
        assert decode(head(name), packed[:length]) in (b"", packed[:length], NOISE[:length])


def test_damaged_or_not_coded_at_all(coding):
    """Shown as it is rather than not at all."""
    name, packed = coding.partition(",")[0], CODINGS[coding](BODY)
    assert decode(head(name), b"this was never compressed") == b"this was never compressed"
    middle = len(packed) // 2
    damaged = packed[:middle] + bytes(200) + packed[middle + 200 :]
    assert isinstance(decode(head(name), damaged), bytes)


def test_several_codings():
    packed = gzip.compress(zlib.compress(BODY))
    for codings in (
        ("deflate, gzip",),
        ("deflate", "gzip"),
        (" deflate ,, GZIP ",),
        ("deflate", "identity, gzip"),
    ):
        assert decode(head(*codings), packed) == BODY
        assert content_encoding(head(*codings)) == ("deflate", "gzip")


def test_nothing_to_remove():
    assert decode(head(), BODY) == BODY
    assert decode(head("identity"), BODY) == BODY
    assert decode(head("gzip", wire=False), BODY) == BODY
    assert decode(head("compress"), BODY) == BODY
    assert decode(head("gzip"), b"") == b""


@pytest.mark.parametrize(
    ("name", "modules"),
    [("br", ("brotli", "brotlicffi")), ("zstd", ("compression.zstd", "backports.zstd", "zstandard"))],
)
def test_a_coding_that_nothing_here_understands(monkeypatch, name, modules):
    packed = CODINGS[name](BODY)
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    assert decode(head(name), packed) == packed


@pytest.mark.parametrize("module", ["backports.zstd", "zstandard"])
def test_every_module_that_knows_zstd(monkeypatch, module):
    pytest.importorskip(module)
    for other in {"compression.zstd", "backports.zstd", "zstandard"} - {module}:
        monkeypatch.setitem(sys.modules, other, None)
    packed = CODINGS["zstd, size unknown"](BODY * 20)
    assert decode(head("zstd"), packed) == BODY * 20
    assert (BODY * 20).startswith(decode(head("zstd"), packed[: len(packed) // 2]))


def test_a_request_of_a_million_members():
    """In a time that grows with its length alone, and no further than is read."""
    body = gzip.compress(b"") * 700_000
    request = Request("POST", "http://host/", ((b"Content-Encoding", b"gzip"),), body + gzip.compress(b"end"))
    assert uncoded(request).body == b"end"


def test_a_request_below_a_coding_that_is_unknown():
    """The known ones above it are taken off, and the headers say what is left."""
    inside = b"of a coding that nobody knows"
    headers = ((b"content-encoding", b"unheard-of, gzip"), (b"A", b"b"), (b"Content-Encoding", b"br"))
    packed = brotli.compress(gzip.compress(inside))
    assert uncoded(Request("POST", "http://host/", headers, packed)) == Request(
        "POST", "http://host/", ((b"A", b"b"), (b"content-encoding", b"unheard-of")), inside
    )
