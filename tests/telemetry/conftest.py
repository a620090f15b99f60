"""Programs that make spans, in processes of their own, and a collector for them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from otlp_sink import OtlpSink

if TYPE_CHECKING:
    from offline_provider import OfflineProvider

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import os, sys, time
from rewind_auto.telemetry.spans import SpanEnd, SpanStart, Tracing

tracing = Tracing(os.environ.get("REWIND_OTLP"), os.environ)

def start(step):
    return tracing.start(SpanStart("chat", "openai", "gpt-4o", "api.openai.com", 443, "record", "5e55", step))

def call(step):
    span = start(step)
    if span is not None:
        span.end(SpanEnd("record", status=200))
    return span
"""

AGENT = """
import os, sys
import httpx2

client = httpx2.Client(base_url=os.environ["BASE_URL"], timeout=30)

def llm(n):
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"question {n}"}]}
    answer = client.post("/v1/chat/completions", json=asked, headers={"Authorization": "Bearer any"})
    return answer.raise_for_status().json()["choices"][0]["message"]["content"]
"""


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str
    exit_seconds: float
    """From the program's ``print("END", time.time())`` to the end of its process."""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Finished]:
    """Runs Python source after a preamble that gives it ``tracing``, ``start(step)`` and ``call(step)``."""

    def run(
        source: str, *options: str, python: str = sys.executable, timeout: float = 60, **environ: str
    ) -> Finished:
        script = tmp_path / "my_agent.py"
        script.write_text(PREAMBLE + textwrap.dedent(source))
        return _run([python, *options, str(script)], environ, timeout)

    return run


@pytest.fixture
def agent(tmp_path: Path, provider: OfflineProvider) -> Callable[..., Finished]:
    """Runs Python source under ``rewind-run``, after a preamble whose ``llm(n)`` makes a real call."""

    def run(source: str, *options: str, timeout: float = 60, **environ: str) -> Finished:
        script = tmp_path / "my_agent.py"
        script.write_text(AGENT + textwrap.dedent(source))
        # With its port: the collector is another server on the same host.
        host = urlsplit(provider.url).netloc
        launcher = [sys.executable, "-m", "rewind_auto.cli.run", "--hosts", host, *options]
        environ = {"NO_PROXY": "*", "BASE_URL": provider.url, **environ}
        return _run([*launcher, sys.executable, str(script)], environ, timeout)

    return run


def _run(command: list[str], environ: Mapping[str, str], timeout: float) -> Finished:
    process = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    ended = time.time()
    marks = [line.split()[1] for line in process.stdout.splitlines() if line.startswith("END ")]
    return Finished(
        process.returncode, process.stdout, process.stderr, ended - float(marks[-1]) if marks else -1.0
    )


@pytest.fixture
def refused() -> str:
    """A URL where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as running:
        yield running
