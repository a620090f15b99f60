"""What the processes of a race do: ``python racing.py LOCATION TASK ARGUMENT...``, then go when told.

Prints one JSON value, what it has seen.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import making

from rewind_auto.core.model import Match
from rewind_auto.store import open_store

THREADS = 4


def reserving(store: Any, uid: str, count: str) -> Any:
    """Reserve so many numbers in each thread: when each was asked for, when it was there, and which it is."""

    def work(_: int) -> list[tuple[float, float, int]]:
        seen = []
        for _ in range(int(count)):
            asked = time.monotonic()
            number = making.patiently(lambda: store.reserve(uid))
            seen.append((asked, time.monotonic(), number))
        return seen

    return [one for many in in_threads(work) for one in many]


def claiming(store: Any, uid: str, source: str, match: str) -> Any:
    """Ask the same until there is no answer left: which answer came as which step, in each thread."""

    def work(thread: int) -> list[tuple[int, str]]:
        seen = []
        while True:
            found = making.patiently(lambda: making.claim(store, uid, source, "q", Match(match), str(thread)))
            if found is None:
                return seen
            seen.append((found.step, found.recording.body.decode()))

    return [one for many in in_threads(work) for one in many]


def saving(store: Any, uid: str, count: str, mark: str) -> Any:
    """Save steps whose bodies have much in common: number and text of each."""

    def work(thread: int) -> list[tuple[int, str]]:
        seen = []
        for turn in range(int(count)):
            text = f"{mark}.{thread}.{turn} " + "shared " * 200
            kept = making.recording(text.encode(), asked=b"shared " * 300)
            made = making.step(uid, text)
            made.step = making.patiently(lambda: store.reserve(uid))
            making.patiently(store.prepare(made, kept))
            seen.append((made.step, text))
        return seen

    return [one for many in in_threads(work) for one in many]


def beginning(store: Any, uid: str, mark: str) -> Any:
    """Be among the first to use a store that is not there yet."""
    making.patiently(lambda: making.session(store, id=uid, name=mark))
    return making.patiently(store.prepare(making.step(uid, mark), making.recording()))


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(THREADS)))


def main(location: str, task: str, *arguments: str) -> None:
    store = open_store(location)
    print("ready", flush=True)
    sys.stdin.readline()
    json.dump(globals()[task](store, *arguments), sys.stdout)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
