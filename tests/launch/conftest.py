"""What the tests of programs under rewind-run share: a provider, and the interpreter that has the tools."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from launching import Place, echo
from servers import Acts, Seen, Server
from serving import SLOW


@pytest.fixture
def server() -> Iterator[Server]:
    """Answers what it is asked; to "slow" after `SLOW` seconds."""

    def answer(seen: Seen) -> Acts:
        acts = echo(seen)
        return [SLOW, *acts] if b'"slow' in seen.body else acts

    with Server() as running:
        running.on("", answer)
        yield running


@pytest.fixture
def python() -> str:
    """That of the environment with servers, runners and launchers (``./dev test --full``)."""
    found = os.environ.get("REWIND_TEST_LAUNCH_PYTHON", "")
    if not found:
        pytest.skip("REWIND_TEST_LAUNCH_PYTHON does not name an interpreter with the tools")
    return found


@pytest.fixture
def tracers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """opentelemetry-instrument and ddtrace-run send nothing to where nobody is."""
    for signal in ("TRACES", "METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    for variable in ("INSTRUMENTATION_TELEMETRY", "REMOTE_CONFIGURATION", "CRASHTRACKING"):
        monkeypatch.setenv(f"DD_{variable}_ENABLED", "false")
    with Server() as agent:  # of Datadog's; it takes everything
        monkeypatch.setenv("DD_TRACE_AGENT_URL", agent.url)
        yield


@pytest.fixture
def place(tmp_path: Path, server: Server) -> Place:
    """A directory for programs, and a store beside it."""
    (tmp_path / "program").mkdir()
    return Place(tmp_path / "program", tmp_path / "store" / "rewind.db", server)
