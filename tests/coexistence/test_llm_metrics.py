"""Instrumentations that measure LLM calls, or not: each call is measured once, and its details told once."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from offline_provider import OfflineProvider

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OURS = "rewind-auto"

PROGRAM = """
import json, os, sys
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

tool, sampled = sys.argv[1:]
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_ON if sampled == "sampled" else ALWAYS_OFF))
told = InMemoryLogRecordExporter()
_logs.set_logger_provider(logger_provider := LoggerProvider())
logger_provider.add_log_record_processor(SimpleLogRecordProcessor(told))

if tool == "genai":
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()
elif tool == "openllmetry":
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()
elif tool == "openinference":
    from openinference.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()

import rewind_auto
rewind_auto.install()

from anthropic import Anthropic
from openai import OpenAI

llm = OpenAI(base_url=os.environ["BASE_URL"] + "/v1", api_key="any")
asked = [{"role": "user", "content": "hello"}]
llm.chat.completions.create(model="chat", messages=asked)
list(llm.chat.completions.create(model="stream", messages=asked, stream=True))
llm.responses.create(model="response", input="hello")
llm.embeddings.create(model="embedding", input="hello")
Anthropic(base_url=os.environ["BASE_URL"], api_key="any").messages.create(
    model="message", max_tokens=9, messages=asked)

MODEL = ("gen_ai.request.model", "gen_ai.response.model")
measured = {}
for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics:
    for metric in scope.metrics:
        for point in metric.data.data_points:
            model = next((point.attributes[name] for name in MODEL if name in point.attributes), None)
            count = getattr(point, "count", None) or point.value
            measured.setdefault(metric.name, []).append([model, scope.scope.name, count])
details = [
    [found.log_record.attributes["gen_ai.request.model"], found.instrumentation_scope.name]
    for found in told.get_finished_logs()
    if found.log_record.event_name == "gen_ai.client.inference.operation.details"
]
print(json.dumps([measured, details]))
"""

ALL = {"chat", "stream", "response", "embedding", "message"}


@pytest.mark.parametrize(
    ("tool", "sampled", "measured_by_us", "told_by_us"),
    [
        ("nothing", "sampled", ALL, ALL),
        ("genai", "sampled", {"message"}, {"message"}),
        ("genai", "not", {"message"}, {"message"}),
        ("openllmetry", "sampled", {"response"}, ALL),
        ("openinference", "sampled", ALL, ALL),
    ],
)
def test_each_call_is_measured_once(
    provider: OfflineProvider,
    python: str,
    tmp_path: Path,
    tool: str,
    sampled: str,
    measured_by_us: set[str],
    told_by_us: set[str],
) -> None:
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "BASE_URL": provider.url,
        "REWIND_LLM_HOSTS": "127.0.0.1",
        "REWIND_STORE": str(tmp_path / "rewind.db"),
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "EVENT_ONLY",
    }
    done = subprocess.run(
        [python, "-c", PROGRAM, tool, sampled], env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    measured, details = json.loads(done.stdout)
    durations: list[Any] = measured["gen_ai.client.operation.duration"]
    assert sorted(model for model, _, _ in durations) == sorted(ALL)
    assert {count for _, _, count in durations} == {1}
    assert {model for model, scope, _ in durations if scope == OURS} == measured_by_us
    assert {model for model, _, _ in measured["rewind.calls"]} == ALL
    inferences = ALL - {"embedding"}
    assert sorted(model for model, _ in details) == sorted(inferences)
    assert {model for model, scope in details if scope == OURS} == told_by_us & inferences
