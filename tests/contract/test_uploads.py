"""Request bodies: what the server gets, when, and what is kept of it."""

from __future__ import annotations

import io
import threading

import pytest
from drivers import BOUNDARY, HTTPX_ASYNC, HTTPX_DRIVERS
from servers import CUT, Server, answer, chunked, reply

from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Ending

PARTS = [b'{"model":"gpt-5",', b'"messages":[]', b"}"]
WHOLE = b"".join(PARTS)
FIXED = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


class UploadError(Exception):
    """What a program's own iterator raises."""


@pytest.fixture(params=["buffered", "raw"])
def manner(request):
    return request.param


def posting(driver, server, manner="buffered", **options):
    """Posts twice: ``options`` are made anew each time, since iterators are good for once."""

    async def scenario():
        async with driver.client() as client:
            return [
                await driver.exchange(
                    client,
                    "POST",
                    f"{server.url}/v1/x",
                    manner,
                    **{name: make() for name, make in options.items()},
                )
                for _ in range(2)
            ]

    return scenario


@pytest.mark.parametrize("parts", [PARTS, [], [b"", b"x", b""], [bytes(range(256)) * 1000]], ids=len)
def test_from_an_iterator(trial, server, driver, manner, parts):
    if b"" in parts and not driver.empty_parts:
        pytest.skip("this release takes an empty part for the end")
    server.on("/v1/x", answer(1), answer(2))
    trial.check(posting(driver, server, manner, content=lambda: driver.upload(parts)))
    assert [trial.recording(number).request.body for number in (1, 2)] == [b"".join(parts)] * 2
    assert server.seen[0].header("transfer-encoding") == b"chunked"


def test_an_iterator_that_makes_calls_itself(trial, server, driver):
    """Those are calls too, however deep in the sending of another they are made."""
    server.on("/v1/x", lambda seen: answer(seen.body.decode()))

    async def scenario():
        async with driver.client() as client, driver.client() as inner:
            ask = lambda body: driver.exchange(inner, "POST", f"{server.url}/v1/x", content=body)  # noqa: E731

            def parts():
                for body in (b"one", b"two"):
                    yield driver.run(ask(body)).body

            async def aparts():
                for body in (b"one", b"two"):
                    yield (await ask(body)).body

            content = aparts() if driver.asynchronous else parts()
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=content)

    plain, _ = trial.plain(scenario)
    assert plain.body == b'"\\"one\\"\\"two\\""'
    trial.check(scenario)
    assert sorted(trial.recording(number).request.body for number in (1, 2, 3)) == [
        b'"one""two"',
        b"one",
        b"two",
    ]


def test_an_iterator_and_bytes_are_the_same_request(trial, server, driver):
    server.on("/v1/x", answer(1), answer(2))
    trial.record(posting(driver, server, content=lambda: driver.upload(PARTS)))
    replayed = trial.replay(posting(driver, server, content=lambda: WHOLE))
    assert [got.body for got in replayed] == [b"1", b"2"]


def test_another_upload_is_a_divergence(trial, server, driver):
    server.on("/v1/x", answer(1))
    trial.record(posting(driver, server, content=lambda: driver.upload(PARTS)))
    with pytest.raises(RewindReplayDivergenceError, match="gpt-4"):
        trial.replay(
            posting(driver, server, content=lambda: driver.upload([b'{"model":"gpt-4","messages":[]}']))
        )


def test_the_first_part_is_sent_before_the_second_is_made(trial, server, driver):
    """The tee must not collect an upload: whoever makes it may be waiting for the server."""
    arrived = threading.Event()

    def read_first(connection):
        data = b""
        while b"first" not in data:
            data += connection.recv(65536)
        arrived.set()
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65536)
        connection.sendall(answer("both")[0])

    class Waiting:
        def __iter__(self):
            yield b"first"
            assert arrived.wait(1), "the first part was held back"
            yield b"second"

    server.converse = read_first

    async def scenario():
        arrived.clear()
        async with driver.client() as client:
            return await driver.exchange(
                client, "POST", f"{server.url}/v1/x", content=driver.upload(Waiting())
            )

    plain, _ = trial.plain(scenario)
    assert plain.body == b'"both"'
    assert trial.record(scenario)[0] == plain
    assert trial.recording().request.body == b"firstsecond"


@pytest.mark.parametrize("parts", [[], PARTS], ids=["at once", "later"])
def test_an_iterator_that_fails(trial, server, driver, manner, parts):
    """The program's own error, as it raised it; on replay too, and the step counts as asked for."""
    server.on("/v1/x", answer(1))
    scenario = posting(driver, server, manner, content=lambda: driver.upload(parts, UploadError("no more")))
    plain, _ = trial.plain(scenario)
    assert [got.error["type"] for got in plain] == [driver.errors.get("upload", UploadError)] * 2
    trial.check(scenario)
    assert trial.endings() == [Ending.FAULT] * 2


def test_server_that_does_not_wait_for_the_whole_upload(trial, server, driver):
    """An answer that comes before the upload is over is the answer."""

    def hasty(connection):
        connection.recv(65536)
        connection.sendall(answer({"error": "too large"}, 413)[0])
        server.stopping.wait(0.05)

    server.converse = hasty
    big = [b"x" * 65536] * 200

    async def scenario():
        async with driver.client() as client:
            got = await driver.exchange(client, "POST", f"{server.url}/v1/x", content=driver.upload(big))
            return got.response and got.response["status"], got.error and got.error["type"]

    plain, _ = trial.plain(scenario)
    assert trial.record(scenario)[0] == plain
    with pytest.raises(RewindReplayDivergenceError):  # only what was sent is known, and it is not all of it
        trial.replay(scenario)


@pytest.mark.xfail(strict=True, reason="an upload of which nothing was sent has no content to be found by")
def test_an_upload_that_was_never_sent_and_then_was(trial, server, driver):
    """The connection is refused, and the program tries again with what it still has in its hands."""
    server.on("/v1/x", answer(1))
    with Server() as gone:
        pass

    async def scenario():
        async with driver.client() as client:
            # Two addresses of one host: which port it was is no part of what was asked.
            return [
                await driver.exchange(client, "POST", f"{url}/v1/x", content=driver.upload(PARTS))
                for url in (gone.url, server.url)
            ]

    trial.check(scenario)


def test_server_that_goes_away_during_the_upload(trial, server, driver):
    server.converse = lambda connection: server.perform(CUT, connection)

    async def scenario():
        async with driver.client() as client:
            got = await driver.exchange(client, "POST", f"{server.url}/v1/x", content=b"x" * 10_000_000)
            return got.error["type"].__mro__[1].__name__  # which of the two, the network says

    assert trial.check(scenario)
    assert trial.endings() == [Ending.FAULT]


def test_form(trial, server, driver, manner):
    server.on("/v1/x", answer(1), answer(2))
    trial.check(posting(driver, server, manner, data=lambda: {"a": "1", "b": ["2", "ü"]}))
    assert trial.recording().request.body == b"a=1&b=2&b=%C3%BC"


def test_files(trial, server, driver, manner):
    server.on("/v1/x", answer(1), answer(2))
    files = lambda: {"file": ("a.bin", io.BytesIO(bytes(range(256)) * 500)), "note": (None, b"x")}  # noqa: E731
    trial.check(posting(driver, server, manner, files=files, data=lambda: {"k": "v"}, headers=lambda: FIXED))
    assert bytes(range(256)) * 500 in trial.recording().request.body


def test_files_with_a_boundary_of_their_own(trial, server, driver):
    """Libraries draw the boundary anew for every request: what is asked is the same."""
    server.on("/v1/x", answer(1), answer(2))
    files = lambda: {"file": ("a.wav", io.BytesIO(b"RIFF\x00\xff"), "audio/wav")}  # noqa: E731
    trial.record(posting(driver, server, files=files))
    first, second = (trial.recording(number).request for number in (1, 2))
    assert first.body != second.body
    assert [got.body for got in trial.replay(posting(driver, server, files=files))] == [b"1", b"2"]


def test_a_file_that_is_open_elsewhere_in_the_middle(trial, server, driver):
    """Uploads start where the file stands, and leave it where the library leaves it."""
    server.on("/v1/x", answer(1))
    places = []

    async def scenario():
        file = io.BytesIO(b"0123456789")
        file.seek(4)
        async with driver.client() as client:
            got = await driver.exchange(
                client, "POST", f"{server.url}/v1/x", files={"f": file}, headers=FIXED
            )
        places.append(None if file.closed else file.tell())
        return got

    trial.check(scenario)
    assert places in ([10, 10, 10], [None] * 3)


@pytest.mark.parametrize("status", [301, 303, 307, 308])
@pytest.mark.parametrize("body", ["bytes", "iterator", "files"])
def test_redirected(trial, server, driver, status, body):
    """A hop is a step; that a spent iterator cannot be sent again is the library's error to raise."""
    server.on("/v1/x", reply(b"moved", status, [("Location", "/v1/y")], reason="Moved"))
    server.on("/v1/y", chunked([b"there"]))
    bodies = {
        "bytes": lambda: {"content": WHOLE},
        "iterator": lambda: {"content": driver.upload(PARTS)},
        "files": lambda: {"files": {"f": io.BytesIO(b"data")}, "headers": FIXED},
    }

    async def scenario():
        async with driver.client(follow_redirects=True) as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", **bodies[body]())

    plain, _ = trial.plain(scenario)
    if body == "files" and plain.error:
        pytest.skip("this release closes a file that it is to send again")
    if status < 307 or body != "iterator":
        assert plain.error is None
    steps = trial.check(scenario)
    assert steps[0].status == status
    assert plain.error or [step.status for step in steps[1:]] == [200]


@pytest.mark.parametrize("driver", HTTPX_DRIVERS, ids=repr)
def test_what_is_left_of_the_request(trial, server, driver):
    """A streamed body is not readable afterwards, and a request of bytes is, as without us."""
    server.on("/v1/x", answer(1))

    async def scenario():
        seen = []
        async with driver.client() as client:
            for content in (WHOLE, driver.upload(PARTS)):
                response = await driver.call(client.post, f"{server.url}/v1/x", content=content)
                seen.append(type(response.request.stream).__name__)
                try:
                    seen.append(response.request.content)
                except driver.module.RequestNotRead as error:
                    seen.append(repr(error))
        return seen

    trial.check(scenario)


@pytest.mark.parametrize("driver", HTTPX_ASYNC, ids=repr)
def test_a_body_of_the_wrong_kind(trial, server, driver):
    server.on("/v1/x", answer(1))

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "POST", f"{server.url}/v1/x", content=iter(PARTS))

    plain = trial.plain(scenario)
    assert plain[0].error["type"] is RuntimeError
    assert trial.record(scenario) == plain
