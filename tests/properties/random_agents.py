"""Agents that do what a plan says, and the servers that they talk to."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, quote, urlsplit

from plans import CHUNKS, Ask, Call, Node, Own, Plan, Together
from servers import CUT, RESET, Acts, Seen, Server, answer, chunked, head

import rewind_auto

if TYPE_CHECKING:
    from drivers import Driver, Got

PATHS = {"chat": "/v1/chat/completions", "models": "/v1/models", "tool": "/weather"}


class World:
    """A model's host and a tool's. What each answers follows from the request and how often it came.

    Attributes:
        era: a word that is in every answer.
    """

    def __init__(self) -> None:
        self.era = ""
        self.model, self.tool = self.servers = Server(), Server()
        self._times: Counter[bytes] = Counter()
        self._lock = threading.Lock()
        for server in self.servers:
            server.on("", self._acts)

    def __enter__(self) -> Self:
        for server in self.servers:
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def begin(self, era: str) -> None:
        """Start again: nothing has been asked yet."""
        self.era = era
        self._times.clear()
        for server in self.servers:
            server.forget()

    def sent(self) -> int:
        """How many requests have come."""
        return sum(len(server.seen) for server in self.servers)

    def url(self, to: str) -> str:
        return f"{(self.tool if to == 'tool' else self.model).url}{PATHS[to]}"

    def said(self, asked: bytes) -> tuple[str, int]:
        """What is said to this, and how often it was asked before."""
        with self._lock:
            number = self._times[asked]
            self._times[asked] += 1
        return f"{self.era} {hashlib.blake2b(asked, digest_size=4).hexdigest()} {number}", number

    def _acts(self, seen: Seen) -> Acts:
        body = seen.body or parse_qs(urlsplit(seen.target).query)["q"][0].encode()
        said, number = self.said(seen.path.encode() + body)
        asked = json.loads(body)
        wrong = dict(enumerate(asked["trouble"])).get(number, "")
        wait: Acts = [asked["ms"] / 1000] if asked["ms"] else []
        return [*wait, *_acts(said, wrong, stream=asked["stream"])]


def _acts(said: str, wrong: str, *, stream: bool) -> Acts:
    chunks = [f"data: {said} {number}\n\n".encode() for number in range(CHUNKS)]
    if wrong == "reset":
        return [RESET]
    if wrong == "cut":
        return (
            chunked(chunks[:2], end=[CUT]) if stream else [head(200, [("Content-Length", "100")]), b"h", CUT]
        )
    if wrong:
        return answer({"error": said}, int(wrong))
    return chunked(chunks) if stream else answer({"said": said})


class GaveUpError(Exception):
    """The last try has failed."""


class ToolError(Exception):
    """A function of the program's own has failed."""


class Agent:
    """Does what a plan says.

    Attributes:
        ran: how often functions of the program's own have run.
    """

    def __init__(self, driver: Driver, world: World, plan: Plan) -> None:
        self.driver, self.world, self.ran = driver, world, 0
        self._plan = plan
        decorated = rewind_auto.cached_call(key=lambda _line, _node, asked: asked)
        self.functions = {
            name.strip("_"): decorated(getattr(self, name))
            for name in (("_aplain", "_agenerator") if driver.asynchronous else ("_plain", "_generator"))
        }

    def run(self) -> Any:
        """Do all of it. What was seen on the way, and what it raised."""
        return self.driver.run(self._whole())

    async def _whole(self) -> Any:
        if self.driver.asynchronous:
            asyncio.current_task().set_name("main")  # type: ignore[union-attr]  # as it is in every process
        line = Line(self, None)
        await line.alone(self._plan.body)
        return line.seen

    # --- functions of the program's own: of each kind one that is synchronous and one that is not

    def _plain(self, line: Line, node: Call, asked: list[str]) -> list[str]:
        return self.driver.run(self._aplain(line, node, asked))

    async def _aplain(self, line: Line, node: Call, asked: list[str]) -> list[str]:
        self.ran += 1
        said = [self.world.said(json.dumps(asked).encode())[0]]
        if node.kind == "raises":
            raise ToolError(*said)
        below = replace(line, seen=[], known=[*line.known, *said])
        await below.do(node.body)
        return below.known[len(line.known) :]

    def _generator(self, _line: Line, _node: Call, asked: list[str]) -> Any:
        self.ran += 1
        said = self.world.said(json.dumps(asked).encode())[0]
        for number in range(CHUNKS):
            yield f"{said} {number}"

    async def _agenerator(self, line: Line, node: Call, asked: list[str]) -> Any:
        for item in self._generator(line, node, asked):
            yield item


@dataclass
class Line:
    """One line of an agent's work: what it knows, and what it has seen.

    Attributes:
        name: of its task.
        path: in every prompt of it, so that no other line has the same.
        own: whether it is in a session of the program's own.
    """

    agent: Agent
    client: Any
    name: str = "t"
    path: str = ""
    own: bool = False
    known: list[str] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)

    async def alone(self, body: tuple[Node, ...]) -> Line:
        """`attempt` with a client of its own."""
        async with self.agent.driver.client(timeout=20) as self.client:
            return await self.attempt(body)

    async def attempt(self, body: tuple[Node, ...]) -> Line:
        """Do this, up to what raises."""
        try:
            await self.do(body)
        except Exception as error:  # noqa: BLE001 - which one it was counts
            self.seen.append(("raised", type(error), str(error)))
        return self

    async def do(self, body: tuple[Node, ...]) -> None:
        for node in body:
            if isinstance(node, Ask):
                await self._ask(node)
            elif isinstance(node, Call):
                await self._call(node)
            elif isinstance(node, Own):
                await self._own(node)
            else:
                await self._together(node)

    # --- calls

    async def _ask(self, node: Ask) -> None:
        said = [] if node.fresh else [{"role": "assistant", "content": known} for known in self.known]
        messages = [*said, {"role": "user", "content": f"{node.text}{self.path}"}]
        more = {"stream": node.stream, "trouble": node.trouble, "ms": node.ms}
        asked = json.dumps({"model": "m", "messages": messages, **more})
        for _ in range(node.tries):
            got = await self._send(node, asked)
            self.seen.append(got)
            failed = got.error is not None or got.response["status"] != 200
            if not failed:
                break
        self.known.append(got.error["type"].__name__ if got.error else _short(got.body))
        if failed and node.give_up:
            raise GaveUpError(self.known[-1])

    async def _send(self, node: Ask, asked: str) -> Got:
        driver, url = self.agent.driver, self.agent.world.url(node.to)
        if node.to != "chat":
            return await driver.exchange(self.client, "GET", f"{url}?q={quote(asked)}")
        manner, content = "raw" if node.stream else "buffered", asked.encode()
        return await driver.exchange(self.client, "POST", url, manner, take=node.take, content=content)

    async def _call(self, node: Call) -> None:
        functions = self.agent.functions
        asked = [node.kind, f"{node.text}{self.path}", *([] if node.fresh else self.known)]
        try:
            if node.kind != "generator":
                given = functions["aplain" if self.agent.driver.asynchronous else "plain"](self, node, asked)
                said = await given if self.agent.driver.asynchronous else given
            elif self.agent.driver.asynchronous:
                said = [item async for item in functions["agenerator"](self, node, asked)]
            else:
                said = list(functions["generator"](self, node, asked))
        except (ToolError, GaveUpError) as error:
            said = [f"{type(error).__name__} {error}"]
        self.seen.append(said)
        self.known += said

    # --- what is around calls

    async def _own(self, node: Own) -> None:
        below = replace(self, own=True)  # what it knows and has seen is the same
        if self.agent.driver.asynchronous:
            async with rewind_auto.session(node.name):
                await below.do(node.body)
        else:
            with rewind_auto.session(node.name):
                await below.do(node.body)

    async def _together(self, node: Together) -> None:
        tasks = self.agent.driver.asynchronous and node.how != "pool"
        lines = [
            replace(
                self,
                name=f"{self.name}.{len(self.seen)}.{number}",
                path=self.path if node.alike and tasks else f"{self.path}/{len(self.seen)}.{number}",
                known=list(self.known),
                seen=[],
            )
            for number in range(len(node.branches))
        ]
        work = list(zip(lines, node.branches, strict=True))
        done = await (self._tasks(node, work) if tasks else self._threads(node, work))
        before = len(self.known)
        for line in done:
            self.known += line.known[before:]
            self.seen.append((line.name, line.seen))

    async def _tasks(self, node: Together, work: list[tuple[Line, tuple[Node, ...]]]) -> list[Line]:
        tasks = [asyncio.create_task(line.attempt(body), name=line.name) for line, body in work]
        if node.how == "completed":
            return [await task for task in asyncio.as_completed(tasks)]
        return await asyncio.gather(*tasks)

    async def _threads(self, node: Together, work: list[tuple[Line, tuple[Node, ...]]]) -> list[Line]:
        driver = self.agent.driver
        # A thread belongs to the session that was open when it started: here all start before there is one.
        owning = any(isinstance(below, Own) for branch in node.branches for below in branch)
        started = threading.Barrier(len(work) if owning else 1)

        def job(line: Line, body: tuple[Node, ...]) -> Line:
            started.wait(20)
            return driver.run(line.alone(body) if driver.asynchronous else line.attempt(body))

        with ThreadPoolExecutor(len(work) if owning else node.workers) as pool:
            jobs = [partial(job, *one) for one in work]
            if self.own:
                jobs = [partial(contextvars.copy_context().run, one) for one in jobs]
            futures = [pool.submit(one) for one in jobs]
            if driver.asynchronous:
                return await asyncio.gather(*map(asyncio.wrap_future, futures))
            return [future.result() for future in futures]


def _short(body: bytes | str) -> str:
    text = body if isinstance(body, str) else body.decode()
    return text.strip().replace("\n", " ")[:40]
