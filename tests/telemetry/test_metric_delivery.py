"""Metrics reach the collector from every kind of process end, beside the spans, in the time of one exit."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from otlp_sink import OtlpSink

from rewind_auto.telemetry.signals import LOGS, METRICS, ExportPlan, asked

Program = Callable[..., Any]

EVENTS = {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT": "true"}


def metrics_to(sink: OtlpSink) -> dict[str, str]:
    return {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        "OTEL_TRACES_EXPORTER": "none",
    }


@pytest.fixture
def refused() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


# --- who asks


@pytest.mark.parametrize(
    ("otlp", "environ", "expected"),
    [
        (None, {}, None),
        ("http://c:4318", {}, None),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, None),
        (None, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318"}, None),
        (None, {"OTEL_METRICS_EXPORTER": "otlp"}, ExportPlan(("otlp",))),
        (None, {"OTEL_METRICS_EXPORTER": " OTLP , console"}, ExportPlan(("otlp", "console"))),
        (None, {"OTEL_METRICS_EXPORTER": "prometheus"}, ExportPlan(("prometheus",))),
        (None, {"OTEL_METRICS_EXPORTER": "otlp,none"}, None),
        (None, {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, None),
        ("1", {"OTEL_METRICS_EXPORTER": "otlp"}, ExportPlan(("otlp",))),
        (
            "http://c:4318",
            {"OTEL_METRICS_EXPORTER": "otlp"},
            ExportPlan(("otlp",), "http://c:4318/v1/metrics"),
        ),
        (
            "http://c/x/v1/traces?key=1",
            {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://d"},
            ExportPlan(("otlp",), "http://c/x/v1/metrics?key=1"),
        ),
        (
            "http://c:4318",
            {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://d/m"},
            ExportPlan(("otlp",)),
        ),
    ],
)
def test_what_asks_for_metrics(
    otlp: str | None, environ: dict[str, str], expected: ExportPlan | None
) -> None:
    assert asked(METRICS, otlp, environ) == expected
    as_logs = {name.replace("METRICS", "LOGS"): value for name, value in environ.items()}
    plan = asked(LOGS, otlp, as_logs)
    assert (plan and plan.exporters) == (expected and expected.exporters)


@pytest.mark.parametrize(
    "environ",
    [{}, {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}, {"OTEL_LOGS_EXPORTER": "otlp"}],
)
def test_without_a_listener_nothing_is_imported_and_no_thread_runs(
    program: Program, environ: dict[str, str]
) -> None:
    done = program(
        """
        import threading
        assert not tracing.listening
        assert call(1) is None
        assert not [name for name in sys.modules if name.split(".")[0] in ("opentelemetry", "logging")]
        assert threading.active_count() == 1
        """,
        **environ,
    )
    assert (done.code, done.err) == (0, "")


def test_spans_alone_import_no_other_sdk(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        call(1)
        assert not {"opentelemetry.sdk.metrics", "opentelemetry.sdk._logs"} & sys.modules.keys()
        """,
        REWIND_OTLP=sink.url,
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == [1]


def test_metrics_alone_start_no_spans(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        assert tracing.listening
        assert call(1).trace_id is None
        assert "opentelemetry.sdk._logs" not in sys.modules
        """,
        **metrics_to(sink),
    )
    assert (done.code, done.err) == (0, "")
    assert set(sink.paths) == {"/v1/metrics"}
    assert sink.calls == {"record": 1}


def test_the_private_provider_stays_private(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        from opentelemetry import metrics
        call(1)
        assert metrics._internal._METER_PROVIDER is None
        """,
        **metrics_to(sink),
    )
    assert (done.code, done.err) == (0, "")
    point = sink.points[0]
    assert (point.scope, point.resource["service.name"]) == ("rewind-auto", "my_agent")
    assert len(point.resource["service.instance.id"]) == 36


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_a_provider_that_the_environment_names_is_left_for_the_program_to_load(
    program: Program, sink: OtlpSink, signal: str
) -> None:
    done = program(
        """
        call(1)
        from opentelemetry import metrics, trace
        from opentelemetry._logs import _internal as logs
        providers = (metrics._internal._METER_PROVIDER, trace._TRACER_PROVIDER, logs._LOGGER_PROVIDER)
        assert providers == (None, None, None)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
        OTEL_PYTHON_METER_PROVIDER="sdk_meter_provider",
        OTEL_PYTHON_TRACER_PROVIDER="sdk_tracer_provider",
        OTEL_PYTHON_LOGGER_PROVIDER="sdk_logger_provider",
        OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT="true",
        **{
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            f"OTEL_{signal.upper()}_EXPORTER": "otlp",
        },
    )
    assert (done.code, done.err) == (0, "")
    assert sink.paths == [f"/v1/{signal}"]


def test_the_programs_provider_is_used_whatever_the_variable_says(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        call(1)
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        call(2)
        (scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
        print([point.value for point in scope.metrics[0].data.data_points])
        """,
        **metrics_to(sink),
    )
    assert (done.code, done.out, done.err) == (0, "[1]\n", "")
    assert sink.calls == {"record": 1}


def test_the_console_exporter_keeps_off_stdout(program: Program) -> None:
    done = program("call(1)\nprint('mine')", OTEL_METRICS_EXPORTER="console")
    assert done.out == "mine\n"
    assert '"name": "rewind.calls"' in done.err


def test_an_exporter_that_is_not_there_costs_one_line(program: Program) -> None:
    done = program(
        """
        assert call(1) is None
        os.environ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"] = "http/protobuf"
        assert call(2) is None, "tried again"
        """,
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="grpc",
    )
    assert done.code == 0
    assert done.err == (
        "rewind-auto: no metrics are exported: the OTLP protocol is set to grpc, "
        "which needs opentelemetry-exporter-otlp-proto-grpc\n"
    )


def test_the_url_of_otlp_is_for_metrics_too(program: Program, sink: OtlpSink) -> None:
    done = program("call(1)", REWIND_OTLP=sink.url, OTEL_METRICS_EXPORTER="otlp", **EVENTS)
    assert (done.code, done.err) == (0, "")
    assert set(sink.paths) == {"/v1/traces", "/v1/metrics", "/v1/logs"}


# --- when


def test_the_first_call_is_exported_at_once_and_the_next_with_the_interval(
    program: Program, sink: OtlpSink
) -> None:
    done = program(
        """
        call(1)
        time.sleep(0.7)
        call(2)
        time.sleep(0.7)
        os.kill(os.getpid(), 9)
        """,
        **metrics_to(sink),
    )
    assert done.code == -9
    assert sink.calls == {"record": 1}


def test_the_interval_of_the_environment_is_kept(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        began, calls = time.monotonic(), 0
        while time.monotonic() - began < 1.5:
            call(1)
            calls += 1
        time.sleep(1)
        print(calls, time.monotonic() - began, flush=True)
        os.kill(os.getpid(), 9)
        """,
        OTEL_METRIC_EXPORT_INTERVAL="400",
        **metrics_to(sink),
    )
    assert done.code == -9
    calls, seconds = map(float, done.out.split())
    assert sink.calls == {"record": calls}
    assert 3 <= len(sink.paths) <= seconds / 0.4 + 2


def test_what_does_not_change_is_exported_on(program: Program, sink: OtlpSink) -> None:
    """A backend takes a series that nothing comes for any more to have ended."""
    program("call(1)\ntime.sleep(1.5)", OTEL_METRIC_EXPORT_INTERVAL="200", **metrics_to(sink))
    assert len(sink.paths) >= 3
    assert sink.calls == {"record": 1}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(7)", 7),
        ("raise ValueError('as it was')", 1),
        ("os._exit(5)", 5),
        ("signal.signal(2, signal.default_int_handler); os.kill(os.getpid(), 2)", -2),
    ],
)
def test_ways_to_end(program: Program, sink: OtlpSink, end: str, code: int) -> None:
    done = program(f"import signal\nfor step in range(100): call(step)\n{end}", **metrics_to(sink))
    assert done.code == code
    assert sink.calls == {"record": 100}


def test_what_exit_handlers_call_is_counted(program: Program, sink: OtlpSink) -> None:
    program("import atexit\natexit.register(call, 3)\ncall(1)\natexit.register(call, 2)", **metrics_to(sink))
    assert sink.calls == {"record": 3}


def test_metrics_of_many_threads_are_whole(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(call, range(2000)))
        """,
        OTEL_METRIC_EXPORT_INTERVAL="10",
        **metrics_to(sink),
    )
    assert (done.code, done.err) == (0, "")
    assert sink.calls == {"record": 2000}


# --- children


@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)"])
def test_a_forked_child_counts_from_nought(program: Program, sink: OtlpSink, leave: str) -> None:
    done = program(
        f"""
        for step in range(50): call(step)
        tracing.flush(5)
        for step in range(50): call(step)
        children = []
        for child in range(4):
            pid = os.fork()
            if pid == 0:
                for step in range(10): call(step)
                {leave}
            children.append(pid)
        for pid in children: assert os.waitpid(pid, 0)[1] == 0
        for step in range(50): call(step)
        """,
        **metrics_to(sink),
    )
    assert (done.code, done.err) == (0, "")
    assert sink.calls == {"record": 190}
    assert len({point.resource["service.instance.id"] for point in sink.points}) == 5


def test_processes_are_told_apart_where_the_sdk_does_not_do_so(program: Program, sink: OtlpSink) -> None:
    """Earlier releases give a process no ``service.instance.id``."""
    done = program(
        """
        from opentelemetry.sdk.resources import Resource
        Resource.create = classmethod(lambda cls: cls({"service.name": "mine"}))
        call(1)
        if (pid := os.fork()) == 0:
            call(2)
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        """,
        **metrics_to(sink),
    )
    assert (done.code, done.err) == (0, "")
    assert sink.calls == {"record": 2}
    assert len({point.resource["service.instance.id"] for point in sink.points}) == 2


def test_a_forked_child_that_makes_no_call_exports_nothing(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import threading
        call(1)
        tracing.flush(5)
        if (pid := os.fork()) == 0:
            print(threading.active_count(), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        """,
        **metrics_to(sink),
    )
    assert (done.code, done.out, done.err) == (0, "1\n", "")
    assert sink.paths == ["/v1/metrics"]


@pytest.mark.parametrize(
    "method",
    ["fork", *(pytest.param(method, marks=pytest.mark.slow) for method in ("spawn", "forkserver"))],
)
@pytest.mark.parametrize(
    "work",
    [
        "all = [ctx.Process(target=work, args=(n,)) for n in range(4)]; start_and_join(all)",
        "with ctx.Pool(2) as pool: pool.map(work, range(4), chunksize=1)",
        "with ProcessPoolExecutor(2, mp_context=ctx) as pool: list(pool.map(work, range(4)))",
    ],
    ids=["process", "pool", "executor"],
)
def test_children_of_multiprocessing(program: Program, sink: OtlpSink, method: str, work: str) -> None:
    done = program(
        f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def work(n):
    for step in range(3): call(step)

def start_and_join(processes):
    for process in processes: process.start()
    for process in processes: process.join()

if __name__ == "__main__":
    call(100)
    ctx = multiprocessing.get_context("{method}")
    {work}
""",
        **metrics_to(sink),
    )
    assert (done.code, done.err) == (0, "")
    assert sink.calls == {"record": 13}


def test_a_child_forked_while_the_sdk_loads_goes_without(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import signal
        with tracing._reports._meters._lock:
            if (pid := os.fork()) == 0:
                signal.alarm(5)
                os._exit(0 if call(1) is None else 1)
        print(os.waitpid(pid, 0)[1])
        call(2)
        """,
        **metrics_to(sink),
    )
    assert done.out == "0\n"
    assert sink.calls == {"record": 1}


# --- a collector that is not well


@pytest.mark.parametrize("ill", ["refused", "hanging", "unavailable"])
@pytest.mark.parametrize("leave", ["", "os._exit(0)", "tracing.close()"])
def test_no_collector_holds_up_the_exit(program: Program, refused: str, ill: str, leave: str) -> None:
    """Spans, metrics and events together."""
    behaviour = {"hanging": (200, 60.0), "unavailable": (503, 0.0), "refused": (200, 0.0)}
    with OtlpSink(*behaviour[ill]) as sink:
        done = program(
            f"""
            for step in range(500): call(step)
            print("END", time.time(), flush=True)
            {leave}
            """,
            REWIND_OTLP=refused if ill == "refused" else sink.url,
            OTEL_METRICS_EXPORTER="otlp",
            **EVENTS,
        )
    assert done.code == 0, done.err
    assert 0 <= done.exit_seconds < 5  # 1.2 of ours, and what a loaded machine takes to end a process
    assert len(done.err.splitlines()) <= 1
    if ill != "hanging":
        assert done.err.startswith("rewind-auto: the collector at 127.0.0.1:")


def test_a_collector_of_spans_that_is_dead_takes_no_metrics_with_it(program: Program, sink: OtlpSink) -> None:
    with OtlpSink(pause=60) as dead:
        done = program(
            "for step in range(500): call(step)",
            REWIND_OTLP=dead.url,
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{sink.url}/v1/metrics",
            OTEL_METRICS_EXPORTER="otlp",
        )
    assert done.code == 0
    assert "metrics" not in done.err
    assert sink.calls == {"record": 500}


def test_close_delivers_and_leaves_nothing_behind(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        import logging
        untouched = os._exit
        for step in range(20): call(step)
        assert os._exit is not untouched
        tracing.close()
        assert os._exit is untouched
        assert not logging.getLogger("urllib3.connectionpool").filters
        assert call(2) is None
        os.kill(os.getpid(), 9)
        """,
        REWIND_OTLP=sink.url,
        OTEL_METRICS_EXPORTER="otlp",
        **EVENTS,
    )
    assert (done.code, done.err) == (-9, "")
    assert sink.calls == {"record": 20}
    assert len(sink.spans) == len(sink.events) == 20


def test_the_line_on_stderr_says_what_is_lost(program: Program) -> None:
    with OtlpSink(status=404) as sink:
        done = program("call(1)", **metrics_to(sink))
        host = sink.url.removeprefix("http://")
    assert (
        done.err == f"rewind-auto: the collector at {host} does not take metrics (HTTP 404): they get lost\n"
    )


# --- exporters that a package brings

EXPORTERS = """
import json, os
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult

class Pushed(MetricExporter):
    def export(self, metrics_data, timeout_millis=10_000, **options):
        with open(os.environ["SEEN"], "w") as file: file.write(metrics_data.to_json())
        return MetricExportResult.SUCCESS
    def force_flush(self, timeout_millis=10_000): return True
    def shutdown(self, timeout_millis=30_000, **options): pass

class Pulled(InMemoryMetricReader):
    made = []
    def __init__(self):
        super().__init__()
        self.made.append(self)
"""


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    package = tmp_path / "packaged"
    described = package / "mine-1.0.dist-info"
    described.mkdir(parents=True)
    (package / "mine.py").write_text(EXPORTERS)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    points = "[opentelemetry_metrics_exporter]\npushed = mine:Pushed\npulled = mine:Pulled\n"
    (described / "entry_points.txt").write_text(points)
    return package


def test_an_exporter_that_a_package_brings(program: Program, packaged: Path, tmp_path: Path) -> None:
    done = program(
        f"sys.path.insert(0, {str(packaged)!r})\ncall(1)",
        OTEL_METRICS_EXPORTER="pushed",
        SEEN=str(tmp_path / "seen.json"),
    )
    assert (done.code, done.err) == (0, "")
    assert "rewind.calls" in (tmp_path / "seen.json").read_text()


def test_a_reader_that_fetches_by_itself(program: Program, packaged: Path, sink: OtlpSink) -> None:
    """As the one for Prometheus does."""
    done = program(
        f"""
        sys.path.insert(0, {str(packaged)!r})
        call(1)
        from mine import Pulled
        (reader,) = Pulled.made
        print("rewind.calls" in reader.get_metrics_data().to_json())
        """,
        **{**metrics_to(sink), "OTEL_METRICS_EXPORTER": "otlp,pulled"},
    )
    assert (done.code, done.out, done.err) == (0, "True\n", "")
    assert sink.calls == {"record": 1}


def test_an_exporter_that_nobody_brings_is_said_once(program: Program) -> None:
    done = program("assert call(1) is None\nassert call(2) is None", OTEL_METRICS_EXPORTER="prometheus")
    assert (done.code, done.err) == (
        0,
        "rewind-auto: OTEL_METRICS_EXPORTER: no exporter of metrics is called prometheus\n",
    )
