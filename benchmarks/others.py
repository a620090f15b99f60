"""requests and aiohttp on the loopback interface: a foreign request, a recording, a first chunk, a hit.

No transport of theirs can be replaced without replacing what is measured, so all goes through sockets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from benchmarks import server
from benchmarks.harness import Pair, Row, Run, batches, pair
from benchmarks.scene import HEADERS, Agent, Cost, question

_FOREIGN, _RECORD, _FIRST, _HIT = 6.0, 200.0, 1.1, 1.3
_BLOCK = 50


class Requests:
    """A session of requests."""

    name = "requests"

    def __init__(self) -> None:
        import requests

        self.module = requests
        self._session = requests.Session()
        self._session.trust_env = False

    def calls(self, url: str, bodies: Sequence[bytes]) -> Cost:
        """One call after the other."""
        return self._timed(bodies, lambda body: self._session.post(url, data=body, headers=HEADERS).content)

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def first_chunks(self, url: str, bodies: Sequence[bytes]) -> Cost:
        """Times to the first chunk of streams that are then read to their ends."""
        wall = []
        for body in bodies:
            start = time.perf_counter()
            with self._session.post(url, data=body, headers=HEADERS, stream=True) as response:
                chunks = response.iter_content(None)
                next(chunks)
                wall.append(time.perf_counter() - start)
                for _ in chunks:
                    pass
        return Cost(wall, 0.0)

    def _timed(self, bodies: Sequence[bytes], call: Callable[[bytes], object]) -> Cost:
        wall, cpu = [], time.process_time()
        for body in bodies:
            start = time.perf_counter()
            call(body)
            wall.append(time.perf_counter() - start)
        return Cost(wall, (time.process_time() - cpu) / max(1, len(bodies)))


class Aiohttp:
    """A session of aiohttp on a loop of its own."""

    name = "aiohttp"

    def __init__(self) -> None:
        import aiohttp

        self.module = aiohttp
        self._loop = asyncio.new_event_loop()
        self._session = self._wait(self._open())

    def close(self) -> None:
        """Let go of the connections."""
        self._wait(self._session.close())
        self._loop.close()

    async def _open(self) -> Any:
        return self.module.ClientSession()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)

    def calls(self, url: str, bodies: Sequence[bytes]) -> Cost:
        """One call after the other."""

        async def work() -> Cost:
            wall, cpu = [], time.process_time()
            for body in bodies:
                start = time.perf_counter()
                async with self._session.post(url, data=body, headers=HEADERS) as response:
                    await response.read()
                wall.append(time.perf_counter() - start)
            return Cost(wall, (time.process_time() - cpu) / max(1, len(bodies)))

        found: Cost = self._wait(work())
        return found

    def first_chunks(self, url: str, bodies: Sequence[bytes]) -> Cost:
        """Times to the first chunk of streams that are then read to their ends."""

        async def work() -> Cost:
            wall = []
            for body in bodies:
                start = time.perf_counter()
                async with self._session.post(url, data=body, headers=HEADERS) as response:
                    chunks = response.content.iter_any()
                    await anext(chunks)
                    wall.append(time.perf_counter() - start)
                    async for _ in chunks:
                        pass
            return Cost(wall, 0.0)

        found: Cost = self._wait(work())
        return found


def run(run: Run) -> Iterator[Row]:
    """What is added, by library."""
    with server.running() as base:
        for client in (Requests(), Aiohttp()):
            yield from _measured(run, client, base)
            client.close()


def _measured(run: Run, client: Any, base: str) -> Iterator[Row]:
    elsewhere = base.replace("127.0.0.1", "localhost") + "/v1/chat/completions"
    listed = f"{base}/v1/chat/completions"
    streamed = f"{base}/stream?chunks=20&pause=2"
    found = _pair(run, client, 80, lambda bodies: client.calls(elsewhere, bodies).cpu)
    yield _row(f"foreign request, {client.name}: CPU added", found.added * 1e6, "µs", _FOREIGN, found)
    found = _pair(run, client, 60, lambda bodies: client.calls(listed, bodies).cpu)
    yield _row(f"record, {client.name}, loopback: CPU added", found.added * 1e6, "µs", _RECORD, found)
    found = _pair(run, client, 40, lambda bodies: client.first_chunks(streamed, bodies[:1]).p50)
    yield _row(f"stream, {client.name}: first chunk", found.best, "x", _FIRST, found)
    found = _hits(run, client, listed)
    yield _row(f"hit, {client.name}, 1000 recorded: p50 to a loopback call's", found.ratio, "x", _HIT, found)


def _row(what: str, value: float, unit: str, budget: float, found: Pair) -> Row:
    return Row(what, value, unit, budget, note=found.note, detail=found.detail)


def _pair(run: Run, client: Any, rounds: int, measure: Callable[[Sequence[bytes]], float]) -> Pair:
    agent = Agent(client.module, run.scratch / f"others-{client.name}.db")
    questions = batches([question(number) for number in range(10_000)], _BLOCK)

    def work() -> float:
        return measure(next(questions))

    def warm() -> None:
        measure(next(questions)[:5])

    def plain() -> float:
        warm()
        return work()

    try:
        return pair(run.rounds(rounds), plain, agent.around(warm, work))
    finally:
        agent.close()


def _hits(run: Run, client: Any, url: str) -> Pair:
    """Plain calls and replayed ones, in turns."""
    store = run.scratch / f"others-hits-{client.name}.db"
    asked = [question(number) for number in range(1000)]
    agent = Agent(client.module, store)
    with agent.installed():
        client.calls(url, asked)
    agent.close()
    replay = Agent(client.module, store, source="last")
    left = iter(asked)
    plain, other = [], []
    for _ in range(min(run.rounds(80), 18)):
        plain.append(client.calls(url, asked[:_BLOCK]).p50)
        with replay.installed():
            client.calls(url, [next(left) for _ in range(3)])
            other.append(client.calls(url, [next(left) for _ in range(_BLOCK)]).p50)
    replay.close()
    return Pair(plain[1:], other[1:])
