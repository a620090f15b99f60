"""The ``OTEL_*`` variables, each with a program of its own and a collector that says what came."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from conftest import ROOT
from otlp_sink import OtlpSink

from rewind_auto.store import open_store

if TYPE_CHECKING:
    from offline_provider import OfflineProvider

Program = Callable[..., Any]


# --- which exporters


@pytest.mark.parametrize("exporter", ["otlp", "otlp_proto_http", " OTLP ", "otlp,otlp"])
def test_otlp_by_any_of_its_names(program: Program, sink: OtlpSink, exporter: str) -> None:
    done = program("call(1)", OTEL_TRACES_EXPORTER=exporter, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)
    assert (done.code, done.err) == (0, "")
    assert sink.steps == [1]


def test_a_list_of_exporters_gets_every_span_each(program: Program, sink: OtlpSink) -> None:
    done = program(
        "call(1)", OTEL_TRACES_EXPORTER="otlp,console", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=sink.url
    )
    assert sink.steps == [1]
    assert done.err.count('"name": "chat gpt-4o"') == 1
    assert done.out == ""


def test_an_exporter_nobody_knows_is_said_once_and_the_others_go_on(program: Program, sink: OtlpSink) -> None:
    done = program(
        "call(1)\ncall(2)", OTEL_TRACES_EXPORTER="zipkin,otlp", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url
    )
    assert done.code == 0
    assert done.err == "rewind-auto: OTEL_TRACES_EXPORTER: no exporter of spans is called zipkin\n"
    assert sink.steps == [1, 2]


def test_with_no_exporter_that_is_known_there_are_no_spans(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        assert call(1) is None
        assert call(2) is None
        """,
        OTEL_TRACES_EXPORTER="zipkin",
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
    )
    assert done.code == 0
    assert done.err == "rewind-auto: OTEL_TRACES_EXPORTER: no exporter of spans is called zipkin\n"


def test_an_exporter_that_a_package_brings_is_found_by_its_name(program: Program, tmp_path: Path) -> None:
    package = tmp_path / "site"
    described = package / "mine-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[opentelemetry_traces_exporter]\nmine = mine:Exporter\n")
    (package / "mine.py").write_text(
        "from opentelemetry.sdk.trace.export import SpanExporter\n"
        "class Exporter(SpanExporter):\n"
        "    def export(self, spans):\n"
        "        print(*(span.name for span in spans))\n"
    )
    done = program("call(1)", OTEL_TRACES_EXPORTER="mine", PYTHONPATH=f"{ROOT}:{package}")
    assert (done.code, done.out, done.err) == (0, "chat gpt-4o\n", "")


# --- where to, and how


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "{url}"}, "/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "{url}/base/"}, "/base/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{url}/x"}, "/x"),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{url}/x",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9/",
            },
            "/x",
        ),
        # What --otlp says is for this agent alone: it beats what is there for everybody.
        ({"REWIND_OTLP": "{url}", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9/"}, "/v1/traces"),
        ({"REWIND_OTLP": "{url}", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/"}, "/v1/traces"),
        ({"REWIND_OTLP": "{url}", "OTEL_TRACES_EXPORTER": "none"}, "/v1/traces"),
        ({"REWIND_OTLP": "{url}", "OTEL_TRACES_EXPORTER": "console"}, "/v1/traces"),
        ({"REWIND_OTLP": "{url}", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "/v1/traces"),
        ({"REWIND_OTLP": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": "{url}"}, "/v1/traces"),
        (
            {
                "REWIND_OTLP": "1",
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{url}/y",
            },
            "/y",
        ),
    ],
)
def test_where_spans_go(program: Program, sink: OtlpSink, environ: dict[str, str], path: str) -> None:
    done = program("call(1)", **{name: value.format(url=sink.url) for name, value in environ.items()})
    assert (done.code, done.out, done.err) == (0, "", "")
    assert sink.paths == [path]


@pytest.mark.parametrize("otlp", ["1", "{url}"])
def test_headers_go_along(program: Program, sink: OtlpSink, otlp: str) -> None:
    program(
        "call(1)",
        REWIND_OTLP=otlp.format(url=sink.url),
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-team=red",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-team=blue,authorization=Basic%20YTpi",
    )
    (headers,) = sink.headers
    assert (headers["x-team"], headers["authorization"]) == ("blue", "Basic YTpi")


@pytest.mark.parametrize(
    ("environ", "encoding"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, "gzip"),
        ({"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "deflate"}, "deflate"),
        ({"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none"}, None),
    ],
)
def test_bodies_are_compressed(
    program: Program, sink: OtlpSink, environ: dict[str, str], encoding: str | None
) -> None:
    if environ:
        environ = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", **environ}
    program("call(1)", REWIND_OTLP=sink.url, **environ)
    assert sink.steps == [1]
    assert sink.headers[0].get("Content-Encoding") == encoding


def test_the_time_out_is_that_of_the_variable(program: Program) -> None:
    with OtlpSink(pause=60) as sink:
        done = program(
            """
            call(1)
            assert tracing.flush(8), "the exporter's own time-out is 10 s"
            call(2)
            assert tracing.flush(8)
            """,
            REWIND_OTLP=sink.url,
            OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="1",
            OTEL_EXPORTER_OTLP_TIMEOUT="60",
        )
    assert done.code == 0, done.err
    assert len(done.err.splitlines()) == 1
    assert "does not take spans" in done.err


@pytest.mark.parametrize("protocol", ["http/json", "grpcc"])
def test_a_protocol_that_there_is_no_exporter_for_is_said(
    program: Program, sink: OtlpSink, protocol: str
) -> None:
    done = program(
        "call(1)",
        REWIND_OTLP="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
    )
    assert done.code == 0
    assert done.err == f"rewind-auto: OTLP over {protocol} is not there: spans go over http/protobuf\n"
    assert sink.steps == [1]


# --- TLS


class Authority:
    """A certificate authority of a test, its files, and a collector that it vouches for."""

    def __init__(self, directory: Path) -> None:
        self.other = str(directory / "other.pem")
        trustme.CA().cert_pem.write_to_path(self.other)
        self._authority = trustme.CA()
        self.certificate = str(directory / "ca.pem")
        self._authority.cert_pem.write_to_path(self.certificate)
        client = self._authority.issue_cert("client@example.org")
        self.client_key = str(directory / "key.pem")
        self.client_certificate = str(directory / "client.pem")
        client.private_key_pem.write_to_path(self.client_key)
        client.cert_chain_pems[0].write_to_path(self.client_certificate)

    def collector(self, *, asks_for_certificate: bool = False) -> OtlpSink:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert("127.0.0.1").configure_cert(context)
        if asks_for_certificate:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return OtlpSink(tls=context)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("signal", ["", "TRACES_"])
@pytest.mark.parametrize("bundle", ["", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_collector_with_a_certificate_of_its_own(
    program: Program, authority: Authority, signal: str, bundle: str
) -> None:
    """Also where the variables of requests name certificates of everybody else's servers."""
    with authority.collector() as sink:
        done = program(
            "call(1)",
            REWIND_OTLP=sink.url,
            **{"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "", bundle or "NONE": authority.other},
            **{f"OTEL_EXPORTER_OTLP_{signal}CERTIFICATE": authority.certificate},
        )
        assert (done.code, done.err) == (0, "")
        assert sink.steps == [1]


def test_a_collector_that_cannot_be_trusted_gets_nothing(program: Program, authority: Authority) -> None:
    with authority.collector() as sink:
        done = program("call(1)", REWIND_OTLP=sink.url)
        assert done.code == 0
        assert len(done.err.splitlines()) == 1
        assert "does not take spans" in done.err
        assert sink.steps == []


@pytest.mark.parametrize("signal", ["", "TRACES_"])
def test_a_collector_that_asks_for_a_certificate(program: Program, authority: Authority, signal: str) -> None:
    with authority.collector(asks_for_certificate=True) as sink:
        done = program(
            "call(1)",
            REWIND_OTLP=sink.url,
            **{
                f"OTEL_EXPORTER_OTLP_{signal}CERTIFICATE": authority.certificate,
                f"OTEL_EXPORTER_OTLP_{signal}CLIENT_KEY": authority.client_key,
                f"OTEL_EXPORTER_OTLP_{signal}CLIENT_CERTIFICATE": authority.client_certificate,
            },
        )
        assert (done.code, done.err) == (0, "")
        assert sink.steps == [1]


# --- samplers


@pytest.mark.parametrize(
    ("environ", "steps"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_on"}, range(1, 51)),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, ()),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, ()),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1"}, range(1, 51)),
    ],
)
def test_the_environments_sampler(
    program: Program, sink: OtlpSink, environ: dict[str, str], steps: Iterator[int]
) -> None:
    done = program("for step in range(1, 51): call(step)", REWIND_OTLP=sink.url, **environ)
    assert (done.code, done.err) == (0, "")
    assert sink.steps == list(steps)


def test_a_part_of_the_traces_is_sampled(program: Program, sink: OtlpSink) -> None:
    program(
        "for step in range(1, 401): call(step)",
        REWIND_OTLP=sink.url,
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.5",
    )
    assert 100 < len(sink.steps) < 300


def test_a_sampled_out_call_is_recorded_and_replayed(
    agent: Program, provider: OfflineProvider, sink: OtlpSink, store_path: Path
) -> None:
    environ = {"REWIND_OTLP": sink.url, "OTEL_TRACES_SAMPLER": "always_off"}
    recorded = agent("print(llm(1))", **environ)
    assert (recorded.code, recorded.err) == (0, "")
    replayed = agent("print(llm(1))", "--replay", "last", **environ)
    assert (replayed.code, replayed.out, replayed.err) == (0, recorded.out, "")
    assert len(provider.requests) == 1
    store = open_store(str(store_path))
    try:
        assert [step.decision for s in store.sessions() for step in store.steps(s.id)] == ["hit", "record"]
    finally:
        store.close()
    assert not sink.paths


def test_a_sampler_of_the_program_sees_what_the_conventions_ask_for(program: Program) -> None:
    done = program(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
        class Asked(Sampler):
            def get_description(self): return "asked"
            def should_sample(self, context, trace_id, name, kind, attributes, links, *rest):
                print(name, kind.name)
                for item in sorted(attributes.items()): print(*item)
                return SamplingResult(Decision.DROP)
        trace.set_tracer_provider(TracerProvider(sampler=Asked()))
        call(1)
        """
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "chat gpt-4o CLIENT",
        "gen_ai.operation.name chat",
        "gen_ai.provider.name openai",
        "gen_ai.request.model gpt-4o",
        "rewind.mode record",
        "rewind.session.id 5e55",
        "rewind.step 1",
        "server.address api.openai.com",
        "server.port 443",
    ]


def test_a_sampler_nobody_knows_is_said_once_and_spans_go_on(program: Program, sink: OtlpSink) -> None:
    done = program("call(1)\ncall(2)", REWIND_OTLP=sink.url, OTEL_TRACES_SAMPLER="mine")
    assert done.code == 0
    assert len(done.err.splitlines()) == 1
    assert sink.steps == [1, 2]


# --- queue and batches


def test_the_queue_is_as_long_as_the_variable_says(program: Program) -> None:
    with OtlpSink(pause=0.5) as sink:
        done = program(
            "for step in range(1, 31): call(step)\nassert tracing.flush(30)",
            REWIND_OTLP=sink.url,
            OTEL_BSP_MAX_QUEUE_SIZE="5",
        )
        assert done.code == 0, done.err
        assert 5 <= len(sink.steps) < 30
    (line,) = done.err.splitlines()
    assert line.endswith(" is too slow for 5 spans that wait: further ones get lost")


def test_a_batch_is_as_large_as_the_variable_says(program: Program, sink: OtlpSink) -> None:
    done = program(
        "for step in range(1, 31): call(step)\ntracing.flush(30)",
        REWIND_OTLP=sink.url,
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="4",
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == list(range(1, 31))
    assert max(sink.batches) == 4


@pytest.mark.parametrize("nonsense", ["", "no", "-5", "1.5", "0"])
def test_a_malformed_number_counts_as_not_given(program: Program, sink: OtlpSink, nonsense: str) -> None:
    done = program(
        "for step in range(1, 301): call(step)",
        REWIND_OTLP=sink.url,
        OTEL_BSP_SCHEDULE_DELAY=nonsense,
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE=nonsense,
        OTEL_BSP_MAX_QUEUE_SIZE=nonsense,
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == list(range(1, 301))


# --- limits of a span


@pytest.mark.parametrize("of", ["SPAN_", ""])
def test_values_are_as_long_as_the_variable_says(program: Program, sink: OtlpSink, of: str) -> None:
    program("call(1)", REWIND_OTLP=sink.url, **{f"OTEL_{of}ATTRIBUTE_VALUE_LENGTH_LIMIT": "4"})
    (span,) = sink.wait(1)
    assert span.attributes["server.address"] == "api."
    assert span.attributes["rewind.step"] == 1


@pytest.mark.parametrize("of", ["SPAN_", ""])
def test_attributes_are_as_many_as_the_variable_says(program: Program, sink: OtlpSink, of: str) -> None:
    program("call(1)", REWIND_OTLP=sink.url, **{f"OTEL_{of}ATTRIBUTE_COUNT_LIMIT": "3"})
    (span,) = sink.wait(1)
    assert len(span.attributes) == 3


def test_a_span_has_as_many_links_as_the_variable_says(program: Program, sink: OtlpSink) -> None:
    hit = 'start(1).end(SpanEnd("hit", link=("1" * 32, "2" * 16)))'
    program(hit, REWIND_OTLP=sink.url)
    program(hit, REWIND_OTLP=sink.url, OTEL_SPAN_LINK_COUNT_LIMIT="0")
    assert [len(span.links) for span in sink.wait(2)] == [1, 0]


def test_a_limit_that_the_sdk_refuses_is_one_line_and_no_spans(program: Program, sink: OtlpSink) -> None:
    done = program(
        """
        del os.environ["REWIND_TESTING"]
        assert call(1) is None
        assert call(2) is None
        """,
        REWIND_OTLP=sink.url,
        OTEL_SPAN_LINK_COUNT_LIMIT="many",
    )
    assert done.code == 0
    assert len(done.err.splitlines()) == 1


# --- what is nobody's business but the program's


@pytest.mark.parametrize("whose", ["private", "program"])
def test_nothing_is_injected_whatever_the_propagators(
    agent: Program, provider: OfflineProvider, sink: OtlpSink, whose: str
) -> None:
    setup = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
"""
    done = agent(
        (setup if whose == "program" else "") + "llm(1)",
        "--otlp",
        sink.url,
        OTEL_PROPAGATORS="tracecontext,baggage",
    )
    assert done.code == 0, done.err
    assert (sink.steps == [1]) == (whose == "private")
    names = {name.lower() for name, _ in provider.requests[0].headers}
    assert "authorization" in names
    assert not names & {"traceparent", "tracestate", "baggage"}


def test_a_configuration_file_is_for_the_program_to_load(program: Program, sink: OtlpSink) -> None:
    """``opentelemetry-instrument`` reads it and sets the program's provider. The private one does not."""
    done = program("call(1)", REWIND_OTLP=sink.url, OTEL_CONFIG_FILE="/nowhere/otel.yaml")
    assert (done.code, done.err) == (0, "")
    assert sink.steps == [1]


def test_a_provider_that_the_environment_names_takes_over_when_the_program_loads_it(
    program: Program, sink: OtlpSink
) -> None:
    done = program(
        """
        call(1)
        from opentelemetry import trace
        trace.get_tracer_provider()
        assert type(trace._TRACER_PROVIDER).__module__ == "opentelemetry.sdk.trace"
        call(2)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
        OTEL_PYTHON_TRACER_PROVIDER="sdk_tracer_provider",
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == [1]
