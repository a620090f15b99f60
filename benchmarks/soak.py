"""``python -m benchmarks.soak --minutes 30 --processes 16``: many processes on one store for a long time.

Each process records rounds of calls over all four libraries, in threads and tasks at once, and replays each
round right after. The provider answers some calls with errors, cuts or resets them, or is slow. Half of the
processes are killed now and then, with SIGKILL, and others take their places; the rest live on, and are
looked at for growth.

Exit code 1 if one of these does not hold:

- no lost step: each answer that a program got whole is in the store. Of a killed process those may be missing
  that were waiting to be written, if it had said that the store was locked;
- no wrong answer: each round is replayed as it was recorded;
- no growth of memory or descriptors;
- nothing on stderr but what the agent says of a store that is locked.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from benchmarks.harness import ROOT, clean_environment
from rewind_auto.core.decode import decode
from rewind_auto.store import open_store

_GROWTH = 12.0  # megabytes that a process may have more in the last third than in the second
_DESCRIPTORS = 8  # the same
_SAMPLES = 20  # in a third of its life: in a shorter one, all is warming up
_ENDING = 90  # seconds for the last rounds
_LOCKED = "the store is locked by another process"


@dataclass
class Process:
    """A worker, and what is known of it."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    said: IO[bytes]
    killed: bool = False
    samples: list[tuple[float, int]] = field(default_factory=list)  # megabytes, descriptors

    def sample(self) -> None:
        """Look at its memory and descriptors."""
        with suppress(OSError, ValueError, StopIteration):  # it is just ending
            status = Path(f"/proc/{self.popen.pid}/status").read_text().splitlines()
            resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
            self.samples.append((resident / 1024, len([*Path(f"/proc/{self.popen.pid}/fd").iterdir()])))

    def growth(self) -> tuple[float, int]:
        """What it has more in the last third of its life than in the second: megabytes, descriptors."""
        third = len(self.samples) // 3
        if third < _SAMPLES:
            return 0.0, 0
        middle, last = self.samples[third : 2 * third], self.samples[2 * third :]
        memory, descriptors = (
            statistics.median(one[which] for one in last) - statistics.median(one[which] for one in middle)
            for which in (0, 1)
        )
        return round(memory, 1), int(descriptors)

    def stderr(self) -> list[str]:
        """Lines that it wrote there."""
        self.said.seek(0)
        return self.said.read().decode(errors="replace").splitlines()


class Soak:
    """One run."""

    def __init__(self, scratch: Path, seconds: float, processes: int, rate: float, url: str) -> None:
        self._scratch = scratch
        self._store = scratch / "soak.db"
        self._processes = processes
        self._rate = rate
        self._url = url
        self._seconds = seconds
        self._until = time.time() + seconds
        self.all: list[Process] = []

    def run(self) -> None:
        """Start the processes, disturb them, and wait for their ends."""
        running = [self._start(str(number)) for number in range(self._processes)]
        victims = range(self._processes // 2)
        pause = max(2.0, self._seconds / 60)
        next_kill = time.time() + 2 * pause
        while time.time() < self._until:
            time.sleep(min(1.0, pause))
            for process in running:
                process.sample()
            if victims and time.time() > next_kill:
                next_kill = time.time() + pause * (0.5 + random.random())
                place = random.choice(victims)
                self._kill(running[place])
                running[place] = self._start(f"{place}.{len(self.all)}")
        deadline = time.time() + _ENDING
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(max(0.1, deadline - time.time()))

    def _start(self, name: str) -> Process:
        log = self._scratch / f"{name}.log"
        told = {
            "name": name,
            "url": self._url,
            "log": str(log),
            "until": self._until,
            "rate": self._rate / self._processes,
        }
        environment = {
            **clean_environment(),
            "REWIND_STORE": str(self._store),
            "SOAK": json.dumps(told),
            "NO_PROXY": "*",
        }
        said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        run = [
            sys.executable,
            "-m",
            "rewind_auto.cli.run",
            "--record",
            "--hosts",
            "127.0.0.1",
            "--name",
            name,
        ]
        worker = [sys.executable, "-m", "benchmarks.soak_worker"]
        popen = subprocess.Popen(
            [*run, *worker], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=said
        )
        self.all.append(Process(name, popen, log, said))
        return self.all[-1]

    def _kill(self, process: Process) -> None:
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGKILL)
            process.killed = True
            process.popen.wait()

    def stop(self) -> None:
        """Leave no process behind."""
        for process in self.all:
            if process.popen.poll() is None:
                process.popen.kill()
                process.popen.wait()

    def verdict(self) -> dict[str, Any]:
        """What was found, with ``violations`` in words."""
        kept = self._kept()
        violations: list[str] = []
        totals: Counter[str] = Counter()
        growth: list[tuple[float, int]] = []
        for process in self.all:
            violations += self._look_at(process, kept, totals)
            if not process.killed and "." not in process.name:
                growth.append(process.growth())
                memory, descriptors = growth[-1]
                if memory > _GROWTH or descriptors > _DESCRIPTORS:
                    violations.append(
                        f"process {process.name} grew by {memory} MB and {descriptors} descriptors"
                    )
        return {
            "seconds": round(self._seconds),
            "processes": self._processes,
            "started": len(self.all),
            "killed": sum(process.killed for process in self.all),
            "answers": totals["answers"],
            "lost": totals["lost"],
            "not_yet_written_when_killed": totals["waiting"],
            "replayed": totals["replayed"],
            "wrong": totals["wrong"],
            "growth_mb": max((memory for memory, _ in growth), default=0.0),
            "growth_descriptors": max((descriptors for _, descriptors in growth), default=0),
            "most_mb": round(max((one[0] for process in self.all for one in process.samples), default=0), 1),
            "store_mb": round(self._store.stat().st_size / 2**20, 1),
            "violations": violations,
        }

    def _kept(self) -> dict[str, Counter[str]]:
        """Digests of the answers in the store, by session."""
        kept: dict[str, Counter[str]] = defaultdict(Counter)
        store = open_store(str(self._store))
        try:
            for session in store.sessions():
                if not session.name.startswith("soak ") or session.name.endswith(" again"):
                    continue
                for step in store.steps(session.id):
                    recording = store.recording(session.id, step.step)
                    if recording is not None and recording.head is not None:
                        body = decode(recording.head, recording.body)
                        kept[session.name][sha256(body).hexdigest()[:24]] += 1
        finally:
            store.close()
        return kept

    def _look_at(self, process: Process, kept: dict[str, Counter[str]], totals: Counter[str]) -> list[str]:
        violations = []
        told = _lines(process.log)
        said = process.stderr()
        other = [line for line in said if _LOCKED not in line]
        if other:
            violations.append(f"process {process.name} said: {other[0]}")
        if not process.killed and (process.popen.returncode != 0 or not any("end" in line for line in told)):
            violations.append(f"process {process.name} ended with {process.popen.returncode}")
        for line in told:
            if "digest" in line:
                totals["answers"] += 1
                if kept[line["session"]][line["digest"]] > 0:
                    kept[line["session"]][line["digest"]] -= 1
                elif process.killed and said:
                    totals["waiting"] += 1
                else:
                    totals["lost"] += 1
                    violations.append(f"lost: an answer of {line['session']}")
            elif "wrong" in line:
                totals["wrong"] += 1
                violations.append(f"wrong: {json.dumps(line)}")
            elif "end" in line:
                totals["replayed"] += line["replayed"]
        return violations


def _lines(log: Path) -> list[dict[str, Any]]:
    if not log.exists():  # killed before its first answer
        return []
    return [json.loads(line) for line in log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def main(arguments: list[str] | None = None) -> int:
    """Run the soak; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--rate", type=float, default=60.0, help="recorded calls a second, of all processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    options = parser.parse_args(arguments)
    provider = [sys.executable, "-m", "benchmarks.soak_provider"]
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as scratch,
        subprocess.Popen(
            provider, cwd=ROOT, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as serving,
    ):
        assert serving.stdin is not None
        assert serving.stdout is not None
        url = f"http://127.0.0.1:{int(serving.stdout.readline())}"
        soak = Soak(Path(scratch), options.minutes * 60, options.processes, options.rate, url)
        try:
            soak.run()
        finally:
            soak.stop()
            serving.stdin.close()
        found = soak.verdict()
    for name, value in found.items():
        if name != "violations":
            print(f"{name.replace('_', ' '):<30} {value}")
    for violation in found["violations"][:50]:
        print(f"VIOLATION {violation}")
    print("clean" if not found["violations"] else f"{len(found['violations'])} violations")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if found["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
