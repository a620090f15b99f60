"""Answers that no provider should give: the program sees of them what it sees without us."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading

import aiohttp
import pytest
from drivers import ASYNC_DRIVERS
from servers import CUT, answer, chunked, head, reply

from rewind_auto.core.model import Ending

CHAT = "/v1/chat/completions"
ASK = b'{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"hi"}]}'
JSON = ("Content-Type", "application/json")
EVENTS = ("Content-Type", "text/event-stream")
NDJSON = ("Content-Type", "application/x-ndjson")
PIECE = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
DEEP = 100_000
NUMBERS = b"1" * 5000, b"1e400", b"-1e-400", b"NaN", b"-Infinity", b"123456789012345678901234567890.5e25"
USAGE = b'"prompt_tokens":%b,"completion_tokens":1'


def nested(opening: bytes, depth: int) -> bytes:
    return opening * depth + b"1" + {b"[": b"]", b'{"a":': b"}"}[opening] * depth


def chat(message: bytes, usage: bytes = b"") -> bytes:
    return b'{"id":"c","model":"m","choices":[{"message":%b,"finish_reason":"stop"}],"usage":{%b}}' % (
        message,
        usage,
    )


def packed(coding: str) -> list:
    return reply(b"", headers=[JSON, ("Content-Encoding", coding)])


ODD = {
    "invalid-utf-8": chunked([b'data: {"a":"\xff\xfe\xc3"}\n\n', b"data: \xed\xa0\x80\n\n"]),
    "sse-without-a-blank-line": chunked([PIECE.rstrip(), b"\n", PIECE.rstrip()]),
    "sse-with-cr-only": chunked([PIECE.replace(b"\n", b"\r"), b"data: [DONE]\r\r"]),
    "sse-with-a-line-of-a-megabyte": chunked([b'data: {"a":"', *[b"x" * 65536] * 16, b'"}\n\n', PIECE]),
    "sse-with-nul-bytes": chunked([b"data: \x00\x00\n\n", b"\x00", PIECE, b"event: \x00\ndata: 1\n\n"]),
    "sse-with-a-bom": chunked([b"\xef\xbb\xbf" + PIECE, b"\xef\xbb\xbf", PIECE]),
    "sse-of-nothing-but-comments": chunked([b": ping\n\n"] * 5 + [b"data\n\n", b"id: 1\nretry: x\n\n"]),
    "sse-said-to-be-json": chunked([PIECE, b"data: [DONE]\n\n"], [JSON]),
    "json-said-to-be-sse": chunked([chat(b"{}")], [EVENTS]),
    "too-short-a-length": reply(chat(b"{}"), headers=[JSON], length=9),
    "two-equal-lengths": [head(200, [JSON, ("Content-Length", "2"), ("Content-Length", "2")]) + b"{}"],
    "two-lengths": [head(200, [JSON, ("Content-Length", "2"), ("Content-Length", "3")]) + b"{}", CUT],
    "a-length-that-is-none": [head(200, [JSON, ("Content-Length", "two")]) + b"{}", CUT],
    "length-and-chunks": [
        head(200, [JSON, ("Content-Length", "9"), ("Transfer-Encoding", "chunked")]),
        b"2\r\n{}\r\n0\r\n\r\n",
        CUT,
    ],
    "repeated-types": reply(b"{}", headers=[JSON, EVENTS, ("content-type", "a/b"), *[("X-A", "1")] * 2]),
    "a-header-of-64-kb": reply(b"{}", headers=[JSON, ("X-Large", "v" * 65_000)]),
    "200-headers": reply(b"{}", headers=[JSON, *((f"X-{number}", "v" * 100) for number in range(200))]),
    "empty-gzip": packed("gzip"),
    "empty-deflate": packed("deflate"),
    "empty-br": packed("br"),
    "empty-zstd": packed("zstd"),
    "empty-in-many-codings": packed("gzip, , br,GZIP , identity"),
    "empty-chunked-gzip": chunked([], [JSON, ("Content-Encoding", "gzip")]),
    "no-content-in-gzip": reply(b"", 204, [("Content-Encoding", "gzip")], reason="No Content"),
    "gzip-of-nothing": reply(gzip.compress(b""), headers=[JSON, ("Content-Encoding", "gzip")]),
    "gzip-and-more": reply(
        gzip.compress(chat(b"{}")) + b"trailing", headers=[JSON, ("Content-Encoding", "gzip")]
    ),
    "two-gzip-members": reply(
        gzip.compress(b'{"a":1,') + gzip.compress(b'"b":2}'), headers=[JSON, ("Content-Encoding", "gzip")]
    ),
    "nested-lists": reply(nested(b"[", DEEP), headers=[JSON]),
    "nested-objects": reply(nested(b'{"a":', DEEP), headers=[JSON]),
    "nested-in-an-answer": reply(
        chat(b'{"content":%b}' % nested(b"[", DEEP)), headers=[JSON]
    ),
    "nested-in-a-stream": chunked([b"data: %b\n\n" % nested(b'{"a":', DEEP), PIECE, b"data: [DONE]\n\n"]),
    "nested-in-an-error": reply(b'{"error":%b}' % nested(b'{"a":', DEEP), 400, [JSON]),
    "huge-numbers": chunked(
        [chat(b"{}", USAGE % number) + b"\n" for number in NUMBERS], [NDJSON]
    ),
    "names-given-twice": reply(
        b'{"model":"a","model":"b","usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2},"choices":1,"choices":[]}',
        headers=[JSON],
    ),
}  # fmt: skip


LARGE = [
    name for name, acts in ODD.items() if sum(len(act) for act in acts if isinstance(act, bytes)) > 99_999
]


@pytest.mark.parametrize(
    ("name", "manner"),
    [(name, manner) for name in ODD for manner in (["raw"] if name in LARGE else ["buffered", "lines"])],
)
def test_an_odd_answer_is_the_same(trial, server, driver, manner, name):
    server.on(CHAT, ODD[name])

    async def scenario():
        async with driver.client() as client:
            got = await driver.exchange(client, "POST", server.url + CHAT, manner, content=ASK)
        got.by_arrival |= name in LARGE
        return got

    trial.check(scenario)


@pytest.mark.parametrize("number", range(len(NUMBERS)))
def test_a_huge_number_in_the_usage(trial, server, driver, number):
    server.on(CHAT, reply(chat(b"{}", USAGE % NUMBERS[number]), headers=[JSON]))

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", server.url + CHAT, content=ASK)

    trial.check(scenario)


# The depths at which Python's parsers and Python's own calls give up, which differ by version.
DEPTHS = [100, 300, 480, 700, 960, 1500, 5000, 50_000]


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_question_nested_deeply(trial, server, driver, depth):
    server.on(CHAT, reply(chat(b'{"content":%b}' % nested(b"[", depth)), headers=[JSON]))
    deep = nested(b'{"a":', depth)
    ask = b'{"messages":[{"role":"user","content":[%b],"id":"call_abcdef"}],"tools":[%b],"user":%b}' % (
        (deep,) * 3
    )

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", server.url + CHAT, content=ask)

    trial.check(scenario)


def test_names_given_twice_in_a_question(trial, server, driver):
    """What a provider makes of them is its own affair: those are two questions."""
    server.on(CHAT, lambda seen: answer({"asked": len(seen.body)}))
    questions = [b'{"model":"a","model":"b"}', b'{"model":"b"}', b'{"model":"b","model":"a"}']

    async def scenario():
        async with driver.client() as client:
            return [
                await driver.exchange(client, "POST", server.url + CHAT, content=ask) for ask in questions
            ]

    trial.check(scenario)


def test_a_stream_of_ten_thousand_chunks(trial, server, driver):
    events = [b'data: {"n":%d}\n\n' % number for number in range(10_000)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    server.on(CHAT, [head(200, [EVENTS, ("Transfer-Encoding", "chunked")]), framed, b"0\r\n\r\n"])

    async def scenario():
        async with driver.client() as client:
            got = await driver.exchange(client, "POST", server.url + CHAT, "lines", content=ASK)
        return json.dumps([str(line) for line in got.pieces]), got.error

    [step] = trial.check(scenario)
    assert step.complete


def test_a_stream_without_an_end(trial, server, driver):
    """The program has enough of it at some time."""

    def without_end(connection):
        connection.sendall(head(200, [EVENTS, ("Transfer-Encoding", "chunked")]))
        while True:
            connection.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))

    server.on(CHAT, [without_end])

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", server.url + CHAT, "lines", take=500, content=ASK)

    plain, _ = trial.plain(scenario)
    recorded, _ = trial.record(scenario)
    replayed = trial.replay(scenario)
    assert len(plain.pieces) == 500
    assert replayed.pieces == recorded.pieces == plain.pieces
    assert plain.error is recorded.error is replayed.error is None
    assert trial.endings() == [Ending.CLOSED]


@pytest.mark.slow
@pytest.mark.parametrize("driver", ASYNC_DRIVERS, ids=repr)
def test_a_thousand_streams_at_once(trial, server, driver):
    """All are open before the first goes on."""
    count, begun = 1000, threading.Barrier(1000)

    def act(seen):
        def stream(connection):
            connection.sendall(head(200, [EVENTS, ("Transfer-Encoding", "chunked")]))
            begun.wait(60)
            connection.sendall(b"".join(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) for _ in range(5)))
            connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(seen.body), seen.body))

        return [stream]

    server.on(CHAT, act)

    async def scenario():
        wide = {"limits": driver.module.Limits(max_connections=None)} if "httpx" in driver.id else {}
        if not wide:
            wide = {"connector": aiohttp.TCPConnector(limit=0)}
        async with driver.client(timeout=120, **wide) as client:
            got = await asyncio.gather(
                *(
                    driver.exchange(client, "POST", server.url + CHAT, "raw", content=b'{"n":%d}' % number)
                    for number in range(count)
                )
            )
        assert [one.error for one in got if one.error is not None] == []
        return [one.body for one in got]

    assert len(trial.check(scenario)) == count
