"""The whole span of every wire shape: recorded, failed, left, served, refused. Only the host is not real.

A shape added to ``samples.EXCHANGES`` needs its snapshots: write them (again), and read what was written::

    REWIND_TEST_WRITE_SNAPSHOTS=1 .venv/bin/pytest -n 0 tests/telemetry/test_span_snapshots.py

Of each exchange the file has the recorded span as it is, and of the others what is different: of a hit from
the span that it repeats, of the rest from the recorded one. null: there is no such attribute.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from conventions import check_span
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from samples import EXCHANGES, Exchange
from servers import CUT, HANG, Acts, Server, answer, chunked, reply

from rewind_auto.adapters import httpx as adapter
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Mode
from rewind_auto.driver import ProcessDriver
from rewind_auto.settings import Settings
from rewind_auto.telemetry.content import CAPTURE_VARIABLE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

SNAPSHOTS = Path(__file__).with_name("snapshots")
WRITE = "REWIND_TEST_WRITE_SNAPSHOTS"
DIGEST = r"[0-9a-f]{32}"
_MEMORY = Path("/dev/shm")

NOTHING: Acts = [CUT]  # in a replay nobody asks for it

Case = dict[str, Any]

# The errors of the providers that have a form of their own; the others copy OpenAI's.
TOO_FAST = "Rate limit reached for requests"
ERRORS: dict[str, Any] = {
    "anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": TOO_FAST}},
    "gcp.gemini": {"error": {"code": 429, "message": TOO_FAST, "status": "RESOURCE_EXHAUSTED"}},
    "gcp.vertex_ai": {"error": {"code": 429, "message": TOO_FAST, "status": "RESOURCE_EXHAUSTED"}},
    "aws.bedrock": {"message": TOO_FAST},
    "cohere": {"message": TOO_FAST},
    "ollama": {"error": TOO_FAST},
}
ERROR = {"error": {"message": TOO_FAST, "type": "requests", "param": None, "code": "rate_limit_exceeded"}}


class Scene:
    """A provider behind a proxy, a client that is told of no other way, and the spans of their exchanges."""

    def __init__(self, exchange: Exchange, store: Path, seen: InMemorySpanExporter) -> None:
        self.exchange = exchange
        self.store = store
        self.seen = seen
        self.provider = Server().start()
        self.recorded: dict[tuple[str, int], ReadableSpan] = {}

    def run(self, mode: Mode, cases: dict[str, Acts]) -> Iterator[tuple[str, Case]]:
        """One session, named after its mode, with a call for each case. A replay is of the recorded one.

        So is a fork, at its second step.
        """
        source = {Mode.REPLAY: Mode.RECORD, Mode.FORK: f"{Mode.RECORD}@2"}.get(mode)
        driver = ProcessDriver(
            Settings(mode=mode, session_id=mode, session_name=mode, source=source, store=str(self.store))
        )
        adapter.install(httpx2, driver)
        try:
            with httpx2.Client(proxy=self.provider.url, trust_env=False) as client:
                for name, acts in cases.items():
                    self.provider.on(self.exchange.path.partition("?")[0], acts)
                    self._call(client, most=1 if name.startswith("left") else None)
                    yield name, self._case()
        finally:
            adapter.uninstall(httpx2)
            driver.close()

    def _call(self, client: httpx2.Client, most: int | None) -> None:
        """The exchange, as far as it goes; ``most``: chunks of the answer that are read of it."""
        url = self.exchange.url.replace("https://", "http://")  # which a proxy answers without a tunnel
        headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-none"}
        try:
            with client.stream("POST", url, content=self.exchange.request, headers=headers) as response:
                for read, _ in enumerate(response.iter_raw(), start=1):
                    if read == most:
                        return
        except (httpx2.TransportError, RewindReplayDivergenceError):
            pass

    def _case(self) -> Case:
        """The span of the call that was just made, without what is different each time."""
        (span,) = self.seen.get_finished_spans()
        self.seen.clear()
        check_span(span)
        assert span.parent is None
        assert not span.events
        found = dict(span.attributes or {})
        self.recorded[found["rewind.session.id"], found["rewind.step"]] = span
        if found["rewind.cache.decision"] == "hit":
            source = self.recorded[found["rewind.source.session.id"], found["rewind.source.step"]]
            assert source.context is not None
            linked = [(link.context.trace_id, link.context.span_id) for link in span.links]
            assert linked == [(source.context.trace_id, source.context.span_id)]
            assert found["rewind.fingerprint"] == (source.attributes or {})["rewind.fingerprint"]
        else:
            assert not span.links
        if "gen_ai.response.time_to_first_chunk" in found:
            assert 0 < found["gen_ai.response.time_to_first_chunk"] < 60
            found["gen_ai.response.time_to_first_chunk"] = "SECONDS"
        assert re.fullmatch(DIGEST, found["rewind.fingerprint"])
        found["rewind.fingerprint"] = "DIGEST"
        said = span.status.description
        if said and found["rewind.cache.decision"] == "blocked":
            assert said.startswith("strict replay: "), "the rest of it is for other tests"
            said = "strict replay: …"
        status = span.status.status_code.name + (f": {said}" if said else "")
        return {"name": span.name, "kind": span.kind.name, "status": status, **dict(sorted(found.items()))}


def whole(exchange: Exchange) -> Acts:
    headers = [("Content-Type", exchange.content_type)]
    return chunked(exchange.chunks, headers) if exchange.stream else reply(exchange.body, headers=headers)


def cut(exchange: Exchange) -> Acts:
    """The connection breaks after half of the answer."""
    headers = [("Content-Type", exchange.content_type)]
    if exchange.stream:
        return chunked(exchange.chunks[: len(exchange.chunks) // 2], headers, end=(CUT,))
    body = exchange.body
    return [*reply(body[: len(body) // 2], headers=headers, length=len(body)), CUT]


def left(exchange: Exchange) -> Acts:
    """One chunk comes, and the program does not wait for the next."""
    return chunked(exchange.chunks[:1], [("Content-Type", exchange.content_type)], end=(HANG,))


def spans(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> dict[str, Case]:
    """Every span that this exchange can have, by what became of it; those of a cache have its content."""
    exchange = scene.exchange
    ends = {
        "record": whole(exchange),
        "error": answer(ERRORS.get(exchange.provider, ERROR), 429),
        "cut": cut(exchange),
        **({"left": left(exchange)} if exchange.stream else {}),
        "no answer": [CUT],
    }
    cached = {"miss": whole(exchange), "miss, hit": NOTHING}
    with monkeypatch.context() as changed:
        changed.setenv(CAPTURE_VARIABLE, "SPAN_ONLY")
        found = dict(scene.run(Mode.CACHE, cached))
    found |= scene.run(Mode.RECORD, ends)
    found |= scene.run(Mode.FORK, {"forked, hit": NOTHING, "forked": whole(exchange)})
    found |= scene.run(Mode.REPLAY, {**{f"{name}, hit": NOTHING for name in ends}, "blocked": NOTHING})
    return found


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The program's own provider is set, and its spans are kept."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@contextmanager
def _store(tmp_path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else tmp_path) as directory:
        yield Path(directory) / "rewind.db"


def snapshot(name: str) -> Path:
    return SNAPSHOTS / f"{name.removesuffix(' stream')}.json"


def differing(cases: dict[str, Case]) -> dict[str, Case]:
    """The recorded span as it is, and of every other what is different."""
    found = {"record": cases["record"]}
    for name, case in cases.items():
        if name != "record":
            base = cases[name.removesuffix(", hit") if name.endswith(", hit") else "record"]
            gone = dict.fromkeys(key for key in base if key not in case)
            found[name] = {key: case[key] for key in case if case[key] != base.get(key)} | gone
    return found


def rendered(value: Any, depth: int = 3) -> str:
    """JSON with a line for each attribute."""
    if not depth or not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    pad = " " * (4 - depth)
    lines = (f"{pad}{json.dumps(key)}: {rendered(inner, depth - 1)}" for key, inner in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{pad[1:]}}}"


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_spans_of(
    name: str, tmp_path: Path, seen: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _store(tmp_path) as store:
        scene = Scene(EXCHANGES[name], store, seen)
        try:
            found = differing(spans(scene, monkeypatch))
        finally:
            scene.provider.stop()
    path = snapshot(name)
    kept = json.loads(path.read_text()) if path.exists() else {}
    if os.environ.get(WRITE):
        kept[name] = found
        path.write_text(rendered(kept) + "\n")
    assert name in kept, f"no snapshot of {name!r}: see above how to write one"
    # As text: 1 and 1.0 are equal in Python and two types in a backend.
    assert rendered(found) == rendered(kept[name])


def test_no_snapshot_is_of_something_that_is_gone() -> None:
    assert {path.name for path in SNAPSHOTS.iterdir()} == {snapshot(name).name for name in EXCHANGES}
    assert {name for path in SNAPSHOTS.iterdir() for name in json.loads(path.read_text())} == set(EXCHANGES)
