"""A program that makes an LLM call, and how it is started: by itself, and under ``rewind-run``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from servers import Acts, Seen, Server, answer

from rewind_auto.core.model import Step
from rewind_auto.store import open_store

ROOT = Path(__file__).parents[2]
PY = sys.executable


def launcher(root: Path = ROOT) -> tuple[str, ...]:
    """The words that start rewind-run, from a checkout. What is on PYTHONPATH is the command's business."""
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from rewind_auto.cli import run; run.main()"
    return (PY, "-I", "-c", code, "--hosts", "127.0.0.1")


LAUNCHER = launcher()

ASK = """
import os, sys, httpx
def ask(what):
    request = {"model": "m", "messages": [{"role": "user", "content": str(what)}]}
    return httpx.post("%s/v1/chat/completions", json=request, trust_env=False).json()["said"]
"""
SAY = "print(ask('hello'), flush=True); print('err', file=sys.stderr); sys.exit(3)\n"


def echo(seen: Seen) -> Acts:
    """The answer to ``ask(what)``: what was asked."""
    return answer({"said": json.loads(seen.body)["messages"][-1]["content"]})


@dataclass
class Launch:
    """A command, and what it needs.

    Attributes:
        variables: further ones of its environment; None takes one away.
        around: what starts it, or the launcher that does.
        steps: how many calls it makes that the agent can see.
        launcher: what is put in front of it to record it.
    """

    command: Sequence[str]
    stdin: str = ""
    variables: Mapping[str, str | None] = field(default_factory=dict)
    around: Sequence[str] = ()
    steps: int = 1
    launcher: Sequence[str] = LAUNCHER


@dataclass
class Place:
    """A directory for programs, a store, and a server to ask."""

    path: Path
    store: Path
    server: Server

    @property
    def ask(self) -> str:
        """Source of a function ``ask(what)`` that makes an LLM call."""
        return ASK % self.server.url

    @property
    def agent(self) -> str:
        """Source of a program that makes one, and ends with 3."""
        return self.ask + SAY

    def write(self, name: str, text: str, mode: int = 0o644) -> str:
        """A file of the program's. Returns its path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def start(self, launch: Launch, *launcher: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it to its end, with these words in front."""
        kept = {n: v for n, v in os.environ.items() if n not in ("REWIND_TESTING", "PYTHONPATH")}
        environ = {**kept, "REWIND_STORE": str(self.store), **launch.variables}
        return subprocess.run(
            [*launch.around, *launcher, *launch.command],
            env={name: value for name, value in environ.items() if value is not None},
            cwd=self.path,
            input=launch.stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def steps(self, store: Path | None = None) -> list[Step]:
        """Those of the newest session, none if there is no store."""
        path = store or self.store
        if not path.exists():
            return []
        with closing(open_store(str(path))) as opened:
            return opened.steps(opened.sessions()[0].id)
