"""What a person waits for who asks what was recorded: ``rewind-auto sessions`` and ``show last``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.filled import filled, size_of_largest
from benchmarks.harness import ROOT, Row, Run, clean_environment, decile

_BUDGET = 300.0  # ms
_STEPS = 50  # of a session
_SCRIPT = "from rewind_auto.cli.main import main; main()"  # as the console script has it
_VERBS = {
    "sessions": ("sessions",),
    "show last": ("show", "last"),
    "show last --json": ("show", "last", "--json"),
}


def run(run: Run) -> Iterator[Row]:
    """Whole processes on a store of many sessions, in turns with a bare interpreter."""
    size = size_of_largest(run)
    store = str(filled(run, size, sessions=size // _STEPS))
    commands = {name: ("-c", _SCRIPT, *words) for name, words in _VERBS.items()}
    commands["pass"] = ("-c", "pass")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for words in commands.values():
        _time(words, store)  # writes the bytecode
    for _ in range(run.rounds(40)):
        for name, words in commands.items():
            found[name].append(_time(words, store))
    bare = decile([wall for wall, _ in found.pop("pass")]) * 1e3
    for name, times in found.items():
        wall, cpu = (decile(values) * 1e3 for values in zip(*times, strict=True))
        yield Row(
            f"rewind-auto {name}, {size} recorded in {size // _STEPS} sessions",
            wall,
            "ms",
            _BUDGET,
            note=f"best decile; CPU {cpu:.0f} ms, a bare interpreter {bare:.0f} ms",
            detail={"wall": [wall for wall, _ in times], "cpu": [cpu for _, cpu in times]},
        )


def _time(words: tuple[str, ...], store: str) -> tuple[float, float]:
    """Seconds by the clock and of CPU."""
    environ = {**clean_environment(), "REWIND_STORE": store}
    before, started = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - started, os.times()
    used = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return wall, used
