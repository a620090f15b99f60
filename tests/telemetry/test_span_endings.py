"""When a span ends, and what it then says of the end."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import requests
from conventions import check_span
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from servers import CUT, HANG, Acts, Server, answer, chunked, head, reply, sse

from rewind_auto.boot.hooks import ADAPTERS
from rewind_auto.core.model import Mode
from rewind_auto.driver import ProcessDriver
from rewind_auto.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

CHAT = "/v1/chat/completions"
ASK = json.dumps({"model": "gpt-4o", "messages": [], "stream": True}).encode()
PIECE = json.dumps({"id": "c", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "Hi"}}]})


class Agent:
    """A process that records, and what its tracer was told."""

    def __init__(self, store: Path, seen: InMemorySpanExporter, proxy: Server) -> None:
        self.store = store
        self.seen = seen
        self.proxy = proxy

    @contextmanager
    def running(
        self, mode: Mode = Mode.RECORD, *, library: ModuleType = httpx2, **settings: Any
    ) -> Iterator[None]:
        source = "record" if mode is Mode.REPLAY else None
        given = {"mode": mode, "session_id": mode.value, "source": source, "store": str(self.store)}
        driver = ProcessDriver(Settings(**{**given, **settings}))
        adapter: Any = import_module(ADAPTERS[library.__name__])
        adapter.install(library, driver)
        try:
            yield
        finally:
            adapter.uninstall(library)
            driver.close()

    def client(self) -> httpx2.Client:
        return httpx2.Client(proxy=self.proxy.url, trust_env=False)

    def ended(self) -> list[ReadableSpan]:
        """The spans that have ended since the last look."""
        spans = list(self.seen.get_finished_spans())
        self.seen.clear()
        for span in spans:
            check_span(span)
        return spans

    def one(self) -> tuple[dict[str, Any], ReadableSpan]:
        (span,) = self.ended()
        return dict(span.attributes or {}), span


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    with Server() as proxy:
        yield Agent(tmp_path / "rewind.db", exporter, proxy)


def post(client: httpx2.Client, host: str = "api.openai.com", path: str = CHAT, body: bytes = ASK) -> Any:
    return client.stream("POST", f"http://{host}{path}", content=body)


def test_a_span_ends_with_the_body(agent: Agent) -> None:
    agent.proxy.on(CHAT, sse(PIECE, PIECE))
    with agent.running(), agent.client() as client, post(client) as response:
        assert response.status_code == 200
        chunks = response.iter_raw()
        next(chunks)
        assert not agent.ended()
        for _ in chunks:
            assert not agent.ended()
        attributes, span = agent.one()
    assert span.status.status_code is StatusCode.UNSET
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0


ERRORS: dict[str, tuple[str, str, bytes, str]] = {
    "openai": ("api.openai.com", CHAT, b'data: {"error": {"code": "server_error"}}\n\n', "server_error"),
    "openai responses": (
        "api.openai.com",
        "/v1/responses",
        b'event: error\ndata: {"type": "error", "code": "rate_limit_exceeded", "message": "m"}\n\n',
        "rate_limit_exceeded",
    ),
    "anthropic": (
        "api.anthropic.com",
        "/v1/messages",
        b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}\n\n',
        "overloaded_error",
    ),
}


@pytest.mark.parametrize(("host", "path", "event", "code"), ERRORS.values(), ids=ERRORS)
def test_an_error_inside_an_answer_is_the_providers_own(
    agent: Agent, host: str, path: str, event: bytes, code: str
) -> None:
    agent.proxy.on(path, chunked([event]))
    for mode in (Mode.RECORD, Mode.REPLAY):
        with agent.running(mode), agent.client() as client, post(client, host, path) as response:
            response.read()
        attributes, span = agent.one()
        assert (attributes["error.type"], span.status.status_code) == (code, StatusCode.ERROR), mode
        assert attributes["http.response.status_code"] == 200
        assert attributes["gen_ai.response.finish_reasons"] == ("error",)


def test_a_cancelled_call(agent: Agent) -> None:
    agent.proxy.on(CHAT, chunked([f"data: {PIECE}\n\n".encode()], end=(HANG,)))

    async def program() -> None:
        async with httpx2.AsyncClient(proxy=agent.proxy.url, trust_env=False) as client:
            reading = asyncio.Event()

            async def call() -> None:
                async with client.stream("POST", f"http://api.openai.com{CHAT}", content=ASK) as response:
                    async for _ in response.aiter_raw():
                        reading.set()

            task = asyncio.create_task(call())
            await reading.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with agent.running():
        asyncio.run(program())
    attributes, span = agent.one()
    assert (attributes["error.type"], span.status.status_code) == ("cancelled", StatusCode.ERROR)
    assert attributes["gen_ai.response.finish_reasons"] == ("error",)


def test_a_body_that_nobody_has_any_more(agent: Agent) -> None:
    agent.proxy.on(CHAT, chunked([f"data: {PIECE}\n\n".encode()], end=(HANG,)), sse(PIECE))
    with agent.running(), agent.client() as client:
        response = client.send(
            client.build_request("POST", f"http://api.openai.com{CHAT}", content=ASK), stream=True
        )
        next(response.iter_raw())
        del response
        gc.collect()
        with post(client) as following:
            following.read()
        left, following_span = agent.ended()
    assert (left.attributes or {})["rewind.step"] == 1
    assert (left.attributes or {})["gen_ai.response.finish_reasons"] == ("error",)
    assert left.status.status_code is StatusCode.UNSET, "the program has made no error"
    assert (following_span.attributes or {})["rewind.step"] == 2


def test_a_call_still_open_at_the_end(agent: Agent) -> None:
    agent.proxy.on(CHAT, chunked([f"data: {PIECE}\n\n".encode()], end=(HANG,)))
    client = agent.client()
    with agent.running():
        response = client.send(
            client.build_request("POST", f"http://api.openai.com{CHAT}", content=ASK), stream=True
        )
        next(response.iter_raw())
    attributes, _ = agent.one()
    assert attributes["gen_ai.response.finish_reasons"] == ("error",)
    response.close()
    client.close()


EMPTY: dict[str, tuple[Acts, tuple[str, ...] | None]] = {
    "a stream without an event": (chunked([]), ("error",)),
    "a stream without a body": (reply(b""), ("error",)),
    "a refusal without a body": (reply(b"", 503), None),
    "a refusal in HTML": (reply(b"<html>", 502, [("Content-Type", "text/html")]), None),
    "no answer": ([CUT], None),
}


@pytest.mark.parametrize(("acts", "reasons"), EMPTY.values(), ids=EMPTY)
def test_a_generation_that_began_has_a_finish_reason(
    agent: Agent, acts: Acts, reasons: tuple[str, ...] | None
) -> None:
    agent.proxy.on(CHAT, acts)
    with agent.running(), agent.client() as client:
        try:
            with post(client) as response:
                response.read()
        except httpx2.TransportError:
            pass
    attributes, _ = agent.one()
    assert attributes.get("gen_ai.response.finish_reasons") == reasons


def test_what_is_too_large_to_keep_has_not_failed(agent: Agent) -> None:
    agent.proxy.on(CHAT, sse(PIECE, PIECE, PIECE))
    with agent.running(max_body=200), agent.client() as client, post(client) as response:
        response.read()
    attributes, span = agent.one()
    assert attributes["rewind.cache.decision"] == "bypass"
    assert "gen_ai.response.finish_reasons" not in attributes
    assert span.status.status_code is StatusCode.UNSET


def test_a_connection_that_becomes_something_else(agent: Agent) -> None:
    """requests takes a 101 from a server that was not asked for it."""
    agent.proxy.on(CHAT, [head(101, [("Upgrade", "other"), ("Connection", "Upgrade")]), CUT])
    with agent.running(library=requests, llm_hosts=("127.0.0.1",)):
        assert requests.post(agent.proxy.url + CHAT, ASK).status_code == 101
    attributes, _ = agent.one()
    assert attributes["rewind.cache.decision"] == "bypass"


TIERS = {"service_tier": "on_demand", "system_fingerprint": "fp"}


@pytest.mark.parametrize(("host", "kept"), [("api.openai.com", True), ("api.groq.com", False)])
def test_openais_own_attributes_are_for_openai(agent: Agent, host: str, kept: bool) -> None:
    agent.proxy.on(CHAT, answer({"choices": [], **TIERS}))
    body = json.dumps({"model": "m", "service_tier": "flex"}).encode()
    with agent.running(), agent.client() as client, post(client, host, body=body) as response:
        response.read()
    attributes, _ = agent.one()
    theirs = {name: value for name, value in attributes.items() if name.startswith("openai.")}
    assert theirs == (
        {
            "openai.api.type": "chat_completions",
            "openai.request.service_tier": "flex",
            "openai.response.service_tier": "on_demand",
            "openai.response.system_fingerprint": "fp",
        }
        if kept
        else {}
    )


def test_an_error_message_has_no_secret_in_it(agent: Agent) -> None:
    key = "sk-abcdefghijklmnopqrstuvwxyz012345"
    agent.proxy.on(CHAT, answer({"error": {"message": f"Incorrect API key: {key}"}}, 401))
    with agent.running(), agent.client() as client:
        client.post(f"http://api.openai.com{CHAT}", content=ASK, headers={"Authorization": f"Bearer {key}"})
    _, span = agent.one()
    assert (span.status.description or "").startswith("Incorrect API key: ")
    assert key not in (span.status.description or "")
