"""A program run plain, recorded, and replayed with its provider stopped, and the spans of each run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from otlp_sink import OtlpSink, SunkSpan

if TYPE_CHECKING:
    from wire import Wire

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OURS = "rewind-auto"
CLIENT = 3  # SpanKind in OTLP
_INGEST = "/v1/traces/ingest"  # as many as there is time for

_LLM = {
    "gen_ai.operation.name": {"chat", "generate_content", "text_completion", "embeddings"},
    "openinference.span.kind": {"LLM", "EMBEDDING"},
}
# Logfire announces every span with another one, and adds one to tell of the end of a stream.
_NOT_SPANS = ("pending_span", "log")


def is_llm(span: SunkSpan) -> bool:
    marked = any(span.attributes.get(name) in values for name, values in _LLM.items())
    return marked and span.attributes.get("logfire.span_type") not in _NOT_SPANS


def is_http(span: SunkSpan) -> bool:
    marks = ("http.request.method", "http.method")
    return span.kind == CLIENT and not is_llm(span) and any(name in span.attributes for name in marks)


@dataclass(frozen=True)
class Run:
    """One of the three.

    Attributes:
        sent: how many requests came to the provider, without the traces of openai-agents.
        steps: as ``rewind-auto show --json`` has them; none of a plain run.
        kept: what the program wrote into the file that KEPT names.
    """

    out: str
    err: str
    sent: int
    spans: tuple[SunkSpan, ...]
    steps: Sequence[dict[str, Any]]
    kept: Sequence[Any]

    @property
    def calls(self) -> dict[str, SunkSpan]:
        """The program's own span of each call, by name, in the order of the program."""
        names = {span.name: span for span in self.spans if span.scope == "program"}
        return {name: names[name] for name in self._printed() if name in names} or names

    def below(self, span: SunkSpan) -> list[SunkSpan]:
        """All that is in ``span``, near or far."""
        children = [child for child in self.spans if child.parent_id == span.span_id]
        return [found for child in children for found in (child, *self.below(child))]

    def _printed(self) -> Iterator[str]:
        for line in self.out.splitlines():
            yield line.partition(" [")[0].partition(" {")[0].partition(' "')[0]


class Runs:
    """Runs a program of ``traced``.

    Args:
        wire: its provider.
        python: whose tools it uses.
        outside, inside: launchers of others around ours, and between ours and the program.
    """

    def __init__(
        self,
        wire: Wire,
        python: str,
        *arguments: str,
        outside: Sequence[str] = (),
        inside: Sequence[str] = (),
        **variables: str,
    ) -> None:
        self._wire = wire
        self._python = python
        self._program = [python, str(HERE / "traced" / arguments[0]), *arguments[1:]]
        self._outside, self._inside = outside, inside
        self._variables = variables

    def three(self) -> tuple[Run, Run, Run]:
        """Plain, recorded, replayed; the program must have seen the same in each."""
        plain = self.run()
        recorded = self.run("--record")
        assert (recorded.out, recorded.err) == (plain.out, plain.err)
        self._wire.stop()
        replayed = self.run("--replay", "last")
        assert (replayed.out, replayed.err) == (plain.out, plain.err)
        assert recorded.sent == plain.sent
        assert replayed.sent == 0
        return plain, recorded, replayed

    def run(self, *options: str) -> Run:
        self._wire.forget()
        rewind = [self._python, "-m", "rewind_auto.cli.run", "--hosts", "127.0.0.1", *options]
        with OtlpSink() as sink, NamedTemporaryFile() as kept:
            environ = {
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "NO_PROXY": "*",
                "KEPT": kept.name,
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{sink.url}/v1/traces",
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                **self._variables,
            }
            done = subprocess.run(
                [*self._outside, *(rewind if options else []), *self._inside, *self._program],
                env=environ,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            steps = _shown() if options else []
            lines = Path(kept.name).read_text().splitlines()
            return Run(
                done.stdout,
                done.stderr,
                sum(seen.path != _INGEST for seen in self._wire.seen),
                tuple(sink.spans),
                steps,
                [json.loads(line) for line in lines],
            )


def _shown() -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "rewind_auto.cli.main", "show", "last", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["steps"]
