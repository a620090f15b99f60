"""The core property: a program sees the same plain, recorded, and replayed with nobody there to answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attempts import connection_attempts
from drivers import Driver, Got

from rewind_auto.core.errors import UnknownReferenceError
from rewind_auto.core.model import Decision, Ending, Mode, Recording, Step
from rewind_auto.driver import ProcessDriver
from rewind_auto.predicates import Predicates
from rewind_auto.settings import Settings

if TYPE_CHECKING:
    from servers import Server


# What a replay may show differently: cookies are secrets and not kept, and nobody has to wait for anything.
_NOT_KEPT = ("set-cookie", "cookie")
_NO_WAIT = ("retry-after", "retry-after-ms")


class Trial:
    """One scenario, run every way. All runs of it are against the same store.

    Attributes:
        served: the servers that it talks to, compared in what they saw, and stopped before a replay.
        llm_hosts: which hosts count as an LLM's.
    """

    def __init__(self, driver: Driver, store: Path, *served: Server) -> None:
        self.driver = driver
        self.store = store
        self.served = list(served)
        self.options: dict[str, Any] = {"llm_hosts": ("127.0.0.1",)}
        self.predicates: Predicates | None = None
        self.session = ""  # of the latest recording
        self.replaying = ""

    def check(self, scenario: Callable[[], Any]) -> list[Step]:
        """Run the scenario plain, recorded and replayed, and compare. Returns the recorded steps."""
        plain, sent = self.plain(scenario)
        recorded, sent_recording = self.record(scenario)
        assert differences(plain, recorded) == []
        assert differences(sent, sent_recording) == []
        steps = self.steps()
        if not steps:  # the library itself refused to go as far as the seam
            return steps
        replayed = self.replay(scenario)
        assert differences(without_secrets(plain), without_secrets(replayed)) == []
        assert differences(without_secrets(recorded), without_secrets(replayed), exactly=True) == []
        assert [step.decision for step in self.steps(self.replaying)] == [Decision.HIT] * len(steps)
        return steps

    def plain(self, scenario: Callable[[], Any]) -> tuple[Any, Any]:
        """Run it without the agent: what it saw, and what the servers saw."""
        self._forget()
        result = self.driver.run(scenario())
        return result, self._sent()

    def record(self, scenario: Callable[[], Any]) -> tuple[Any, Any]:
        """Run it recorded: what it saw, and what the servers saw."""
        self._forget()
        self.session = uuid.uuid4().hex
        with self.agent(Mode.RECORD, self.session):
            result = self.driver.run(scenario())
        return result, self._sent()

    def replay(self, scenario: Callable[[], Any], *, clean: bool = True) -> Any:
        """Run it replayed, with the servers stopped: what it saw.

        Args:
            clean: whether it has to ask for all that was recorded, and for nothing else.
        """
        for server in self.served:
            server.stop()
        self.replaying = uuid.uuid4().hex
        with (
            self.agent(Mode.REPLAY, self.replaying, source=self.session) as agent,
            connection_attempts() as attempts,
        ):
            result = self.driver.run(scenario())
            assert attempts == []
            verdict = agent.runtime().store.verdict(self.replaying)
        assert verdict.clean == clean, verdict
        return result

    def run_as(self, mode: Mode, scenario: Callable[[], Any], **options: Any) -> tuple[Any, list[Step]]:
        """Run it in a mode, the servers as they are: what it saw, and its steps. `session` is its session."""
        self._forget()
        session = uuid.uuid4().hex
        with self.agent(mode, session, **options):
            result = self.driver.run(scenario())
        self.session = session
        return result, self.steps()

    @contextmanager
    def agent(self, mode: Mode, session: str, **options: Any) -> Iterator[ProcessDriver]:
        """The agent, installed in the driver's library for the block."""
        settings = replace(
            Settings(),
            **{"mode": mode, "session_id": session, "store": str(self.store), **self.options, **options},
        )
        agent = ProcessDriver(settings, self.predicates)
        self.driver.install(agent)
        try:
            yield agent
        finally:
            self.driver.uninstall()
            agent.close()

    def steps(self, session: str = "") -> list[Step]:
        """The whole steps of the recording, or of another session."""
        with self._reading() as store:
            try:
                return list(store.steps(session or self.session))
            except UnknownReferenceError:
                return []

    def recording(self, number: int = 1, session: str = "") -> Recording:
        """What was kept of a step of the recording, or of another session."""
        with self._reading() as store:
            found = store.recording(session or self.session, number)
        assert found is not None
        return found

    def endings(self) -> list[Ending]:
        return [self.recording(step.step).ending for step in self.steps()]

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        from rewind_auto.store import open_store

        store = open_store(str(self.store))
        try:
            yield store
        finally:
            store.close()

    def _forget(self) -> None:
        for server in self.served:
            server.forget()

    def _sent(self) -> list[Any]:
        """What the servers saw, in the order of content, since parallel requests have no other."""
        for server in self.served:
            server.settle()
        return [
            (server.connections if self.driver.steady else None, sorted((s.head, s.raw) for s in server.seen))
            for server in self.served
        ]


def differences(first: Any, second: Any, where: str = "", *, exactly: bool = False) -> list[str]:
    """Where two observations differ, one line each. Empty: they are equal.

    Args:
        exactly: whether pieces that are cut by arrival have to be cut alike too.
    """
    if isinstance(first, Got) and isinstance(second, Got):
        seen = [dict(vars(got)) for got in (first, second)]
        if first.by_arrival and not exactly:
            for got, one in zip((first, second), seen, strict=True):
                one["pieces"] = got.body
        return differences(*seen, where, exactly=exactly)
    if type(first) is type(second) and isinstance(first, dict | list | tuple) and len(first) == len(second):
        keys = list(first) if isinstance(first, dict) else list(range(len(first)))
        if not isinstance(first, dict) or first.keys() == second.keys():
            return [
                line
                for key in keys
                for line in differences(first[key], second[key], f"{where}[{key!r}]", exactly=exactly)
            ]
    return [] if first == second else [f"{where}: {first!r} → {second!r}"]


def without_secrets(seen: Any) -> Any:
    """What was seen, less what a replay is allowed to show differently."""
    if isinstance(seen, Got):
        return replace(seen, response=without_secrets(seen.response))
    if isinstance(seen, dict):
        kept = {key: without_secrets(value) for key, value in seen.items()}
        if "cookies" in kept:
            kept["cookies"] = sorted(kept["cookies"])
        return kept
    if isinstance(seen, list):
        return [without_secrets(item) for item in seen if not _is_delay(item)]
    if isinstance(seen, tuple):
        if len(seen) == 2 and isinstance(seen[0], bytes):
            name, value = seen
            return (name, b"") if name.decode("latin-1").lower() in _NOT_KEPT else (name, value)
        return tuple(without_secrets(item) for item in seen if not _is_delay(item))
    return seen


def _is_delay(item: Any) -> bool:
    pair = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], bytes)
    return pair and item[0].decode("latin-1").lower() in _NO_WAIT
