"""Programs that make spans, in processes of their own, and a collector for them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from otlp_sink import OtlpSink

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

    def run(source: str, timeout: float = 60, **environ: str) -> Finished:
        script = tmp_path / "my_agent.py"
        script.write_text(PREAMBLE + textwrap.dedent(source))
        process = subprocess.run(
            [sys.executable, str(script)],
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

    return run


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as running:
        yield running
