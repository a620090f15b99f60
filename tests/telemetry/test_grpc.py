"""OTLP over gRPC, in an environment of its own that REWIND_TEST_TOOLS_PYTHON names the interpreter of.

It has to have opentelemetry-exporter-otlp-proto-grpc.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Program = Callable[..., Any]

PYTHON = os.environ.get("REWIND_TEST_TOOLS_PYTHON", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON, reason="REWIND_TEST_TOOLS_PYTHON does not name an interpreter with the gRPC exporter"
    ),
]


class Collector:
    """A collector in a process of its own. What came is there when it has ended."""

    def __init__(self, process: subprocess.Popen[str], port: str) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}"
        self.steps: Sequence[int] = ()
        self.metadata: Sequence[Mapping[str, str]] = ()

    def end(self) -> None:
        said, _ = self._process.communicate(timeout=30)
        came = json.loads(said)
        self.steps, self.metadata = came["steps"], came["metadata"]


@contextmanager
def collector(pause: float = 0.0) -> Iterator[Collector]:
    command = [PYTHON, str(Path(__file__).with_name("grpc_sink.py")), str(pause)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        running = Collector(process, process.stdout.readline().strip())
        try:
            yield running
        finally:
            running.end()


def grpc(url: str, **environ: str) -> dict[str, str]:
    return {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        **environ,
    }


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        {"OTEL_TRACES_EXPORTER": "otlp_proto_grpc"},
        {"REWIND_OTLP": "1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_spans_over_grpc(program: Program, environ: dict[str, str]) -> None:
    with collector() as running:
        done = program(
            "for step in range(1, 3001): call(step)",
            python=PYTHON,
            OTEL_EXPORTER_OTLP_ENDPOINT=running.url,
            OTEL_EXPORTER_OTLP_HEADERS="x-team=blue",
            **environ,
        )
    assert (done.code, done.err) == (0, "")
    assert running.steps == list(range(1, 3001))
    assert {metadata["x-team"] for metadata in running.metadata} == {"blue"}


def test_long_messages_stay_below_what_a_receiver_takes(program: Program) -> None:
    """By default 4 MiB; the SDK's own batches of 512 spans go beyond, and are lost whole."""
    with collector() as running:
        done = program(
            """
            def messages():
                return [{"role": "user", "parts": [{"type": "text", "content": "x" * 60_000}]}]
            for step in range(1, 201):
                start(step).end(SpanEnd("record", input_messages=messages, output_messages=messages))
            assert tracing.flush(30)
            """,
            python=PYTHON,
            **grpc(running.url, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY"),
        )
    assert (done.code, done.err) == (0, "")
    assert running.steps == list(range(1, 201))


@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)"])
def test_forks_over_grpc(program: Program, leave: str) -> None:
    with collector() as running:
        done = program(
            f"""
            for step in range(1, 51): call(step)
            tracing.flush(5)
            children = []
            for child in range(1, 9):
                if (pid := os.fork()) == 0:
                    for step in range(1000 * child, 1000 * child + 50): call(step)
                    {leave}
                children.append(pid)
            for step in range(51, 101): call(step)
            for pid in children: assert os.waitpid(pid, 0)[1] == 0
            """,
            "-Wignore",  # gRPC has threads of its own, of which Python 3.12 and later warn
            python=PYTHON,
            **grpc(running.url),
        )
    assert (done.code, done.err) == (0, "")
    children = [step for child in range(1, 9) for step in range(1000 * child, 1000 * child + 50)]
    assert running.steps == [*range(1, 101), *children]


@pytest.mark.parametrize(("pause", "spans"), [(None, 1), (None, 2000), (60, 2000)])
def test_no_collector_of_grpc_holds_up_the_exit(
    program: Program, refused: str, pause: float | None, spans: int
) -> None:
    source = f"for step in range({spans}): call(step)\nprint('END', time.time(), flush=True)\nsys.exit(3)"
    if pause is None:
        done = program(source, python=PYTHON, **grpc(refused))
    else:
        command = [PYTHON, str(Path(__file__).with_name("grpc_sink.py")), str(pause)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            done = program(
                source, python=PYTHON, **grpc(f"http://127.0.0.1:{process.stdout.readline().strip()}")
            )
            process.kill()
    assert done.code == 3
    assert 0 <= done.exit_seconds <= 2.0
    (line,) = done.err.splitlines()
    assert line.startswith("rewind-auto: the collector at 127.0.0.1:")
