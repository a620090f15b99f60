"""How things are measured: two variants in turns, compared round by round.

An absolute time says more of the machine and its neighbours than of the program, so none stands alone: an
added time is the median of the rounds' ratios, less one, times the plain variant's best decile.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Run:
    """What one run of the benchmarks is given.

    Attributes:
        quick: fewer rounds and smaller stores.
        scratch: a directory that lasts as long as the whole run.
    """

    quick: bool
    scratch: Path

    def rounds(self, full: int) -> int:
        """How many rounds to take, of those that a full run takes."""
        return max(4, full // 8) if self.quick else full


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        value: what was measured, in ``unit``.
        budget: the most it may be (the least, with ``at_least``); None: for information.
        note: how to read it: the ratio it comes from, the figures beside it.
        detail: further numbers, for ``--json``.
    """

    what: str
    value: float
    unit: str
    budget: float | None = None
    at_least: bool = False
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool | None:
        """Whether the budget is kept; None without one."""
        if self.budget is None:
            return None
        return self.value >= self.budget if self.at_least else self.value <= self.budget

    def as_json(self) -> dict[str, Any]:
        """Plain values, `ok` among them."""
        return {**asdict(self), "ok": self.ok}


def decile(values: Sequence[float], which: int = 1) -> float:
    """The best (first) decile of ``values``, or another one."""
    return sorted(values)[(len(values) - 1) * which // 10]


@dataclass(frozen=True)
class Pair:
    """Seconds of the plain variant and of the other, a value a round each."""

    plain: Sequence[float]
    other: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """Other over plain, round by round."""
        return [b / a for a, b in zip(self.plain, self.other, strict=True)]

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def best(self) -> float:
        """Ratio of the best deciles: for latencies between processes, where a busy machine makes the rest."""
        return decile(self.other) / decile(self.plain)

    @property
    def added(self) -> float:
        """Seconds that the other variant adds, at the speed of the plain one's best decile."""
        return (self.ratio - 1) * decile(self.plain)

    @property
    def note(self) -> str:
        """The ratio with its quartiles, and the two best deciles in µs."""
        low, _, high = statistics.quantiles(self.ratios, n=4)
        plain, other = decile(self.plain) * 1e6, decile(self.other) * 1e6
        return f"x{self.ratio:.2f} [{low:.2f}-{high:.2f}], best decile {plain:.0f} → {other:.0f} µs"

    @property
    def detail(self) -> dict[str, float]:
        """Seconds, for ``--json``."""
        return {
            "ratio": self.ratio,
            "ratio_best_decile": self.best,
            "added_median": self.added,
            "added_mean": statistics.fmean(self.other) - statistics.fmean(self.plain),
            "added_best_decile": decile(self.other) - decile(self.plain),
            "plain_median": statistics.median(self.plain),
            "other_median": statistics.median(self.other),
        }


def in_turns(count: int, *variants: Callable[[], float]) -> list[list[float]]:
    """Run the variants in turns, A B B A …, and return the values of each."""
    values: list[list[float]] = [[] for _ in variants]
    order = list(range(len(variants)))
    for _ in range(count):
        for index in order:
            values[index].append(variants[index]())
        order.reverse()
    return values


def pair(count: int, plain: Callable[[], float], other: Callable[[], float]) -> Pair:
    """Two variants in turns."""
    return Pair(*in_turns(count, plain, other))


def clean_environment() -> dict[str, str]:
    """The environment without what sets up an agent or an exporter, or has everything compiled anew."""
    left_out = ("REWIND_", "OTEL_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


def fresh(module: str, *arguments: object) -> Any:
    """Run a module of this package in an interpreter of its own; returns the JSON it prints last.

    Raises:
        subprocess.CalledProcessError: it failed; its stderr has been passed through.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def batches(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """``items`` in batches of ``size``, for ever round."""
    at = 0
    while True:
        if at + size > len(items):
            at = 0
        yield items[at : at + size]
        at += size
