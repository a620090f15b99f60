"""The start of a Python process: `benchmarks.startup`, as rows."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks import startup
from benchmarks.harness import Row, Run


def run(run: Run) -> Iterator[Row]:
    """CPU added to whole processes, and their ratio to plain ones."""
    scratch = run.scratch / "startup"
    scratch.mkdir()
    found = startup.measure(3 if run.quick else 15, scratch)
    by_name = {case.name: case for case in found}
    bars = {name: (goal, bar) for name, goal, bar in startup.BUDGETS}
    for case in found:
        more = startup.added(case, found)
        if more is None:
            continue
        plain = by_name[case.plain]
        goal, bar = bars.get(case.name, (None, None))
        ratio = statistics.median(a / b for a, b in zip(case.times, plain.times, strict=True))
        note = f"x{ratio:.2f} of {statistics.median(plain.times):.0f} ms"
        if goal != bar:
            note += f"; goal {goal:g} ms"
        detail = {"ratio": ratio, "added_best": min(case.times) - min(plain.times)}
        yield Row(f"start-up, {case.name}: CPU added", more, "ms", bar, note=note, detail=detail)
