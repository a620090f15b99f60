"""Nothing gets lost at the rate at which a replay makes spans, and what waits stays small."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from otlp_sink import OtlpSink

Program = Callable[..., Any]

CALLS = 5000


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("content", ["NO_CONTENT", "SPAN_ONLY"])
def test_every_span_of_a_long_replay_arrives_once(agent: Program, sink: OtlpSink, content: str) -> None:
    """Called by one thread, and by twenty: the quickest there is."""
    threads = f"""
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(20) as pool:
            print(len(list(pool.map(llm, range({CALLS})))))
        """
    assert agent(threads, timeout=300).out == f"{CALLS}\n"
    for program in (threads, f"print(len([llm(n) for n in range({CALLS})]))"):
        done = agent(
            program,
            "--replay",
            "last" if program is threads else "my_agent",
            "--otlp",
            sink.url,
            timeout=300,
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=content,
        )
        assert (done.code, done.out, done.err) == (0, f"{CALLS}\n", "")
        assert sink.steps == list(range(1, CALLS + 1))
        assert len({span.span_id for span in sink.spans}) == CALLS
        assert {span.attributes["rewind.cache.decision"] for span in sink.spans} == {"hit"}
        assert ("gen_ai.input.messages" in sink.spans[0].attributes) == (content == "SPAN_ONLY")
        sink.spans.clear()


def test_long_messages_that_wait_take_bounded_memory(program: Program, refused: str) -> None:
    """The collector is down, the run is long, and each span has a quarter of a megabyte."""
    done = program(
        """
        import tracemalloc
        texts = [f"{n}" + "x" * 64_000 for n in range(4)]
        def messages(n):
            return lambda: [{"role": "user", "parts": [{"type": "text", "content": texts[n]}]}]
        def loaded(step):
            start(step).end(SpanEnd("record", system_instructions=messages(0), input_messages=messages(1),
                output_messages=messages(2), tool_definitions=messages(3)))
        for step in range(10): loaded(step)
        tracemalloc.start()
        for step in range(1000): loaded(step)
        print(tracemalloc.get_traced_memory()[1] >> 20)
        """,
        REWIND_OTLP=refused,
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY",
    )
    assert done.code == 0
    assert 10 < int(done.out) < 130, "megabytes, of the 250 that there are"
    assert len(done.err.splitlines()) == 1


def test_long_messages_go_in_portions(program: Program, sink: OtlpSink) -> None:
    """A receiver of gRPC takes 4 MiB by default, and the HTTP exporter drops what is above 64."""
    done = program(
        """
        def messages():
            return [{"role": "user", "parts": [{"type": "text", "content": "é" * 60_000}]}]
        for step in range(1, 201):
            start(step).end(SpanEnd("record", input_messages=messages, output_messages=messages))
        assert tracing.flush(30)
        """,
        REWIND_OTLP=sink.url,
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY",
        OTEL_BSP_SCHEDULE_DELAY="60000",
    )
    assert (done.code, done.err) == (0, "")
    assert sink.steps == list(range(1, 201))
    assert max(sink.sizes) < 4 << 20
    assert max(sink.batches) > 1
