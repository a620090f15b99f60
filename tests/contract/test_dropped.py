"""Streams that a program neither reads to the end nor closes: the garbage collector and the event loop do."""

from __future__ import annotations

import gc
import sys
from collections import Counter

import pytest
from drivers import DRIVERS, HTTPX_ASYNC
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from servers import HANG, chunked

from rewind_auto.core.model import Mode

CHAT = "/v1/chat/completions"
ASK = b'{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"hi"}]}'
LINES = [f"line {number}\n".encode() for number in range(6)]


async def opened(driver, client, server, manner="raw"):
    """A response of which two pieces have been read, and the iterator that gave them."""
    response = await driver.send(client, "POST", server.url + CHAT, stream=True, content=ASK)
    pieces = driver.pieces(response, manner)
    await driver.gather(pieces, [], 2)
    return response, pieces


@pytest.mark.parametrize("manner", ["raw", "lines"])
@pytest.mark.parametrize("driver", HTTPX_ASYNC, ids=repr)
def test_an_event_loop_has_as_many_generators_to_finalise(trial, server, driver, manner):
    """One of ours in between would be closed in a task of its own, beside the library's that it awaits."""
    server.on(CHAT, chunked(LINES, pause=0.005, end=[HANG]))

    async def scenario():
        made = Counter()
        hooks = sys.get_asyncgen_hooks()

        def first(generator):
            made[generator.__qualname__] += 1
            hooks.firstiter(generator)

        sys.set_asyncgen_hooks(firstiter=first)
        async with driver.client() as client:
            response, pieces = await opened(driver, client, server, manner)
            sys.set_asyncgen_hooks(*hooks)
            await driver.close(response)
            del pieces
        return dict(made)

    plain, _ = trial.plain(scenario)
    assert plain
    assert trial.record(scenario)[0] == plain


@pytest.fixture
def spans(monkeypatch):
    """What the program's tracer was told."""
    seen = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(seen))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return seen


@pytest.mark.parametrize("dropped", [True, False])
@pytest.mark.parametrize("driver", DRIVERS, ids=repr)
def test_the_span_of_a_served_stream_ends(trial, server, driver, spans, dropped):
    """Of one that is dropped with the next call, at the latest; of one that is held, with the program."""
    server.on(CHAT, chunked(LINES))
    server.on("/v1/models", chunked(LINES))
    held = []

    async def scenario():
        async with driver.client() as client:
            held.append(await opened(driver, client, server))
            if dropped:
                held.clear()
                gc.collect()
                await driver.sleep(0.02)  # an event loop finalises generators in tasks of their own
                gc.collect()
            await driver.exchange(client, "GET", f"{server.url}/v1/models")
            return len(spans.get_finished_spans())

    trial.record(scenario)
    held.clear()
    gc.collect()
    spans.clear()
    at_the_next = trial.replay(scenario)
    assert at_the_next == 1 or not dropped
    [span] = spans.get_finished_spans()
    assert span.attributes["rewind.cache.decision"] == "hit"
    assert span.attributes["rewind.mode"] == Mode.REPLAY
    held.clear()
