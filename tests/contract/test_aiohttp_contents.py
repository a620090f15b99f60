"""aiohttp: text, JSON and multipart, the bounds of what is read, and bodies as they were packed."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import warnings

import aiohttp
import pytest
import zstandard
from drivers import DRIVERS, HTTPX_ASYNC
from servers import chunked, reply
from trial import differences

from rewind_auto.core.decode import decode

WHOLE = b"first line\nsecond line\n\n" + b"x" * 30 + b"\nthe end"


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


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


def test_too_long_a_line(trial, server, driver):
    """Its error is not the end of the stream, and what was read for it is gone."""
    server.on("/v1/x", reply(b"a" * 50 + b"\n" + b"b\n"))

    async def read(response):
        seen = []
        for _ in range(3):
            try:
                seen.append(await response.content.readline())
            except Exception as error:  # noqa: BLE001
                seen.append((type(error), str(error)))
        return seen

    scenario = reading(driver, server, read, read_bufsize=8)
    plain, _ = trial.plain(scenario)
    assert isinstance(plain[0][0], tuple)
    trial.check(scenario)


def test_what_is_given_back(trial, server, driver):
    """Multipart answers are read like that: it counts once."""
    server.on("/v1/x", reply(WHOLE))

    async def read(response):
        seen = [await response.content.readexactly(12)]
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            response.content.unread_data(b"ondary ")
        return [*seen, await response.content.readline(), await response.content.read(), told[0].filename]

    scenario = reading(driver, server, read)
    recorded, _ = trial.record(scenario)
    assert differences(trial.plain(scenario)[0], recorded) == []
    assert recorded[0][3] == __file__
    assert len(trial.recording().body) == len(WHOLE)


def test_a_multipart_answer(trial, server, driver):
    parts = b"".join(
        b"--b\r\nContent-Type: text/plain\r\n\r\n%b\r\n" % part for part in (b"one\r\ntwo", b"x" * 9000, b"")
    )
    server.on("/v1/x", reply(parts + b"--b--\r\n", headers=[("Content-Type", "multipart/mixed; boundary=b")]))

    async def read(response):
        reader = aiohttp.MultipartReader.from_response(response)
        return [await part.read() async for part in reader]

    [step] = trial.check(reading(driver, server, read))
    assert step.complete


@pytest.mark.parametrize(
    "options", [{}, {"content_type": None}, {"loads": lambda text: ("own", text)}], ids=["", "any", "own"]
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x+json; charset=latin-1"])
def test_json(trial, server, driver, kind, options):
    body = '{"a": "é"}'.encode("latin-1" if "latin" in kind else "utf-8")
    server.on("/v1/x", reply(body, headers=[("Content-Type", kind)]))
    trial.check(reading(driver, server, lambda r: r.json(**options)))


def test_json_of_nothing(trial, server, driver):
    server.on("/v1/x", reply(b"", headers=[("Content-Type", "application/json")]))
    trial.check(reading(driver, server, lambda r: r.json()))


@pytest.mark.parametrize("encoding", [None, "utf-8", "latin-1", "no-such-thing"])
def test_text(trial, server, driver, encoding):
    body, kind = "Grüße".encode("latin-1"), "text/plain; charset=latin-1"
    server.on("/v1/x", reply(body, headers=[("Content-Type", kind)]))
    trial.check(reading(driver, server, lambda r: r.text(encoding)))


@pytest.mark.parametrize("where", ["session", "request", "both"])
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_without_decompression(trial, server, driver, where, coding):
    packed = gzip.compress(WHOLE, mtime=0) if coding == "gzip" else WHOLE
    server.on("/v1/x", reply(packed, headers=[("Content-Encoding", coding)]))
    session = {"session": {"auto_decompress": False}, "both": {"auto_decompress": True}}.get(where, {})
    request = {} if where == "session" else {"auto_decompress": False}

    async def scenario():
        url = f"{server.url}/v1/x"
        async with driver.client(**session) as client, client.session.get(url, **request) as response:
            return await response.read(), driver.look(response)

    assert trial.plain(scenario)[0][0] == packed
    trial.check(scenario)


@pytest.mark.parametrize("where", ["session", "request"])
@pytest.mark.parametrize("size", [1, 1000, None])
def test_the_content_says_of_itself_what_it_said(trial, server, driver, size, where):
    server.on("/v1/x", reply(WHOLE))

    async def read(response):
        content = response.content
        seen = [isinstance(content, aiohttp.StreamReader), content.get_read_buffer_limits()]
        await response.read()
        return [*seen, repr(content), content.total_bytes, content.is_eof(), response.closed]

    options = {} if size is None else {"read_bufsize": size}

    async def scenario():
        made, asked = (options, {}) if where == "session" else ({}, options)
        url = f"{server.url}/v1/x"
        async with driver.client(**made) as client, client.session.get(url, **asked) as response:
            return await read(response)

    trial.check(scenario)


def test_two_readers_at_once(trial, server, driver):
    """The second is refused, and the first has its answer all the same."""
    server.on("/v1/x", chunked([b"one"], end=[0.2, b"3\r\ntwo\r\n0\r\n\r\n"]))

    async def read(response):
        seen = [await response.content.readany()]
        first = asyncio.create_task(response.content.read())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError) as caught:
            await response.content.readany()
        return [*seen, str(caught.value), await first]

    [step] = trial.check(reading(driver, server, read))
    assert step.complete


def test_an_answer_with_more_headers_than_by_default(trial, server, driver):
    many = [(f"X-{n}", "v" * 100) for n in range(300)] + [("X-Long", "l" * 20_000)]
    server.on("/v1/x", reply(json.dumps(1).encode(), headers=many))
    options = {"max_line_size": 40_000, "max_field_size": 40_000}

    async def scenario():
        if "max_headers" in inspect.signature(aiohttp.ClientSession).parameters:
            options["max_headers"] = 1000
        async with driver.client(**options) as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/x")

    plain, _ = trial.plain(scenario)
    assert plain.error is None
    trial.check(scenario)


@pytest.mark.parametrize("coding", ["gzip", "zstd", "rot13"])
def test_whether_a_coding_is_still_there_is_known(trial, server, driver, coding):
    """Not every release takes zstd off. A body is kept as the program had it, and decodes to what it says."""
    packed = {"gzip": gzip.compress, "zstd": zstandard.compress, "rot13": bytes}[coding](WHOLE)
    server.on("/v1/x", reply(packed, headers=[("Content-Encoding", coding)]))
    trial.check(reading(driver, server, lambda r: r.read()))
    recording = trial.recording()
    assert decode(recording.head, recording.body) == WHOLE


@pytest.mark.parametrize("body", ["whole", "corrupt"])
def test_what_another_library_recorded_as_it_was_packed(trial, server, driver, body):
    """Taken apart piece by piece: some give nothing yet; what is no such coding is an error."""
    packed = gzip.compress(WHOLE) if body == "whole" else gzip.compress(WHOLE)[:20] + b"nothing of the kind"
    pieces = [packed[at : at + 5] for at in range(0, len(packed), 5)]
    server.on("/v1/x", chunked(pieces, [("Content-Encoding", "gzip")]))
    other = next(driver for driver in HTTPX_ASYNC if driver.id == "httpx-async")

    async def recording():
        async with other.client() as client:
            return await other.exchange(client, "GET", f"{server.url}/v1/x", "raw")

    trial.driver = other
    recorded, _ = trial.record(recording)
    assert recorded.body == packed
    trial.driver = driver
    got, broken, _ = trial.replay(reading(driver, server, lambda r: r.read()))
    if body == "whole":
        assert got == WHOLE
    else:
        assert got["type"] is type(broken) is aiohttp.ClientPayloadError
