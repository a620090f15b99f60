"""A server in a process of its own: asked over HTTP, stopped by a signal, and all that it left behind."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from rewind_auto.core.model import Decision
from rewind_auto.store import open_store

PROGRAMS = Path(__file__).with_name("programs")
SLOW = 1.5  # seconds that an answer to "slow" takes
START = 60.0  # seconds that a server may take, on a machine that does other things


@dataclass(frozen=True)
class Left:
    """What a server left behind.

    Attributes:
        out, err: its `lines`.
    """

    code: int
    out: list[str]
    err: list[str]


class Running:
    """A server that has been started.

    Attributes:
        processes: those that have answered.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
        self._process = process
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=30)
        self._folder = folder
        self.processes: set[str] = set()

    def wait(self, answer: str = "ready") -> None:
        """Until it answers to nothing in this way."""

        def answers() -> bool:
            with suppress(httpx.TransportError):
                return self.ask("") == answer
            return False

        self._wait(answers)

    def wait_for(self, said: str, times: int = 1) -> None:
        """Until it has said this so many times, on stderr."""
        self._wait(lambda: self._read("err").count(said) >= times)

    def _wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START
        while not is_so():
            assert self._process.poll() is None, self._read("err")
            assert time.monotonic() < deadline, self._read("err")
            time.sleep(0.05)

    def ask(self, what: str) -> str:
        # A connection each: workers that are recycled close those that are idle.
        answer = self._client.get(f"/{what}", headers={"Connection": "close"})
        assert answer.status_code == 200, (answer.text, self._read("err"))
        self.processes.add(answer.headers["x-process"])
        return answer.text

    def ask_all(self, *words: str) -> list[str]:
        """All at once."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(self.ask, words))

    def stop(self, number: int = signal.SIGTERM) -> Left:
        """Send it a signal, and wait for its end."""
        self._process.send_signal(number)
        return self.end()

    def end(self) -> Left:
        code = self._process.wait(60)
        return Left(code, lines(self._read("out")), lines(self._read("err")))

    def kill(self) -> None:
        """End it and all that it started, if that is still there."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        self._client.close()

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()


@contextmanager
def running(
    command: Sequence[str], folder: Path, url: str = "", **variables: str | None
) -> Iterator[Running]:
    """Start a command whose output goes to files in ``folder``; its process group ends with the ``with``."""
    folder.mkdir(exist_ok=True)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            command,
            env=environ(variables),
            cwd=folder.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    server = Running(process, url, folder)
    try:
        if url:
            server.wait()
        yield server
    finally:
        server.kill()
        server.close()


def environ(variables: Mapping[str, str | None]) -> dict[str, str]:
    """That of the tests with the programs on its path; None takes a variable away."""
    merged = {**os.environ, "PYTHONPATH": str(PROGRAMS), "REWIND_TESTING": None, **variables}
    return {name: value for name, value in merged.items() if value is not None}


_VARIES = re.compile(
    r" \(\d+:\d\d:\d\d\)|\x1b\[\d*m|0x[0-9a-f]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|={3,}|\d+"
)


def lines(text: str) -> list[str]:
    """Those of an output, without what is another one in every run, in order of the alphabet."""
    return sorted(_VARIES.sub("", line).rstrip() for line in text.splitlines())


def free_port() -> int:
    """One that the system gives to nobody by itself."""
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")


def recorded_words(path: Path) -> list[tuple[str, str, list[str]]]:
    """Name and status of each session, the oldest first, and what was asked in it."""
    with closing(open_store(str(path))) as store:
        found = []
        for session in reversed(store.sessions()):
            steps = store.steps(session.id)
            assert {step.decision for step in steps} <= {Decision.RECORD, Decision.HIT}
            bodies = [store.recording(session.id, step.step).request.body for step in steps]
            words = sorted(json.loads(body)["messages"][0]["content"] for body in bodies)
            found.append((session.name, session.status, words))
        return found
