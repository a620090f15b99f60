"""A response's body, read in all the ways that requests and urllib3 have."""

from __future__ import annotations

import array
import gzip
import io
import itertools
import shutil

import pytest
import urllib3
from drivers import RequestsDriver
from servers import CUT, answer, chunked, reply

from rewind_auto import RewindReplayDivergenceError
from rewind_auto.adapters.requests_bodies import upload_of
from rewind_auto.core.model import Ending

LINES = [b"line %d of some length\n" % number for number in range(20)]
TEXT = "Grüße, 世界 🦜\n".encode() * 50
OLD_URLLIB3 = urllib3.__version__.startswith("1.")
PACKED = gzip.compress(TEXT)


@pytest.fixture(params=[RequestsDriver()], ids=repr)
def driver(request):
    return request.param


def cut(body, size):
    return [body[at : at + size] for at in range(0, len(body), size)]


BODIES = {
    "chunked": chunked(LINES),
    "length": reply(b"".join(LINES)),
    "gzip": reply(PACKED, headers=[("Content-Encoding", "gzip")]),
    "gzip-chunked": chunked(cut(PACKED, 17), [("Content-Encoding", "gzip")]),
    "until-the-end": [b"HTTP/1.0 200 OK\r\n\r\n", b"".join(LINES), CUT],
    "empty": reply(b""),
}

IN_PORTIONS = (
    *("iter_content(1)", "iter_content(7)", "iter_content(unicode)", "iter", "context"),
    *("iter_lines(3)", "raw.stream(n)", "raw.read(n, decoded)"),
)
WAYS = {
    "content": lambda r: [r.content],
    "text": lambda r: [r.text],
    "iter_content(None)": lambda r: list(r.iter_content(None)),
    "iter_content(1)": lambda r: list(itertools.islice(r.iter_content(1), 40)),
    "iter_content(7)": lambda r: list(r.iter_content(7)),
    "iter_content(unicode)": lambda r: list(r.iter_content(11, decode_unicode=True)),
    "iter_lines": lambda r: list(r.iter_lines()),
    "iter_lines(3)": lambda r: list(r.iter_lines(chunk_size=3, decode_unicode=True)),
    "iter_lines(delimiter)": lambda r: list(r.iter_lines(delimiter=b"of")),
    "iter": list,
    "raw.read": lambda r: [r.raw.read()],
    "raw.read(decoded)": lambda r: [r.raw.read(decode_content=True)],
    "raw.read(n)": lambda r: list(iter(lambda: r.raw.read(13), b"")),
    "raw.read(n, decoded)": lambda r: list(iter(lambda: r.raw.read(13, True), b"")),
    "raw.read1": lambda r: [*iter(lambda: r.raw.read1(50), b"")],
    "raw.stream": lambda r: list(r.raw.stream()),
    "raw.stream(n)": lambda r: list(r.raw.stream(9, decode_content=True)),
    "raw.readinto": lambda r: _readinto(r.raw),
    "raw.readline": lambda r: list(iter(r.raw.readline, b"")),
    "raw.readlines": lambda r: r.raw.readlines(),
    "raw iterated": lambda r: list(r.raw),
    "raw.data": lambda r: [r.raw.data],
    "copied": lambda r: _copied(r.raw),
    "wrapped": lambda r: list(io.TextIOWrapper(io.BufferedReader(r.raw), "latin-1")),
    "context": lambda r: _in_context(r),  # noqa: PLW0108 - defined below
    "read and closed": lambda r: (r.raw.read(30), r.close()),
    "closed": lambda r: [r.close()],
    "released": lambda r: [r.raw.release_conn(), r.close()],
    "drained": lambda r: [r.raw.read(5), r.raw.drain_conn(), r.close()],
}


def _readinto(raw):
    buffer, seen = bytearray(16), []
    while size := raw.readinto(buffer):
        seen.append(bytes(buffer[:size]))
    return seen


def _copied(raw):
    copy = io.BytesIO()
    shutil.copyfileobj(raw, copy, 21)
    return [copy.getvalue()]


def _in_context(response):
    with response:
        return [next(response.iter_content(12), b"")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("body", BODIES)
def test_read_in_this_way(trial, server, driver, body, way):
    if OLD_URLLIB3 and body == "gzip-chunked" and way in IN_PORTIONS:
        pytest.skip("it decodes a chunk to more than it was asked for: replayed in portions of that size")
    server.on("/v1/x", BODIES[body])

    async def scenario():
        async with driver.client() as client:
            response = client.post(f"{server.url}/v1/x", data=b"{}", stream=True)
            try:
                seen = WAYS[way](response)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is to be the same
                seen = (type(error), str(error))
            return seen, response.raw.closed, response.raw.tell() >= 0

    assert len(trial.check(scenario)) == 1


@pytest.mark.parametrize("body", BODIES)
def test_iter_content_none_ends(trial, server, driver, body):
    """A file-like body that never says it is closed makes this spin for ever."""
    server.on("/v1/x", BODIES[body])

    async def scenario():
        async with driver.client() as client:
            response = client.post(f"{server.url}/v1/x", data=b"{}", stream=True)
            return list(itertools.islice(response.iter_content(None), 1000))

    [step] = trial.check(scenario)
    assert step.complete


@pytest.mark.parametrize("cut_at", [1, 3, 4])
def test_characters_that_are_split(trial, server, driver, cut_at):
    server.on("/v1/x", chunked(cut(TEXT, cut_at), [("Content-Type", "text/plain; charset=utf-8")]))

    async def scenario():
        async with driver.client() as client:
            response = client.post(f"{server.url}/v1/x", data=b"{}", stream=True)
            return list(response.iter_content(None, decode_unicode=True))

    trial.check(scenario)


def test_what_is_recorded_says_whether_it_was_decoded(trial, server, driver):
    server.on("/v1/x", BODIES["gzip"])

    async def scenario():
        async with driver.client() as client:
            decoded = client.get(f"{server.url}/v1/x").content
            wire = client.get(f"{server.url}/v1/x", stream=True).raw.read()
            return decoded, wire

    trial.check(scenario)
    first, second = trial.recording(1), trial.recording(2)
    assert (first.head.wire, first.body) == (False, TEXT)
    assert (second.head.wire, second.body) == (True, PACKED)


def test_a_body_read_to_its_length_is_complete(trial, server, driver):
    """Whoever knows the length does not read on to be told the end."""
    server.on("/v1/x", reply(b"0123456789"))

    async def scenario():
        async with driver.client() as client:
            response = client.get(f"{server.url}/v1/x", stream=True)
            return [response.raw.read(4), response.raw.read(6)]

    [step] = trial.check(scenario)
    assert step.complete
    assert trial.endings() == [Ending.EOF]


def test_more_than_was_recorded(trial, server, driver):
    server.on("/v1/x", reply(b"0123456789" * 5000))

    def reading(amount):
        async def scenario():
            async with driver.client() as client:
                with client.get(f"{server.url}/v1/x", stream=True) as response:
                    return response.raw.read(amount)

        return scenario

    trial.record(reading(10))
    assert trial.endings() == [Ending.CLOSED]
    with pytest.raises(RewindReplayDivergenceError, match="asks for more of its answer"):
        trial.replay(reading(11), clean=False)


@pytest.mark.parametrize("make", [lambda: io.BytesIO(b"file of bytes"), lambda: io.StringIO("füle of text")])
def test_a_file_is_uploaded(trial, server, driver, make):
    """Where it stands afterwards is where the library leaves it."""
    server.on("/v1/x", answer(1))
    places = []

    async def scenario():
        file = make()
        file.read(2)
        async with driver.client() as client:
            got = await driver.exchange(client, "POST", f"{server.url}/v1/x", content=file)
        places.append(file.tell())
        return got

    trial.check(scenario)
    assert len(set(places)) == 1
    assert trial.recording().request.body == server.seen[0].body


@pytest.mark.parametrize("make", [lambda: array.array("h", [1, 2, 3]), lambda: memoryview(b"view")])
def test_what_has_a_buffer_is_uploaded(trial, server, driver, make):
    server.on("/v1/x", answer(1))

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=make())

    trial.check(scenario)
    assert trial.recording().request.body == bytes(make())


def test_a_buffer_that_is_filled_anew(trial, server, driver):
    """What was sent is kept, not what the program has put there since."""
    server.on("/v1/x", answer(1))

    def parts():
        buffer = bytearray(3)
        for word in (b"one", b"two"):
            buffer[:] = word
            yield buffer

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=parts())

    trial.record(scenario)
    assert trial.recording().request.body == server.seen[0].body == b"onetwo"


@pytest.mark.parametrize("make", [lambda: io.BytesIO(b"a\nb"), lambda: io.StringIO("a\nb")])
def test_a_file_that_is_uploaded_by_lines(make):
    """As older releases of requests do with one of unknown length."""
    upload, kept = upload_of(make(), 1000)
    assert len(list(itertools.islice(upload, 10))) == 2
    assert kept.sent() == b"a\nb"


def test_a_file_is_sent_again_after_a_redirect(trial, server, driver):
    server.on("/v1/a", reply(b"", 307, [("Location", "/v1/b")], reason="Moved"))
    server.on("/v1/b", answer(1))

    async def scenario():
        async with driver.client(follow_redirects=True) as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/a", content=io.BytesIO(b"data"))

    trial.check(scenario)
    assert [trial.recording(number).request.body for number in (1, 2)] == [b"data", b"data"]
