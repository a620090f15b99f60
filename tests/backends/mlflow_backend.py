"""MLflow's tracking server, by its REST API."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from backend import Backend, Found

_AT_ONCE = 10  # traces that it gives in one answer


class MLflow(Backend):
    """The server of a venv that has ``mlflow``."""

    health = "/health"
    chat = "CHAT_MODEL"
    pace = 2.0

    def __init__(self, folder: Path, python: Path) -> None:
        super().__init__(folder)
        self._python = python
        self._names = (f"experiment-{number}" for number in itertools.count())
        self._experiment = "0"

    def command(self) -> list[str]:
        return [
            *(str(self._python), "-m", "mlflow", "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"),
            *("--default-artifact-root", str(self.folder / "artifacts")),
        ]

    def settings(self) -> dict[str, str]:
        return {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

    @property
    def headers(self) -> dict[str, str]:
        return {"x-mlflow-experiment-id": self._experiment}

    def fresh(self) -> None:
        made = self.post("/api/2.0/mlflow/experiments/create", {"name": next(self._names)})
        self._experiment = made["experiment_id"]
        ((name, value),) = self.headers.items()
        self.environ = {"OTEL_EXPORTER_OTLP_HEADERS": f"{name}={value}"}

    def spans(self) -> list[Found]:
        return [_found(trace, span) for trace, span in self._read("")]

    def query(self, decision: str) -> str:
        # RLIKE with both anchors is its only exact comparison: a LIKE looks through the rest of the span too.
        return f"span.attributes.rewind.cache.decision RLIKE '^{decision}$'"

    def find(self, query: str) -> set[str]:
        return {_hex(span["span_id"]) for _, span in self._read(query)}

    def _read(self, query: str) -> list[tuple[str, dict[str, Any]]]:
        """Trace id and span of every span of the traces that a query finds."""
        ids = self._search(query)
        found = []
        for start in range(0, len(ids), _AT_ONCE):
            asked = urlencode([("trace_ids", trace) for trace in ids[start : start + _AT_ONCE]])
            for trace in self.get(f"/api/3.0/mlflow/traces/batchGet?{asked}")["traces"]:
                found += [(trace["trace_info"]["trace_id"], span) for span in trace["spans"]]
        return found

    def _search(self, query: str) -> list[str]:
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self._experiment}}
        asked: dict[str, Any] = {"locations": [place], "filter": query, "max_results": 500}
        ids: list[str] = []
        while True:
            page = self.post("/api/3.0/mlflow/traces/search", asked)
            ids += [trace["trace_id"] for trace in page.get("traces", ())]
            if not page.get("next_page_token"):
                return ids
            asked["page_token"] = page["next_page_token"]


def _found(trace_id: str, span: dict[str, Any]) -> Found:
    attributes = {pair["key"]: _value(pair["value"]) for pair in span["attributes"]}
    usage = attributes.get("mlflow.chat.tokenUsage")
    status = span["status"]
    said = attributes.get("mlflow.spanInputs") or [], attributes.get("mlflow.spanOutputs") or []
    return Found(
        trace_id=trace_id,
        span_id=_hex(span["span_id"]),
        name=span["name"],
        kind=attributes["mlflow.spanType"],
        attributes=attributes,
        tokens=(usage["input_tokens"], usage["output_tokens"]) if usage else None,
        cost=(attributes.get("mlflow.llm.cost") or {}).get("total_cost", 0.0),
        messages=tuple(_message(message) for message in (*said[0], *said[1])),
        error=status.get("message", "") if status.get("code") == "STATUS_CODE_ERROR" else None,
        links=tuple((_hex(link["trace_id"]), _hex(link["span_id"])) for link in span.get("links", ())),
    )


def _message(message: dict[str, Any]) -> tuple[str, str]:
    said = []
    for part in message["parts"]:
        if part["type"] == "tool_call":
            said.append(f"{part['name']}({json.dumps(part['arguments'])})")
        else:
            said.append(str(part.get("content", part.get("response", ""))))
    return message["role"], " ".join(said)


def _hex(encoded: str) -> str:
    return base64.b64decode(encoded).hex()


def _value(value: dict[str, Any]) -> Any:
    """A value in protobuf's JSON."""
    ((kind, content),) = value.items() or (("", None),)
    if kind == "array_value":
        return [_value(item) for item in content.get("values", ())]
    if kind == "kvlist_value":
        return {pair["key"]: _value(pair["value"]) for pair in content.get("values", ())}
    return int(content) if kind == "int_value" else content
