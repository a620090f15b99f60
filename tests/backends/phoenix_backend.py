"""Arize Phoenix, by its REST API and, for what only that has, its GraphQL."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from backend import Backend, Found, free_port

_PATIENCE = 90.0  # seconds; 1 000 spans took it up to 23 on two busy cores
_SPANS = """
query ($project: ID!, $filter: String, $after: String) { node(id: $project) { ... on Project {
  spans(first: 1000, filterCondition: $filter, after: $after) {
    edges { node { spanId costSummary { total { cost } } } }
    pageInfo { hasNextPage endCursor }
  }
} } }
"""
_COUNT = "query ($project: ID!) { node(id: $project) { ... on Project { recordCount } } }"


class Phoenix(Backend):
    """The server of a venv that has ``arize-phoenix``."""

    health = "/healthz"
    chat = "LLM"
    pace = 3.0

    def __init__(self, folder: Path, python: Path) -> None:
        super().__init__(folder)
        self._python = python
        # Said or not, Phoenix listens for gRPC too, on all interfaces even with PHOENIX_HOST: a port that
        # is picked for it is at least nobody else's, 4317 might well be.
        self._grpc_port = free_port()
        self.grpc = f"http://127.0.0.1:{self._grpc_port}"
        self._projects = (f"project-{number}" for number in itertools.count())
        self._project = "default"

    def command(self) -> list[str]:
        return [str(self._python.with_name("phoenix")), "serve"]

    def settings(self) -> dict[str, str]:
        return {
            "PHOENIX_WORKING_DIR": str(self.folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(self._grpc_port),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }

    def fresh(self) -> None:
        self._project = next(self._projects)
        self.environ = {"OTEL_RESOURCE_ATTRIBUTES": f"openinference.project.name={self._project}"}

    def is_up(self) -> bool:
        return super().is_up() and bool(self.wait(1))  # until it has written that one, it takes others slowly

    def wait(self, count: int) -> list[Found]:
        # It answers first and writes later. Reading all the spans again and again would keep it from that.
        deadline = time.monotonic() + _PATIENCE
        while self._count() < count and time.monotonic() < deadline:
            time.sleep(0.5)
        return self.spans()

    def spans(self) -> list[Found]:
        costs = self._costs("")
        spans: list[Found] = []
        asked = {"limit": "1000"}
        while True:
            page = self.get(f"/v1/projects/{self._project}/spans?{urlencode(asked)}")
            spans += [_found(span, costs) for span in page["data"]]
            if not page["next_cursor"]:
                return spans
            asked["cursor"] = page["next_cursor"]

    def query(self, decision: str) -> str:
        return f"attributes['rewind']['cache']['decision'] == '{decision}'"

    def find(self, query: str) -> set[str]:
        return set(self._costs(query))

    def _id(self) -> str | None:
        """The project's id. There is none before its first span is there."""
        projects = self.get("/v1/projects?limit=1000")["data"]
        return next((project["id"] for project in projects if project["name"] == self._project), None)

    def _count(self) -> int:
        project = self._id()
        if project is None:
            return 0
        answer = self.post("/graphql", {"query": _COUNT, "variables": {"project": project}})
        return int(answer["data"]["node"]["recordCount"])

    def _costs(self, query: str) -> dict[str, float]:
        """What each span that a query finds has cost, by id."""
        costs: dict[str, float] = {}
        where: dict[str, Any] = {"project": self._id(), "filter": query, "after": None}
        while True:
            page = self.post("/graphql", {"query": _SPANS, "variables": where})["data"]["node"]["spans"]
            for node in (edge["node"] for edge in page["edges"]):
                total = (node["costSummary"] or {}).get("total") or {}
                costs[node["spanId"]] = total.get("cost") or 0.0
            if not page["pageInfo"]["hasNextPage"]:
                return costs
            where["after"] = page["pageInfo"]["endCursor"]


def _found(span: dict[str, Any], costs: dict[str, float]) -> Found:
    attributes, span_id = span["attributes"], span["context"]["span_id"]
    tokens = attributes.get("llm.token_count.prompt"), attributes.get("llm.token_count.completion")
    return Found(
        trace_id=span["context"]["trace_id"],
        span_id=span_id,
        name=span["name"],
        kind=span["span_kind"],
        attributes=attributes,
        tokens=None if tokens == (None, None) else tokens,
        cost=costs[span_id],
        messages=(
            *_messages(attributes, "llm.input_messages"),
            *_messages(attributes, "llm.output_messages"),
        ),
        error=span["status_message"] if span["status_code"] == "ERROR" else None,
        links=None,
    )


def _messages(attributes: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    """The chat messages that Phoenix has made of the conventions' JSON: it drops them all when it cannot."""
    messages = []
    for number in itertools.count():
        message = f"{prefix}.{number}.message"
        role = attributes.get(f"{message}.role")
        if role is None:
            return messages
        said = [str(attributes[f"{message}.content"])] if f"{message}.content" in attributes else []
        for call in itertools.count():
            function = f"{message}.tool_calls.{call}.tool_call.function"
            if f"{function}.name" not in attributes:
                break
            said.append(f"{attributes[f'{function}.name']}({attributes[f'{function}.arguments']})")
        messages.append((role, " ".join(said)))
    return messages
