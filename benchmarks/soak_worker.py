"""One process of the soak: records a round of calls in threads and tasks, replays it, and so on.

What it was answered goes into a log, a line as soon as an answer is whole: what this process is killed after
having logged has to be in the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
import httpx2
import requests

import rewind_auto

_CALLS = 4  # of each line of work in a round, and the first of them once more
_TIMEOUT = 20.0  # seconds
_SETTLES = 5.0  # seconds in which a store that was busy has everything written
_TASKS = 2  # for each asynchronous client
_THREADED = ("httpx", "httpx2", "requests")
_LANES = (*_THREADED, *(f"{kind}-{n}" for kind in ("httpx", "httpx2", "aiohttp") for n in range(_TASKS)))

Outcome = list[Any]  # what became of a call: status and digest of the answer, or the name of an error


@dataclass
class Worker:
    """What this process was told.

    Attributes:
        log: a file descriptor, for appending.
        pause: seconds between two calls of a line of work while recording.
    """

    name: str
    url: str
    log: int
    until: float
    pause: float
    wrong: int = 0
    calls: int = 0
    replayed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, **what: Any) -> None:
        """Add a line to the log, in one write."""
        os.write(self.log, json.dumps(what).encode() + b"\n")

    def run(self) -> None:
        """Rounds until the time is over."""
        number = 0
        while time.time() < self.until:
            number += 1
            name = f"soak {self.name} {number}"
            recorded = self._round(name, recording=True)
            self._replay(name, recorded)
        self.tell(end=True, calls=self.calls, replayed=self.replayed)

    def _round(self, name: str, *, recording: bool) -> dict[str, list[Outcome]]:
        """All lines of work at once, in a session of their own."""
        seen: dict[str, list[Outcome]] = {lane: [] for lane in _LANES}
        options = {"mode": "record"} if recording else {"mode": "replay", "source": name}
        with rewind_auto.session(name if recording else f"{name} again", **options):
            threads = [
                threading.Thread(target=self._synchronous, name=lane, args=(name, lane, seen, recording))
                for lane in _THREADED
            ]
            threads.append(
                threading.Thread(target=lambda: asyncio.run(self._tasks(name, seen, recording)), name="tasks")
            )
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return seen

    def _replay(self, name: str, recorded: dict[str, list[Outcome]]) -> None:
        deadline = time.time() + _SETTLES
        while True:
            again = self._round(name, recording=False)
            differing = {
                lane: [recorded[lane], again[lane]] for lane in _LANES if recorded[lane] != again[lane]
            }
            # A step may be on its way into a store that others keep busy: then it is not there yet.
            blocked = any("RewindReplayDivergenceError" in str(found) for _, found in differing.values())
            if not blocked or time.time() > deadline:
                break
            time.sleep(0.5)
        self.replayed += sum(map(len, again.values()))
        for lane, (was, found) in differing.items():
            self.wrong += 1
            self.tell(wrong=name, lane=lane, recorded=was, replayed=found)

    def _questions(self, name: str, lane: str) -> list[bytes]:
        keys = [f"{name} {lane} {number}" for number in (*range(_CALLS), 0)]
        return [
            json.dumps({"model": "m", "messages": [{"role": "user", "content": key}]}).encode()
            for key in keys
        ]

    def _had(self, name: str, seen: list[Outcome], status: int, body: bytes, *, recording: bool) -> None:
        digest = hashlib.sha256(body).hexdigest()[:24]
        seen.append([status, digest])
        if recording:
            self.tell(session=name, digest=digest)
            with self._lock:
                self.calls += 1

    def _synchronous(self, name: str, lane: str, seen: dict[str, list[Outcome]], recording: bool) -> None:  # noqa: FBT001
        ask = _ask_requests if lane == "requests" else _asking(httpx if lane == "httpx" else httpx2)
        for number, question in enumerate(self._questions(name, lane)):
            if recording:
                time.sleep(random.random() * 2 * self.pause)
            try:
                status, body = ask(f"{self.url}/v1/chat/completions", question, number % 2 == 0)
            except BaseException as error:  # noqa: BLE001 - a divergence is none of Exception
                seen[lane].append([_name(error)])
            else:
                self._had(name, seen[lane], status, body, recording=recording)

    async def _tasks(self, name: str, seen: dict[str, list[Outcome]], recording: bool) -> None:  # noqa: FBT001
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as first,
            httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=False) as second,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_TIMEOUT)) as third,
        ):
            clients = {"httpx": first, "httpx2": second, "aiohttp": third}
            await asyncio.gather(
                *(
                    asyncio.create_task(
                        self._asynchronous(
                            clients[lane.partition("-")[0]], name, lane, seen[lane], recording
                        ),
                        name=lane,
                    )
                    for lane in _LANES
                    if "-" in lane
                )
            )

    async def _asynchronous(
        self,
        client: Any,
        name: str,
        lane: str,
        seen: list[Outcome],
        recording: bool,  # noqa: FBT001
    ) -> None:
        for number, question in enumerate(self._questions(name, lane)):
            if recording:
                await asyncio.sleep(random.random() * 2 * self.pause)
            try:
                url = f"{self.url}/v1/chat/completions"
                status, body = await _ask_async(client, url, question, number % 2 == 0)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001
                seen.append([_name(error)])
            else:
                self._had(name, seen, status, body, recording=recording)


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__name__}"


def _asking(module: Any) -> Callable[[str, bytes, bool], tuple[int, bytes]]:
    def ask(url: str, question: bytes, stream: bool) -> tuple[int, bytes]:  # noqa: FBT001
        with module.Client(timeout=_TIMEOUT, trust_env=False) as client:
            if not stream:
                response = client.post(url, content=question)
                return response.status_code, response.content
            with client.stream("POST", url, content=question) as response:
                return response.status_code, b"".join(response.iter_bytes())

    return ask


def _ask_requests(url: str, question: bytes, stream: bool) -> tuple[int, bytes]:  # noqa: FBT001
    with requests.Session() as session:
        session.trust_env = False
        with session.post(url, question, timeout=_TIMEOUT, stream=stream) as response:
            return response.status_code, b"".join(response.iter_content(None)) if stream else response.content


async def _ask_async(client: Any, url: str, question: bytes, stream: bool) -> tuple[int, bytes]:  # noqa: FBT001
    if isinstance(client, aiohttp.ClientSession):
        async with client.post(url, data=question) as response:
            if stream:
                return response.status, b"".join([piece async for piece in response.content.iter_any()])
            return response.status, await response.read()
    if not stream:
        response = await client.post(url, content=question)
        return response.status_code, response.content
    async with client.stream("POST", url, content=question) as response:
        return response.status_code, b"".join([piece async for piece in response.aiter_bytes()])


def main() -> None:
    """Be the worker that the variable SOAK describes."""
    told = json.loads(os.environ["SOAK"])
    log = os.open(told.pop("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    Worker(log=log, pause=len(_LANES) / told.pop("rate"), **told).run()


if __name__ == "__main__":
    main()
