"""What the tests want of a tracing backend: a server of its own, and its own reading of what it was sent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

# In seconds.
_START = 200.0
_LATE = 10.0


@dataclass(frozen=True)
class Found:
    """A span as a backend gives it back.

    Attributes:
        trace_id: as the backend writes it, which is what people copy.
        kind: what the backend takes it for, in its own words.
        tokens: input and output tokens, or None where it counts none.
        cost: in US dollars, by the backend's own prices.
        messages: role and text of each chat message that it shows, tool calls as ``name(arguments)``.
        error: message of its status, None when that is not an error.
        links: trace and span id of each link; None when the backend keeps no links.
    """

    trace_id: str
    span_id: str
    name: str
    kind: str
    attributes: Mapping[str, Any]
    tokens: tuple[int, int] | None
    cost: float
    messages: tuple[tuple[str, str], ...]
    error: str | None
    links: tuple[tuple[str, str], ...] | None

    @property
    def decision(self) -> str:
        return str(self.attributes["rewind.cache.decision"])

    @property
    def step(self) -> int:
        return int(self.attributes["rewind.step"])


class Backend(ABC):
    """A server on loopback ports, for as long as the ``with`` lasts.

    Attributes:
        url: what ``--otlp`` is given.
        grpc: what ``OTEL_EXPORTER_OTLP_ENDPOINT`` is given for OTLP over gRPC, None where that is not spoken.
        environ: what a program's environment needs for its spans to arrive where `spans` looks.
    """

    chat: ClassVar[str]  # its word for a chat with a language model
    health: ClassVar[str]  # the path that answers once it is up
    pace: ClassVar[
        float
    ]  # seconds that it may need for a hundred spans; the exit of a program waits just 1.2

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.grpc: str | None = None
        self.environ: dict[str, str] = {}
        self._stack = ExitStack()

    @abstractmethod
    def command(self) -> list[str]:
        """What starts the server."""

    def settings(self) -> dict[str, str]:
        """What its environment needs."""
        return {}

    @abstractmethod
    def fresh(self) -> None:
        """From now on `environ` and `spans` are about a space that has no spans yet."""

    @abstractmethod
    def spans(self) -> list[Found]:
        """Every span there is."""

    @abstractmethod
    def query(self, decision: str) -> str:
        """What its users type to find the calls with this decision."""

    @abstractmethod
    def find(self, query: str) -> set[str]:
        """Ids of the spans that a query finds."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            log = stack.enter_context((self.folder / "server.log").open("w+"))
            server = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder), **self.settings()},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(_stop, server)
            deadline = time.monotonic() + _START
            while not self.is_up():
                if server.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"{type(self).__name__} did not start:\n{log.read()[-4000:]}")
                time.sleep(0.05)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def wait(self, count: int) -> list[Found]:
        """Every span there is, once there are ``count`` or the backend has had its time."""
        deadline = time.monotonic() + _LATE
        while len(found := self.spans()) < count and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def get(self, path: str) -> Any:
        return self.ask(Request(self.url + path))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        return self.ask(Request(self.url + path, json.dumps(body).encode(), headers))

    def ask(self, request: Request) -> Any:
        try:
            with urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        except HTTPError as error:
            said = error.read().decode(errors="replace")
            raise RuntimeError(f"{request.full_url}: {error.code} {said}") from None

    @property
    def headers(self) -> dict[str, str]:
        """What it insists on with spans."""
        return {}

    def is_up(self) -> bool:
        """Whether it answers by now, and has taken a span."""
        try:
            with urlopen(self.url + self.health, timeout=5):
                pass
        except OSError:
            return False
        # With the first one, and the first that has a price, a backend may load more than at its start.
        headers = {"Content-Type": "application/x-protobuf", **self.headers}
        with urlopen(Request(f"{self.url}/v1/traces", _one_span(), headers), timeout=60):
            return True


def _one_span() -> bytes:
    sent = ExportTraceServiceRequest()
    span = sent.resource_spans.add().scope_spans.add().spans.add(name="chat gpt-4o")
    span.trace_id, span.span_id = b"1" * 16, b"1" * 8
    said = {"operation.name": "chat", "provider.name": "openai", "request.model": "gpt-4o"}
    for name, value in said.items():
        span.attributes.add(key=f"gen_ai.{name}").value.string_value = value
    for name in ("input", "output"):
        span.attributes.add(key=f"gen_ai.usage.{name}_tokens").value.int_value = 1
    return sent.SerializeToString()


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End a server and its workers: it leads a process group of its own."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
