"""What is measured: a question of 572 bytes, an answer of 2 KB, clients, and the agent in front of them.

A client that is not on the loopback server has the library's own transport with its connection pool
replaced: all of the client is run, and no socket.

Nothing is imported here that the agent itself would import later: `benchmarks.opening` times that.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from rewind_auto.boot.hooks import ADAPTERS
from rewind_auto.core.model import Mode
from rewind_auto.driver import ProcessDriver
from rewind_auto.settings import Settings

T = TypeVar("T")

URL = "https://api.openai.com/v1/chat/completions"
ELSEWHERE = "https://weather.example.com/today"
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-abcdefghijklmnopqrstuvwx"}
_QUESTION, _ANSWER = 572, 2048  # bytes
_WORDS = "the agent asks about the weather in Oslo, then books a table for four near the old harbour. "


def question(number: int) -> bytes:
    """A chat request of 572 bytes; each number has its own."""
    start = b'{"messages":[{"role":"user","content":"%06d ' % number
    end = b'"}],"model":"gpt-4o-mini","temperature":0.7}'
    return start + (_WORDS * 7).encode()[: _QUESTION - len(start) - len(end)] + end


def _answer() -> bytes:
    said = {"role": "assistant", "content": ""}
    usage = {"prompt_tokens": 119, "completion_tokens": 402, "total_tokens": 521}
    answer = {
        "id": "chatcmpl-9Zq3n1",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
        "usage": usage,
    }
    said["content"] = (_WORDS * 22)[: _ANSWER - len(json.dumps(answer))]
    return json.dumps(answer).encode()


ANSWER = _answer()
ANSWER_HEADERS = [
    (b"Content-Type", b"application/json"),
    (b"x-request-id", b"req_1"),
    (b"Content-Length", b"%d" % len(ANSWER)),
]
EVENT = (
    b'data: {"id":"chatcmpl-9Zq3n1","object":"chat.completion.chunk","model":"gpt-4o-mini-2024-07-18",'
    b'"choices":[{"index":0,"delta":{"content":" harbour"},"finish_reason":null}]}\n\n'
)


class Chunks:
    """A body in chunks, for either kind of client."""

    def __init__(self, count: int) -> None:
        self._chunks = (*[EVENT] * count, b"data: [DONE]\n\n")

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk

    def close(self) -> None:
        """Nothing to close."""

    async def aclose(self) -> None:
        """Nothing to close."""


class Pool:
    """Stands for a connection pool: answers at once. ``body`` may be changed between calls.

    With a body of None nothing may get here: every call has to be a hit.
    """

    def __init__(self, library: str) -> None:
        core = import_module({"httpx": "httpcore", "httpx2": "httpcore2"}[library])
        self._response = core.Response
        self.body: bytes | Chunks | None = ANSWER

    def handle_request(self, _request: Any) -> Any:
        """An answer, for a synchronous transport."""
        if isinstance(self.body, bytes):
            return self._response(200, headers=ANSWER_HEADERS, content=self.body)
        if self.body is None:
            raise RuntimeError("a call was sent that should have been a hit")
        return self._response(200, headers=ANSWER_HEADERS[1:2], content=self.body)

    async def handle_async_request(self, request: Any) -> Any:
        """An answer, for an asynchronous transport."""
        return self.handle_request(request)


class Cost(NamedTuple):
    """What a block of calls took, in seconds."""

    wall: list[float]  # each call
    cpu: float  # of the process, per call

    @property
    def p50(self) -> float:
        """Median call."""
        return sorted(self.wall)[len(self.wall) // 2]


class Caller:
    """A client of one library, synchronous or not, that calls one URL.

    Args:
        library: ``httpx`` or ``httpx2``.
        url: where to; with ``pool`` no socket is opened.
        pool: the stand-in for the connection pool, or None to make real connections.
    """

    def __init__(self, library: str, *, asynchronous: bool, url: str = URL, pool: Pool | None = None) -> None:
        self.library = library
        self.module: ModuleType = import_module(library)
        self.url = url
        self.method = "GET" if url == ELSEWHERE else "POST"
        self.name = f"{library} {'async' if asynchronous else 'sync'}"
        self.client: Any
        self._loop = asyncio.new_event_loop() if asynchronous else None
        if asynchronous:
            transport = self.module.AsyncHTTPTransport(verify=False)
            self.client = self.module.AsyncClient(transport=transport)
        else:
            transport = self.module.HTTPTransport(verify=False)
            self.client = self.module.Client(transport=transport)
        if pool is not None:
            transport._pool = pool  # noqa: SLF001 - the one place below all of the client's own code

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the one event loop of an asynchronous client."""
        assert self._loop is not None
        return self._loop.run_until_complete(work)

    def calls(self, bodies: Sequence[bytes]) -> Cost:
        """One call after the other."""
        if self._loop is not None:
            return self.wait(self._acalls(bodies))
        request, clock, wall = self.client.request, time.perf_counter, []
        cpu = time.process_time()
        for body in bodies:
            start = clock()
            request(self.method, self.url, content=body, headers=HEADERS)
            wall.append(clock() - start)
        return Cost(wall, (time.process_time() - cpu) / max(1, len(bodies)))

    async def _acalls(self, bodies: Sequence[bytes]) -> Cost:
        request, clock, wall = self.client.request, time.perf_counter, []
        cpu = time.process_time()
        for body in bodies:
            start = clock()
            await request(self.method, self.url, content=body, headers=HEADERS)
            wall.append(clock() - start)
        return Cost(wall, (time.process_time() - cpu) / max(1, len(bodies)))

    def streams(self, bodies: Sequence[bytes]) -> Cost:
        """One stream after the other, read to its end; ``wall`` is the time to the first chunk."""
        if self._loop is not None:
            return self.wait(self._astreams(bodies))
        clock, wall = time.perf_counter, []
        cpu = time.process_time()
        for body in bodies:
            start = clock()
            with self.client.stream(self.method, self.url, content=body, headers=HEADERS) as response:
                chunks = response.iter_raw()
                next(chunks)
                wall.append(clock() - start)
                for _ in chunks:
                    pass
        return Cost(wall, (time.process_time() - cpu) / max(1, len(bodies)))

    async def _astreams(self, bodies: Sequence[bytes]) -> Cost:
        clock, wall = time.perf_counter, []
        cpu = time.process_time()
        for body in bodies:
            start = clock()
            async with self.client.stream(self.method, self.url, content=body, headers=HEADERS) as response:
                chunks = response.aiter_raw()
                await anext(chunks)
                wall.append(clock() - start)
                async for _ in chunks:
                    pass
        return Cost(wall, (time.process_time() - cpu) / max(1, len(bodies)))


class Agent:
    """The agent as it is in a process: a driver, and the adapter put into a library for as long as needed."""

    def __init__(self, module: ModuleType, store: Path, *, source: str | None = None) -> None:
        self.module = module
        self._adapter: Any = import_module(ADAPTERS[module.__name__])  # as the hooks do
        mode = Mode.RECORD if source is None else Mode.REPLAY
        self.driver = ProcessDriver(
            Settings(
                mode=mode,
                source=source,
                session_id=os.urandom(16).hex(),
                store=str(store),
                llm_hosts=("127.0.0.1",),
            )
        )

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put the adapter in, and take it out again."""
        self._adapter.install(self.module, self.driver)
        try:
            yield
        finally:
            self._adapter.uninstall(self.module)

    def around(self, warm: Callable[[], object], work: Callable[[], float]) -> Callable[[], float]:
        """``work`` under the agent, as a variant. ``warm`` goes first: the interpreter specialises anew."""

        def run() -> float:
            with self.installed():
                warm()
                return work()

        return run

    def close(self) -> None:
        """Let go of the store."""
        self.driver.close()
