"""aiohttp: request bodies of every kind."""

from __future__ import annotations

import asyncio
import io
import json
import warnings
import zlib

import aiohttp
import pytest
from aiohttp import payload
from drivers import BOUNDARY, DRIVERS
from servers import answer, head, reply

DATA = bytes(range(256)) * 40
TEXT = '{"model": "m", "messages": "Grüße"}'


@pytest.fixture(params=[driver for driver in DRIVERS if driver.library == "aiohttp"], ids=repr)
def driver(request):
    return request.param


async def once(*parts):
    for part in parts:
        yield part


def file(directory, text=False):
    path = directory / "upload.bin"
    path.write_bytes(TEXT.encode() if text else DATA)
    return path.open("r" if text else "rb")


def form(*, multipart=False):
    made = aiohttp.FormData(default_to_multipart=multipart)
    made.add_field("a", "1")
    made.add_field("b", "ü", content_type="text/plain") if multipart else made.add_field("b", "ü")
    return made


def writer():
    made = aiohttp.MultipartWriter("form-data", BOUNDARY)
    made.append("text").set_content_disposition("form-data", name="t")
    made.append_json({"a": 1})
    made.append(io.BytesIO(DATA))
    return made


def stream_reader():
    class Protocol:
        _reading_paused = False

        def pause_reading(self): ...
        def resume_reading(self, **_): ...

    made = aiohttp.StreamReader(Protocol(), 2**16, loop=asyncio.get_running_loop())
    made.feed_data(b"first", 0)
    made.feed_data(b"second", 0)
    made.feed_eof()
    return made


class Own(payload.Payload):
    """A payload of the program's own, that writes itself as it likes."""

    def __init__(self, value):
        super().__init__(value, content_type="application/x-own")

    def decode(self, encoding="utf-8", errors="strict"):
        return self._value.decode(encoding, errors)

    async def write(self, writer):
        for byte in self._value:
            await writer.write(bytes([byte]))


# What is given, and what the server is to get of it.
BODIES = {
    "str": (lambda _: {"data": TEXT}, TEXT.encode()),
    "bytes": (lambda _: {"data": DATA}, DATA),
    "bytearray": (lambda _: {"data": bytearray(DATA)}, DATA),
    "memoryview": (lambda _: {"data": memoryview(DATA)}, DATA),
    "BytesIO": (lambda _: {"data": io.BytesIO(DATA)}, DATA),
    "StringIO": (lambda _: {"data": io.StringIO(TEXT)}, TEXT.encode()),
    "file": (lambda path: {"data": file(path)}, DATA),
    "text file": (lambda path: {"data": file(path, text=True)}, TEXT.encode()),
    "part of a file": (lambda path: {"data": file(path), "headers": {"Content-Length": "7"}}, DATA[:7]),
    "dict": (lambda _: {"data": {"a": "1", "b": "ü"}}, b"a=1&b=%C3%BC"),
    "json": (lambda _: {"json": json.loads(TEXT)}, None),
    "form": (lambda _: {"data": form()}, b"a=1&b=%C3%BC"),
    "writer": (lambda _: {"data": writer()}, None),
    "generator": (lambda _: {"data": once(b"first", b"second")}, b"firstsecond"),
    "empty generator": (lambda _: {"data": once()}, b""),
    "StreamReader": (lambda _: {"data": stream_reader()}, b"firstsecond"),
    "BytesPayload": (lambda _: {"data": payload.BytesPayload(DATA)}, DATA),
    "StringPayload": (lambda _: {"data": payload.StringPayload(TEXT)}, TEXT.encode()),
    "JsonPayload": (lambda _: {"data": payload.JsonPayload([1])}, b"[1]"),
    "BytesIOPayload": (lambda _: {"data": payload.BytesIOPayload(io.BytesIO(DATA))}, DATA),
    "AsyncIterablePayload": (lambda _: {"data": payload.AsyncIterablePayload(once(b"x"))}, b"x"),
    "own": (lambda _: {"data": Own(b"own")}, b"own"),
    "chunked": (lambda _: {"data": DATA, "chunked": True}, DATA),
    "empty": (lambda _: {"data": b""}, b""),
    "none": (lambda _: {}, b""),
}


def posting(server, driver, options, path=None):
    async def scenario():
        async with driver.client() as client:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # of the library, about large bodies
                response = await client.session.post(f"{server.url}/v1/x", **options(path))
            return await response.read(), driver.look(response)

    return scenario


@pytest.mark.parametrize("name", BODIES)
def test_every_kind(trial, server, driver, name, tmp_path):
    options, sent = BODIES[name]
    server.on("/v1/x", answer(1))
    trial.check(posting(server, driver, options, tmp_path))
    [seen] = server.seen
    if sent is not None:
        assert seen.body == sent
    if name != "memoryview":
        assert trial.recording().request.body == seen.body


@pytest.mark.parametrize("compress", [True, "gzip"])
@pytest.mark.parametrize("kind", ["bytes", "generator"])
def test_compressed(trial, server, driver, compress, kind):
    """What is kept is what the program gave: how it is packed is the library's affair."""
    server.on("/v1/x", answer(1))
    data = lambda _: {"data": DATA if kind == "bytes" else once(DATA), "compress": compress}  # noqa: E731
    trial.check(posting(server, driver, data))
    [seen] = server.seen
    assert zlib.decompress(seen.body, zlib.MAX_WBITS | (16 if compress == "gzip" else 0)) == DATA
    assert trial.recording().request.body == DATA


def test_files_with_a_boundary_of_their_own(trial, server, driver):
    server.on("/v1/x", answer(1), answer(2))

    async def scenario():
        async with driver.client() as client:
            seen = []
            for _ in range(2):
                data = form(multipart=True)
                data.add_field("file", io.BytesIO(DATA), filename="a.bin", content_type="audio/wav")
                seen.append(await (await client.session.post(f"{server.url}/v1/x", data=data)).read())
            return seen

    recorded, _ = trial.record(scenario)
    assert recorded == [b"1", b"2"] == trial.replay(scenario)
    assert all(DATA in trial.recording(number).request.body for number in (1, 2))


@pytest.mark.parametrize("kind", ["bytes", "generator", "none"])
def test_expecting_to_be_told_to_go_on(trial, server, driver, kind):
    told = []

    def converse(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        told.append(data.partition(b"\r\n\r\n")[2])
        connection.sendall(head(100, reason="Continue"))
        while kind != "none" and not data.endswith((b"body", b"0\r\n\r\n")):
            data += connection.recv(65536)
        connection.sendall(answer("done")[0])

    server.converse = converse
    bodies = {"bytes": lambda _: {"data": b"body"}, "generator": lambda _: {"data": once(b"bo", b"dy")}}
    data = bodies.get(kind, lambda _: {})
    scenario = posting(server, driver, lambda path: {**data(path), "expect100": True})
    [step] = trial.check(scenario)
    assert told == [b""] * 2
    assert step.complete
    assert trial.recording().request.body == (b"" if kind == "none" else b"body")


def test_expecting_in_vain(trial, server, driver):
    server.converse = lambda connection: server.perform(
        reply(b"no", 417, reason="Expectation Failed")[0], connection
    )
    trial.check(posting(server, driver, lambda _: {"data": b"body", "expect100": True}))


def test_a_generator_that_asks_an_llm_itself(trial, server, driver):
    """What it asks is a call of its own, not a part of the one that it is sent with."""
    server.on("/v1/x", answer(1))
    server.on("/v1/inner", answer("inner"))

    async def scenario():
        async with driver.client() as client:

            async def asking():
                yield b"outer "
                yield await (await client.session.post(f"{server.url}/v1/inner", data=b"q")).read()

            response = await client.session.post(f"{server.url}/v1/x", data=asking())
            return await response.read()

    steps = trial.check(scenario)
    assert sorted(trial.recording(step.step).request.body for step in steps) == [b'outer "inner"', b"q"]


def test_serializers(trial, server, driver):
    server.on("/v1/x", answer(1))

    async def scenario():
        async with driver.client(json_serialize=lambda data: f'{{"own":{len(data)}}}') as client:
            return await (await client.session.post(f"{server.url}/v1/x", json=[1, 2])).json()

    trial.check(scenario)
    assert trial.recording().request.body == b'{"own":2}'


def test_a_file_is_left_as_the_library_leaves_it(trial, server, driver, tmp_path):
    server.on("/v1/x", reply(b"go", 307, [("Location", "/v1/y")]))
    server.on("/v1/y", answer(1))

    async def scenario():
        async with driver.client() as client:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                upload = file(tmp_path)
                upload.seek(100)
                try:
                    response = await client.session.post(f"{server.url}/v1/x", data=upload)
                except (ValueError, aiohttp.ClientError):  # 3.12.0 closes it too soon, and says this or that
                    return "closed"
            body = await response.read()
            await asyncio.sleep(0.05)  # the library closes it in a thread
            return body, len(response.history), upload.closed

    trial.check(scenario)
    assert {trial.recording(step.step).request.body for step in trial.steps()} == {DATA[100:]}


@pytest.mark.skipif(not hasattr(aiohttp, "UploadTracker"), reason="came with aiohttp 3.14.4")
@pytest.mark.parametrize("kind", ["bytes", "generator", "none"])
def test_the_progress_of_an_upload(trial, server, driver, kind):
    server.on("/v1/x", reply(b"go", 303, [("Location", "/v1/y")]))
    server.on("/v1/y", answer(1))
    data = {"bytes": lambda: DATA, "generator": lambda: once(DATA, DATA), "none": lambda: None}[kind]

    async def scenario():
        tracker = aiohttp.UploadTracker()
        async with driver.client() as client:
            response = await client.session.post(f"{server.url}/v1/x", data=data(), upload_tracker=tracker)
            await tracker.upload_complete
            return await response.read(), tracker.attempts, tracker.bytes_written

    trial.check(scenario)
