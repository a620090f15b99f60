"""Backends, each a server started once, and runs of programs that export to them.

``./dev test`` installs autotel-devtools, and ``./dev test --full`` the two others, each apart from the rest,
and says in ``REWIND_TEST_*`` where.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from devtools_backend import Devtools
from mlflow_backend import MLflow
from offline_provider import OfflineProvider
from phoenix_backend import Phoenix

if TYPE_CHECKING:
    from backend import Backend, Found

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "examples" / "agent.py"
LINGERING = Path(__file__).with_name("lingering.py")

_BACKENDS: dict[str, Callable[[Path, Path], Backend]] = {
    "DEVTOOLS": Devtools,
    "PHOENIX_PYTHON": Phoenix,
    "MLFLOW_PYTHON": MLflow,
}


def _param(place: str, *marks: pytest.MarkDecorator) -> Any:
    # One server for all its tests: they go to one worker.
    marks = (*marks, pytest.mark.xdist_group(place))
    return pytest.param(place, id=place.partition("_")[0].lower(), marks=marks)


_SLOW = pytest.mark.slow, pytest.mark.timeout(300)


@pytest.fixture(
    scope="session",
    params=[_param("DEVTOOLS"), _param("PHOENIX_PYTHON", *_SLOW), _param("MLFLOW_PYTHON", *_SLOW)],
)
def backend(request, tmp_path_factory) -> Iterator[Backend]:
    """A running backend."""
    where = os.environ.get(f"REWIND_TEST_{request.param}")
    if not where:
        pytest.skip(f"REWIND_TEST_{request.param} is not set: ./dev test installs it where it can")
    with _BACKENDS[request.param](tmp_path_factory.mktemp("backend"), Path(where)) as running:
        yield running


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


class Lab:
    """Runs programs under rewind-run, with a store and an offline provider of their own.

    Attributes:
        provider: stop it, and only recordings answer.
        otlp: the option that sends spans to the backend.
    """

    def __init__(self, backend: Backend, folder: Path) -> None:
        backend.fresh()
        self.provider = OfflineProvider().start()
        self._folder = folder
        # No variable of a backend's settings, nor one of the tests' own: a user has none of them.
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("REWIND_")},
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "REWIND_STORE": str(folder / "rewind.db"),
            "AGENT_MODEL": "gpt-4o",  # which every backend has a price for
            "OPENAI_API_KEY": "any",
            "OPENAI_BASE_URL": f"{self.provider.url}/v1",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
            **backend.environ,
        }
        self.otlp = f"--otlp={backend.url}"
        self._pace = backend.pace

    def program(self, path: Path, *args: str, python: str = sys.executable, spans: int = 100) -> list[str]:
        """The command of a program that lives long enough to get this many spans delivered."""
        return [python, str(LINGERING), str(self._pace * spans / 100), str(path), *args]

    def run(self, *words: str | Path, python: str = sys.executable, **environ: str) -> Finished:
        """``rewind-run`` with these words."""
        return self._call(python, "rewind_auto.cli.run", "--hosts=127.0.0.1", *words, **environ)

    def show(self, ref: str) -> dict[str, Any]:
        """What ``rewind-auto show`` says of a session."""
        shown = self._call(sys.executable, "rewind_auto.cli.main", "show", ref, "--json")
        assert shown.code == 0, shown.err
        session: dict[str, Any] = json.loads(shown.out)
        return session

    def _call(self, python: str, module: str, *words: str | Path, **environ: str) -> Finished:
        done = subprocess.run(
            [python, "-m", module, *map(str, words)],
            env={**self._environ, **environ},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=100,
        )
        return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def lab(backend, tmp_path) -> Iterator[Lab]:
    """Programs in a space of the backend that is empty at first."""
    made = Lab(backend, tmp_path)
    yield made
    made.provider.stop()


@dataclass(frozen=True)
class Runs:
    """The agent recorded, and replayed with its provider gone: what it printed, and what is known of both.

    Attributes:
        spans: what the backend has of both runs, by id.
        queried: the ids that its query for a decision finds.
    """

    printed: str
    recorded: dict[str, Any]
    replayed: dict[str, Any]
    spans: dict[str, Found]
    queried: dict[str, set[str]]

    def of(self, session: dict[str, Any]) -> list[tuple[dict[str, Any], Found]]:
        """Each step of a session with its span."""
        return [(step, self.spans[step["span_id"]]) for step in session["steps"]]


@pytest.fixture(scope="session")
def runs(backend, tmp_path_factory) -> Runs:
    """The example agent, once recorded and once replayed."""
    lab = Lab(backend, tmp_path_factory.mktemp("runs"))
    live = lab.run(lab.otlp, "--name", "live", *lab.program(AGENT))
    lab.provider.stop()
    again = lab.run(lab.otlp, "--name", "again", "--replay", "live", *lab.program(AGENT))
    assert (live.code, again.code) == (0, 0), live.err + again.err
    assert live.out == again.out
    recorded, replayed = lab.show("live"), lab.show("again")
    found = backend.wait(len(recorded["steps"]) + len(replayed["steps"]))
    spans = {span.span_id: span for span in found}
    assert len(spans) == len(found)
    queried = {decision: backend.find(backend.query(decision)) for decision in ("record", "hit")}
    return Runs(live.out, recorded, replayed, spans, queried)
