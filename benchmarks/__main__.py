"""``python -m benchmarks [--quick] [--json FILE] [NAME …]``: run the benchmarks and print a table.

It informs and never fails: the exit code is 0 whatever a benchmark says.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness import Run, clean_environment

NAMES = (
    "boot",
    "foreign",
    "record",
    "stream",
    "hit",
    "open",
    "look",
    "concurrency",
    "growth",
    "spans",
    "others",
)
_MODULES = {"open": "opening", "look": "looking"}  # a module must not hide a builtin
_WIDTH = 62


def alone(name: str, *, quick: bool, scratch: Path) -> list[dict[str, Any]]:
    """The rows of one benchmark, from an interpreter of its own."""
    code = "import sys; from benchmarks.__main__ import emit; emit(sys.argv[1:])"
    command = [sys.executable, "-c", code, name, str(scratch), *(["quick"] if quick else [])]
    root = Path(__file__).resolve().parent.parent
    rows = []
    with subprocess.Popen(
        command, cwd=root, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            rows.append(json.loads(line))
            show(rows[-1])
    if process.returncode:
        rows.append({"what": name, "error": f"ended with {process.returncode}", "ok": None})
        print(f"{name:<{_WIDTH}} did not finish (exit code {process.returncode})", flush=True)
    return rows


def emit(arguments: list[str]) -> None:
    """What `alone` runs: a line of JSON for every row, as soon as it is there."""
    name, scratch, *rest = arguments
    module = import_module(f"benchmarks.{_MODULES.get(name, name)}")
    for row in module.run(Run(quick="quick" in rest, scratch=Path(scratch))):
        print(json.dumps(row.as_json()), flush=True)


def show(row: dict[str, Any]) -> None:
    """One line of the table."""
    unit, budget = row["unit"], row["budget"]
    measured = f"{row['value']:.2f} {unit}" if row["value"] < 100 else f"{row['value']:.0f} {unit}"
    bound = "" if budget is None else f"{'≥' if row['at_least'] else '≤'} {budget:g} {unit}"
    verdict = {True: "ok", False: "MISSED", None: "-"}[row["ok"]]
    print(f"{row['what']:<{_WIDTH}} {measured:>11} {bound:>11}  {verdict:<6}  {row['note']}", flush=True)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less than a minute; less exact, smaller stores")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows there as well")
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(NAMES))
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    load, started = os.getloadavg(), time.time()
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {load[0]:.1f}", flush=True)
    print(f"{'':<{_WIDTH}} {'measured':>11} {'budget':>11}", flush=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="rewind-benchmarks-") as scratch:
        for name in [name for name in NAMES if name in options.names or not options.names]:
            rows += alone(name, quick=options.quick, scratch=Path(scratch))
    missed = sum(row["ok"] is False for row in rows)
    print(f"{missed} missed; {time.time() - started:.0f} s, load {os.getloadavg()[0]:.1f}")
    if options.json:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "load": load}
        found = {**machine, "quick": options.quick, "rows": rows}
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
