"""A plan, run in one mode after the other against one store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from attempts import connection_attempts
from plans import Plan, Together
from random_agents import Agent, World
from trial import differences, without_secrets

import rewind_auto
from rewind_auto.core import guard
from rewind_auto.core.model import Mode, Session, Step
from rewind_auto.store import open_store

if TYPE_CHECKING:
    from drivers import Driver

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # no disk needs to be waited for


@dataclass
class Run:
    """What came of one.

    Attributes:
        seen: all that the agent saw and what it raised.
        ran: how often its functions ran.
        sent: requests that reached a server.
        said: lines of ours on stderr.
        inner: the sessions inside its session, with their steps.
    """

    seen: Any
    ran: int
    sent: int
    said: list[str]
    session: Session
    steps: list[Step]
    inner: list[tuple[Session, list[Step]]]
    clean: bool

    @property
    def all_steps(self) -> list[Step]:
        return [*self.steps, *(step for _, steps in self.inner for step in steps)]

    def decisions(self) -> list[str]:
        return [step.decision.value for step in self.all_steps]


class Runs:
    """Runs one plan, against servers that answer as it says."""

    def __init__(self, driver: Driver, plan: Plan, world: World, store: str) -> None:
        self._driver, self._plan, self._world, self._store = driver, plan, world, store
        self._number = 0
        completed = any(isinstance(node, Together) and node.how == "completed" for node in plan.nodes())
        self._environ = {"REWIND_ORDER": "recorded"} if completed else {}

    def record(self) -> Run:
        return self.run(Mode.RECORD)

    def fork(self, source: Run, cut: int) -> Run:
        return self.run(Mode.FORK, f"{source.session.id}@{cut}")

    def replay(self, source: Run) -> Run:
        """A replay with nobody there to answer."""
        self._world.stop()
        with connection_attempts() as attempts:
            replayed = self.run(Mode.REPLAY, source.session.id)
        assert attempts == []
        return replayed

    def run(self, mode: Mode, source: str | None = None) -> Run:
        """Run it, under the name ``run-N``; N is in the answers too."""
        self._number += 1
        name = f"run-{self._number}"
        self._world.begin(name)
        said: list[str] = []
        agent = Agent(self._driver, self._world, self._plan)
        hosts = [f"127.0.0.1:{server.port}" for server in self._world.servers]
        with (
            patch.object(guard, "_seen", set()),
            patch.object(guard, "say", said.append),
            patch.dict(os.environ, self._environ),
        ):
            rewind_auto.install(
                mode=mode, source=source, store=self._store, name=name, hosts=hosts[:1], tools=hosts[1:]
            )
            try:
                seen = agent.run()
            finally:
                rewind_auto.uninstall()
        return Run(seen, agent.ran, self._world.sent(), said, *self._kept(name))

    def _kept(self, name: str) -> tuple[Session, list[Step], list[tuple[Session, list[Step]]], bool]:
        with closing(open_store(self._store)) as store:
            session = store.resolve(name)
            inner = [(one, store.steps(one.id)) for one in store.sessions() if one.outer]
            ours = [(one, steps) for one, steps in reversed(inner) if _outermost(store, one) == session.id]
            return session, store.steps(session.id), ours, store.verdict(session.id).clean


def _outermost(store: Any, session: Session) -> str:
    while session.outer:
        session = store.resolve(session.outer)
    return session.id


@contextmanager
def runs_of(driver: Driver, plan: Plan) -> Iterator[Runs]:
    """For one plan, with a store and servers of their own."""
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder, World() as world, patch.dict(os.environ):
        os.environ.pop("REWIND_STORE", None)
        yield Runs(driver, plan, world, f"{folder}/rewind.db")


def same(first: Run, second: Run) -> None:
    """Both agents saw the same, and raised the same."""
    assert differences(without_secrets(first.seen), without_secrets(second.seen), exactly=True) == []
