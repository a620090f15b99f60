"""Every kind of answer, read in every manner."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from drivers import MANNERS
from servers import CUT, RESET, answer, chunked, head, reply, sse

from rewind_auto.core.model import Ending

TEXT = "Grüße, 世界 — 🦜\r\nzweite Zeile\nthird\r".encode()
PARTS = [TEXT[:4], TEXT[4:9], TEXT[9:14], TEXT[14:]]  # no cut of these is at the border of a character
TYPE = ("Content-Type", "text/plain; charset=utf-8")


def packed(coding: str) -> bytes:
    body = TEXT * 20
    return {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.compress,
    }[coding](body)


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


ANSWERS = {
    "json": answer({"id": 1, "text": "hello"}),
    "empty": reply(b""),
    "empty-chunked": chunked([]),
    "no-content": reply(status=204, reason="No Content"),
    "not-modified": reply(status=304, headers=[("ETag", '"x"')], reason="Not Modified"),
    "error-with-body": answer({"error": {"message": "no"}}, 500),
    "own-reason": reply(b"x", 299, reason="Quite Fine"),
    "no-reason": [b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"],
    "http-1.0": [b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"until the end", CUT],
    "repeated-headers": reply(
        b"x", headers=[("X-A", "1"), ("Via", "a"), ("x-a", "2"), ("VIA", "b"), ("X-A", "1")]
    ),
    "odd-headers": reply(
        b"x", headers=[("X-Latin", b"caf\xe9"), ("X-Utf8", "🦜".encode()), ("X-Empty", ""), ("x-t", b"a\tb")]
    ),
    "link": reply(b"x", headers=[("Link", '<https://e.example/2>; rel="next"')]),
    "split-characters": chunked(PARTS, [TYPE]),
    "slow-chunks": chunked([b"one\n", b"two\n", b"three"], pause=0.01),
    "one-byte-chunks": chunked([bytes([byte]) for byte in TEXT], [TYPE]),
    "sse": sse('{"a":1}', '{"a":2}'),
    "sse-and-more": sse("1", end=[b"5\r\nmore\n\r\n", b"3\r\nxyz\r\n", b"0\r\n\r\n"]),
    "trailers": chunked([b"body"], end=[b"0\r\nX-Trailer: 1\r\n\r\n"]),
    "early-hints": [head(103, [("Link", "</a>")], "Early Hints"), *answer({"a": 1})],
    "gzip": reply(packed("gzip"), headers=[TYPE, ("Content-Encoding", "gzip")]),
    "gzip-chunked": chunked(cut(packed("gzip"), 30), [TYPE, ("Content-Encoding", "gzip")]),
    "deflate-chunked": chunked(cut(packed("deflate"), 30), [TYPE, ("Content-Encoding", "deflate")]),
    "br-chunked": chunked(cut(packed("br"), 30), [TYPE, ("Content-Encoding", "br")]),
    "zstd-chunked": chunked(cut(packed("zstd"), 30), [TYPE, ("Content-Encoding", "zstd")]),
    "two-codings": reply(gzip.compress(packed("br")), headers=[TYPE, ("Content-Encoding", "br, gzip")]),
    "unknown-coding": reply(TEXT, headers=[("Content-Encoding", "rot13")]),
    "binary": reply(bytes(range(256)) * 3, headers=[("Content-Type", "application/octet-stream")]),
}

BROKEN = {
    "corrupt-gzip": (reply(b"\x1f\x8bnothing of the kind", headers=[("Content-Encoding", "gzip")]), 0),
    "short": ([*reply(b"only this", length=100), CUT], Ending.FAULT),
    "cut-midway": (chunked([b"one\n", b"two\n"], end=[0.01, CUT]), Ending.FAULT),
    "reset-midway": (chunked([b"one\n", b"two\n"], end=[0.02, RESET]), Ending.FAULT),
    "cut-in-a-chunk": (chunked([b"one\n"], end=[b"ff\r\nabc", 0.01, CUT]), Ending.FAULT),
    "bad-chunk": (chunked([b"one\n"], end=[b"not a number\r\n"]), Ending.FAULT),
    "no-answer": ([CUT], Ending.FAULT),
    "reset-before-the-head": ([RESET], Ending.FAULT),
    "no-http": ([b"SSH-2.0-OpenSSH_9.6\r\n\r\n", CUT], Ending.FAULT),
}


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_the_same(trial, server, driver, manner, name):
    server.on("/v1/x", ANSWERS[name])

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x?q=1", manner, content=b'{"a":1}')

    [step] = trial.check(scenario)
    assert step.complete
    assert step.status
    assert step.error is None
    assert step.library == driver.library


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_breaks_the_same_way(trial, server, driver, manner, name):
    if driver.library == "aiohttp" and name == "bad-chunk":
        pytest.skip("the library itself may wait for ever then")
    acts, ending = BROKEN[name]
    server.on("/v1/x", acts)

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", manner)

    plain, _ = trial.plain(scenario)
    if name == "short" and plain.error is None:
        pytest.skip("this release does not mind")
    assert plain.error or name == "corrupt-gzip", "the scenario breaks nothing"
    [step] = trial.check(scenario)
    if ending:
        assert trial.endings() == [ending]
        assert not step.complete
        assert driver.names(step.error, plain.error)


@pytest.mark.parametrize("manner", MANNERS)
def test_a_large_answer(trial, server, driver, manner):
    """Where it is cut is up to the network, so only the replay has to cut it as recorded."""
    server.on("/v1/x", reply(b"0123456789abcdef\n" * 20_000))
    pieces = {}

    async def scenario():
        async with driver.client() as client:
            got = await driver.exchange(client, "GET", f"{server.url}/v1/x", manner)
        pieces[len(pieces)] = got.pieces
        return got.body, got.error

    trial.check(scenario)
    assert pieces[2] == pieces[1]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "PATCH"])
def test_methods(trial, server, driver, method):
    server.on(
        "/v1/x",
        reply(b"" if method == "HEAD" else b"here", length=4, headers=[("Content-Type", "text/plain")]),
    )

    async def scenario():
        async with driver.client() as client:
            return [await driver.exchange(client, method, f"{server.url}/v1/x", manner) for manner in MANNERS]

    steps = trial.check(scenario)
    assert [step.method for step in steps] == [method] * len(MANNERS)


@pytest.mark.parametrize("name", ["slow-chunks", "gzip-chunked", "split-characters"])
def test_chunk_boundaries_are_those_of_the_wire(trial, server, driver, name):
    """Not only equal in all runs: what the server sent as a chunk is a chunk."""
    if not driver.wire and name == "gzip-chunked":
        pytest.skip("the library gives no body with its coding")
    acts = ANSWERS[name]
    sent = [act.split(b"\r\n", 1)[1][:-2] for act in acts[1:-1] if isinstance(act, bytes)]
    server.on("/v1/x", acts)

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/x", "raw")

    trial.check(scenario)
    assert trial.driver.run(_pieces(trial, scenario)) == sent


async def _pieces(trial, scenario):
    recording = trial.recording()
    at, pieces = 0, []
    for length, _ in recording.cuts:
        if length:
            pieces.append(recording.body[at : at + length])
        at += length
    return pieces
