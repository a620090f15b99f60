"""A program that records, and exports nothing, has nothing of OpenTelemetry in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Program = Callable[..., Any]

INVENTORY = """
import json, signal, threading, logging, atexit, warnings
llm("connects, and loads what an encoding needs")
answer = llm(1)
files, others = [], []
for name in os.listdir("/proc/self/fd"):
    try:
        path = os.readlink(f"/proc/self/fd/{name}")
    except FileNotFoundError:  # that of the listing itself
        continue
    if path.startswith("/"): files.append(os.path.basename(path))
    else: others.append(path.partition(":")[0])
print(json.dumps({
    "modules": sorted(name for name in sys.modules if name.partition(".")[0] in
        ("opentelemetry", "google", "grpc", "requests", "urllib3", "importlib_metadata")),
    "threads": [thread.name for thread in threading.enumerate()],
    "files": sorted(files),
    "others": sorted(others),
    "handlers": {number.name: str(signal.getsignal(number)) for number in signal.valid_signals()
        if signal.getsignal(number) not in (None, signal.SIG_DFL)},
    "exits": [getattr(os, name).__module__ for name in ("_exit", "execv", "execve")],
    "answer": answer,
}))
"""


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_SERVICE_NAME": "shop", "OTEL_PROPAGATORS": "b3", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
    ],
)
def test_a_recorded_program_is_as_a_plain_one(agent: Program, environ: dict[str, str]) -> None:
    plain, recorded = agent(INVENTORY, "--off", **environ), agent(INVENTORY, **environ)
    assert (plain.code, plain.err, recorded.code, recorded.err) == (0, "", 0, "")
    expected, found = json.loads(plain.out), json.loads(recorded.out)
    assert found.pop("answer")
    assert expected.pop("answer")
    assert [name for name in found.pop("files") if not name.startswith("rewind.db")] == expected.pop("files")
    assert found == expected
    assert expected["modules"] == []
    assert expected["threads"] == ["MainThread"]


def test_a_replayed_program_too(agent: Program, store_path: Path) -> None:
    assert agent(INVENTORY).code == 0
    found = json.loads(agent(INVENTORY, "--replay", "last").out)
    assert (found["modules"], found["threads"]) == ([], ["MainThread"])
