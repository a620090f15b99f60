"""aiohttp: every way in which a program can read a body."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from drivers import DRIVERS
from servers import CUT, chunked, head, reply

from rewind_auto.core.model import Ending

CHUNKS = [b"first line\nsecond", b" line\n\n", b"x" * 30, b"\nthe end"]
WHOLE = b"".join(CHUNKS)


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


@pytest.fixture(params=["chunked", "length"])
def body(request, server):
    """The same body, in HTTP chunks or at once."""
    server.on("/v1/x", chunked(CHUNKS, pause=0.01) if request.param == "chunked" else reply(WHOLE))
    return request.param


def reading(driver, server, read, **options):
    """A program that reads one response, and what it gets of it."""

    async def scenario():
        async with driver.client() as client, client.session.get(f"{server.url}/v1/x", **options) as response:
            try:
                got = await read(response)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
                got = driver.failed(error)
            return got, response.content.exception(), driver.look(response)

    return scenario


async def all_of(iterator):
    return [item async for item in iterator]


async def until_empty(read):
    pieces = []
    while piece := await read():
        pieces.append(piece)
    return pieces


async def until_at_eof(content, n):
    pieces = []
    while not content.at_eof():
        pieces.append(await content.read(n))
    return b"".join(pieces)  # whether an empty one is among them is up to when the end came


async def exactly(content, *sizes):
    return [await content.readexactly(size) for size in sizes]


async def partial(content):
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await content.readexactly(1000)
    return caught.value.partial, caught.value.expected, await content.read()


async def after_the_end(content):
    await content.wait_eof()
    return content.is_eof(), content.at_eof(), content.read_nowait(5), content.read_nowait()


async def in_turns(content):
    seen = [await content.read(3), await content.readline(), await content.readuntil(b"ne"), content.at_eof()]
    return [*seen, await content.readexactly(10), b"".join(await until_empty(lambda: content.read(7)))]


READS = {
    "read": lambda r: r.read(),
    "read twice": lambda r: asyncio.wait_for(read_twice(r), 5),
    "text": lambda r: r.text(),
    "content.read": lambda r: r.content.read(),
    "read(0)": lambda r: both(r.content.read(0), r.content.read()),
    "lines": lambda r: all_of(r.content),
    "readline": lambda r: until_empty(r.content.readline),
    "readuntil": lambda r: until_empty(lambda: r.content.readuntil(b"ne")),
    "readuntil nothing": lambda r: r.content.readuntil(b""),
    "iter_chunked": lambda r: all_joined(r.content.iter_chunked(7)),
    "exactly": lambda r: exactly(r.content, 3, 0, 20, len(WHOLE) - 23),
    "too little": lambda r: partial(r.content),
    "until at_eof": lambda r: until_at_eof(r.content, 9),
    "wait_eof": lambda r: after_the_end(r.content),
    "in turns": lambda r: in_turns(r.content),
}


async def read_twice(response):
    return await response.read(), await response.read(), await response.text(), await response.content.read()


async def both(first, second):
    return await first, await second


async def all_joined(iterator):
    return b"".join(await all_of(iterator))


@pytest.mark.parametrize("name", READS)
def test_what_is_read_is_the_same(trial, server, driver, body, name):
    [step] = trial.check(reading(driver, server, READS[name]))
    if name == "readuntil nothing":
        assert trial.endings() == [Ending.CLOSED]
        return
    assert trial.recording().body == WHOLE
    assert step.complete or name == "exactly"  # who asks for no more than there is does not see the end


@pytest.mark.parametrize("name", ["readany", "iter_any", "iter_chunked", "read(n)"])
def test_pieces_as_they_arrive(trial, server, driver, body, name):
    """Where the network cuts them is its own affair; a replay cuts them as recorded."""
    reads = {
        "readany": lambda r: until_empty(r.content.readany),
        "iter_any": lambda r: all_of(r.content.iter_any()),
        "iter_chunked": lambda r: all_of(r.content.iter_chunked(20)),
        "read(n)": lambda r: until_empty(lambda: r.content.read(20)),
    }
    scenario = reading(driver, server, reads[name])
    (recorded, *_), _ = trial.record(scenario)
    assert b"".join(recorded) == WHOLE
    assert trial.replay(scenario)[0] == recorded


def pieces_of_chunks(seen):
    """HTTP chunks that arrive in parts: one in two, one with its end on its own, one in one."""
    return [
        head(200, [("Transfer-Encoding", "chunked")]),
        *(b"8\r\nhalf", 0.05, b"half\r\n"),
        *(b"4\r\nfour", 0.05, b"\r\n"),
        *(0.05, b"3\r\none\r\n", 0.05),
        b"0\r\n\r\n",
    ]


def test_the_end_of_http_chunks(trial, server, driver):
    server.on("/v1/x", pieces_of_chunks)
    scenario = reading(driver, server, lambda r: all_of(r.content.iter_chunks()))
    (plain, *_), _ = trial.plain(scenario)
    assert plain[:2] == [(b"half", False), (b"half", True)]
    assert b"".join(data for data, _ in plain) == b"halfhalffourone"
    trial.check(scenario)


def test_http_chunks_that_are_read_in_part(trial, server, driver):
    """What another reader has left of a chunk is its end."""
    server.on("/v1/x", chunked([b"hello", b"world", b"!"], pause=0.03, end=[0.03, b"0\r\n\r\n"]))

    async def read(response):
        content = response.content
        seen = [await content.read(2), await content.readchunk(), await content.readexactly(5)]
        return [*seen, *(await all_of(content.iter_chunks()))]

    scenario = reading(driver, server, read)
    plain, _ = trial.plain(scenario)
    assert plain[0][:5] == [b"he", (b"llo", True), b"world", (b"", True), (b"!", True)]  # and the last chunk
    trial.check(scenario)


def test_a_program_that_polls(trial, server, driver):
    """Nothing is asked for in a way that could be waited for."""
    server.on("/v1/x", chunked(CHUNKS, pause=0.02))

    async def read(response):
        got = b""
        while not response.content.at_eof():
            await asyncio.sleep(0.005)
            got += response.content.read_nowait()
        return got

    [step] = trial.check(reading(driver, server, read))
    assert step.complete
    assert trial.recording().body == WHOLE


def test_a_program_that_polls_for_some_time(trial, server, driver):
    server.on("/v1/x", chunked([b"one"], end=[0.2, b"3\r\ntwo\r\n0\r\n\r\n"]))

    async def read(response):
        got = []
        for _ in range(6):
            await asyncio.sleep(0.005)
            got.append(response.content.read_nowait())
        return b"".join(got)

    trial.check(reading(driver, server, read))
    assert trial.endings() == [Ending.CLOSED]


def test_a_program_that_polls_what_breaks(trial, server, driver):
    server.on("/v1/x", chunked([b"one"], end=[CUT]))

    async def read(response):
        got = []
        for _ in range(20):
            await asyncio.sleep(0.005)
            got.append(response.content.read_nowait())
        return got

    plain, _ = trial.plain(reading(driver, server, read))
    assert plain[0]["type"] is aiohttp.ClientPayloadError
    recorded, _ = trial.record(reading(driver, server, read))
    assert recorded[0] == plain[0]
    assert trial.endings() == [Ending.FAULT]
    assert trial.replay(reading(driver, server, read))[0] == plain[0]
