"""From a process that has only its client to the first replayed answer: what a short program waits for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from benchmarks.filled import filled, size_of_largest
from benchmarks.harness import Pair, Row, Run, decile, fresh

_BUDGET = 70.0  # ms


def run(run: Run) -> Iterator[Row]:
    """Time from the first call to its answer: the agent's imports, opening the store, one hit.

    In CPU time, which is the wall's when nobody else wants the processor, and by its ratio to what the same
    process took to import httpx2, make a client and call once.
    """
    largest = size_of_largest(run)
    copies = {
        size: shutil.copy(filled(run, size), run.scratch / f"opened-{size}.db") for size in (largest, 10)
    }
    found: dict[int, list[dict[str, float]]] = {largest: [], 10: []}
    fresh("first_hit", copies[10], 0)  # writes the bytecode
    for number in range(1, run.rounds(24)):
        for size, copy in copies.items():
            # Another question each time: the pages it needs have not just been read.
            found[size].append(fresh("first_hit", copy, number * 7919 % size))
    for size, times in found.items():
        pair = Pair([each["client"] for each in times], [each["client"] + each["cpu"] for each in times])
        wall = decile([each["wall"] for each in times]) * 1e3
        yield Row(
            f"open the store and first hit, {size} recorded: CPU",
            pair.added * 1e3,
            "ms",
            _BUDGET,
            note=f"x{pair.ratio:.2f} of the client's {decile(pair.plain) * 1e3:.0f} ms; wall: {wall:.0f} ms",
            detail={**pair.detail, "wall_best_decile": wall / 1e3},
        )
