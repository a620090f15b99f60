"""What the agent adds to the start of a Python process, in CPU time.

Every case runs once a round, in an order shuffled anew, so that the noise of the machine falls on all of
them alike. CPU time (user and system) of the whole process is taken from ``wait4``; of each case the
median is shown, and the median of its difference to its own plain run in the same round.

    python -m benchmarks.startup [--rounds N] [--json] [--check]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rewind_auto.boot.launch import inject_dir, python_path  # noqa: E402 - from the checkout, installed or not

# Milliseconds of CPU that may be added: (case, goal, bar)
BUDGETS = (
    ("agent: -c pass", 3.0, 6.0),
    ("agent, no bytecode: -c pass", 3.0, 6.0),
    ("agent: import openai", 40.0, 40.0),
)


@dataclass
class Case:
    """A command to time, and the one that it is compared with."""

    name: str
    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)
    plain: str = ""
    times: list[float] = field(default_factory=list)

    def run(self, base: dict[str, str]) -> float:
        """Run it once and return its CPU time in milliseconds."""
        environ = {**base, **self.environ}
        quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        pid = os.posix_spawn(self.command[0], self.command, environ, file_actions=quiet)
        _, status, usage = os.wait4(pid, 0)
        if status:
            raise SystemExit(f"{self.name} failed: {' '.join(self.command)}")
        return (usage.ru_utime + usage.ru_stime) * 1000


def cases(scratch: Path) -> list[Case]:
    """Everything that can be measured with what is installed here."""
    python = sys.executable
    floor = scratch / "floor"
    floor.mkdir()
    (floor / "sitecustomize.py").touch()
    # A cache with the bytecode of the standard library and none of ours, for PYTHONDONTWRITEBYTECODE.
    without = {"PYTHONPYCACHEPREFIX": str(scratch / "without"), "PYTHONDONTWRITEBYTECODE": "1"}
    agent = {"PYTHONPATH": python_path(inject_dir(), ""), "REWIND_MODE": "record"}
    run = [python, "-m", "rewind_auto.cli.run"]
    found = [
        Case("plain: -c pass", [python, "-c", "pass"]),
        Case(
            "empty sitecustomize: -c pass",
            [python, "-c", "pass"],
            {"PYTHONPATH": str(floor)},
            "plain: -c pass",
        ),
        Case(
            "empty sitecustomize, no bytecode: -c pass",
            [python, "-c", "pass"],
            {"PYTHONPATH": str(floor), **without},
            "plain: -c pass",
        ),
        Case("agent: -c pass", [python, "-c", "pass"], agent, "plain: -c pass"),
        Case("agent off: -c pass", [python, "-c", "pass"], {**agent, "REWIND_MODE": "off"}, "plain: -c pass"),
        Case("agent, no bytecode: -c pass", [python, "-c", "pass"], {**agent, **without}, "plain: -c pass"),
        Case(
            "rewind-run: -c pass", [*run, python, "-c", "pass"], {"PYTHONPATH": str(ROOT)}, "plain: -c pass"
        ),
    ]
    other = shutil.which("opentelemetry-instrument", path=str(Path(python).parent))
    if other:
        silent = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
        found.append(
            Case("opentelemetry-instrument: -c pass", [other, python, "-c", "pass"], silent, "plain: -c pass")
        )
    for library in ("httpx", "httpx2", "openai"):
        if find_spec(library):
            code = f"import {library}"
            found.append(Case(f"plain: {code}", [python, "-c", code]))
            found.append(Case(f"agent: {code}", [python, "-c", code], agent, f"plain: {code}"))
    return found


def measure(rounds: int, scratch: Path) -> list[Case]:
    """Run every case ``rounds`` times."""
    base = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "REWIND_", "OTEL_"))
    }
    base["PYTHONPYCACHEPREFIX"] = str(scratch / "with")
    found = cases(scratch)
    Case("", found[0].command, {"PYTHONPYCACHEPREFIX": str(scratch / "without")}).run(base)
    for case in found:  # writes the bytecode, fills the file cache
        case.run(base)
    for _ in range(rounds):
        for case in random.sample(found, len(found)):
            case.times.append(case.run(base))
    return found


def added(case: Case, found: list[Case]) -> float | None:
    """Milliseconds that a case adds to its plain one, or None for a plain one."""
    for plain in found:
        if plain.name == case.plain:
            return statistics.median(a - b for a, b in zip(case.times, plain.times, strict=True))
    return None


def main() -> int:
    """Measure, print, and with ``--check`` fail where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bar is missed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(args.rounds, Path(scratch))
    medians = {case.name: statistics.median(case.times) for case in found}
    rows: list[dict[str, Any]] = [
        {
            "case": case.name,
            "cpu_ms": round(medians[case.name], 2),
            "added_ms": None if (more := added(case, found)) is None else round(more, 2),
            "ratio": round(medians[case.name] / medians[case.plain], 3) if case.plain else None,
        }
        for case in found
    ]
    if args.json:
        print(json.dumps({"python": sys.version.split()[0], "rounds": args.rounds, "rows": rows}, indent=2))
    else:
        print(f"Python {sys.version.split()[0]}, {args.rounds} rounds, CPU time")
        for row in rows:
            tail = "" if row["added_ms"] is None else f"{row['added_ms']:+8.2f} ms   x {row['ratio']:.2f}"
            print(f"  {row['case']:<44}{row['cpu_ms']:9.2f} ms {tail}")
    missed = False
    by_name = {row["case"]: row["added_ms"] for row in rows}
    for name, goal, bar in BUDGETS:
        if name in by_name:
            value = by_name[name]
            verdict = "within the goal" if value <= goal else "within the bar" if value <= bar else "MISSED"
            missed |= value > bar
            print(f"  {name}: {value:+.2f} ms (goal {goal:g}, bar {bar:g}): {verdict}", file=sys.stderr)
    return int(missed and args.check)


if __name__ == "__main__":
    sys.exit(main())
