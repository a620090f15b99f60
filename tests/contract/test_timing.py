"""When things happen: a recorded stream arrives as a plain one does."""

from __future__ import annotations

import itertools
import statistics
import threading
import time

import pytest
from drivers import MANNERS
from servers import chunked, head

STREAMED = [manner for manner in MANNERS if manner != "buffered"]
WORTH = 0.005  # seconds that recording may add to the first chunk
ROUNDS = 9


@pytest.mark.parametrize("manner", STREAMED)
def test_each_piece_arrives_before_the_next_is_sent(trial, server, driver, manner):
    """The server goes on when the program has what came before: whoever reads ahead waits for ever."""
    got = [threading.Event() for _ in range(4)]

    def serve(connection):
        connection.sendall(
            head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
        )
        for number, event in enumerate(got):
            connection.sendall(b"7\r\nline %d\n\r\n" % number)
            assert event.wait(5), "a piece was held back"
        connection.sendall(b"0\r\n\r\n")

    server.on("/v1/x", lambda _: [serve])

    async def scenario():
        for event in got:
            event.clear()
        seen = []

        class Telling(list):
            def append(self, piece):
                got[len(self)].set()
                super().append(piece)

        async with (
            driver.client(timeout=5) as client,
            driver.streaming(client, "GET", f"{server.url}/v1/x") as response,
        ):
            seen = Telling()
            await driver.gather(driver.pieces(response, manner), seen)
        return list(seen)

    plain, _ = trial.plain(scenario)
    assert len(plain) == 4
    trial.check(scenario)


def test_the_first_chunk_is_not_delayed(trial, server, driver):
    """Medians of alternating rounds on a warm client. The rest of the stream is still to come then."""
    server.on("/v1/x", chunked([b"first\n", b"second\n"], pause=0.02))

    async def first_chunks():
        times = []
        async with driver.client() as client:
            for _ in range(ROUNDS):
                started = time.perf_counter()
                async with driver.opened(client, "POST", f"{server.url}/v1/x", content=b"{}") as following:
                    assert await following() == b"first\n"
                    times.append(time.perf_counter() - started)
                    while await following():
                        pass
        return times

    def measured():
        plain, _ = trial.plain(first_chunks)
        recorded, _ = trial.record(first_chunks)
        return statistics.median(recorded) - statistics.median(plain)

    # A busy machine is no reason to fail; a body that is held back is late by 20 ms every time.
    assert any(measured() <= WORTH for _ in range(6))


def test_recorded_offsets_are_those_of_the_wire(trial, server, driver):
    server.on("/v1/x", [0.03, *chunked([b"a", b"b", b"c"], pause=0.03)])

    async def scenario():
        async with driver.client() as client:
            return await driver.exchange(client, "GET", f"{server.url}/v1/x", "raw")

    trial.record(scenario)
    recording = trial.recording()
    offsets = [offset / 1e6 for length, offset in recording.cuts if length]
    assert recording.head_us / 1e6 >= 0.03
    assert [later - earlier >= 0.025 for earlier, later in itertools.pairwise(offsets)] == [
        True,
        True,
    ]
    assert trial.steps()[0].first_chunk_ms >= 30


@pytest.mark.parametrize(("speed", "least", "most"), [(0.0, 0.0, 0.1), (1.0, 0.12, 5.0), (4.0, 0.03, 5.0)])
def test_replayed_at_a_speed(trial, server, driver, speed, least, most):
    server.on("/v1/x", [0.03, *chunked([b"a", b"b", b"c", b"d"], pause=0.03)])

    took = []

    async def scenario():
        async with driver.client() as client:
            started = time.perf_counter()
            got = await driver.exchange(client, "GET", f"{server.url}/v1/x", "raw")
            took.append(time.perf_counter() - started)
        return got

    recorded, _ = trial.record(scenario)
    trial.options["speed"] = speed
    took.clear()
    for _ in range(3):
        assert trial.replay(scenario) == recorded
    assert least <= min(took) <= most
