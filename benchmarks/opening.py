"""From a process that has only its client to the first replayed answer: what a short program waits for."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator

from benchmarks.filled import filled, size_of_largest
from benchmarks.harness import Row, Run, decile, fresh

_BUDGET = 70.0  # ms


def run(run: Run) -> Iterator[Row]:
    """Milliseconds from the first call to its answer: the agent's imports, opening the store, one hit."""
    largest = size_of_largest(run)
    copies = {}
    for size in (10, largest):
        copies[size] = shutil.copy(filled(run, size), run.scratch / f"opened-{size}.db")
    found: dict[int, list[tuple[float, float]]] = {10: [], largest: []}
    for number in range(run.rounds(20)):
        for size, copy in copies.items():
            # Another question each time: the pages it needs have not just been read.
            found[size].append(fresh("first_hit", copy, number * 7919 % size))
    for size in (largest, 10):
        wall, cpu = ([each[part] * 1000 for each in found[size]] for part in (0, 1))
        yield Row(
            f"open the store and first hit, {size} recorded",
            statistics.median(wall),
            "ms",
            _BUDGET,
            note=f"median; best decile {decile(wall):.1f} ms; CPU {statistics.median(cpu):.1f} ms",
            detail={"best_decile": decile(wall), "cpu_median": statistics.median(cpu)},
        )
