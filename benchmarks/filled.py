"""Stores full of recorded answers, made through the store's own interface."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Run
from benchmarks.scene import ANSWER, ANSWER_HEADERS, HEADERS, URL, question
from rewind_auto.core.canonical import Canonicalizer
from rewind_auto.core.errors import StoreBusyError
from rewind_auto.core.model import Head, Recording, Request, Session, Step
from rewind_auto.describe import host_class
from rewind_auto.store import open_store

RECORDED = "a" * 32  # id of the session with all the answers


def size_of_largest(run: Run) -> int:
    """How many answers the largest store has."""
    return 5_000 if run.quick else 50_000


def filled(run: Run, size: int, *, sessions: int = 1) -> Path:
    """A store with ``size`` recorded answers, made once a run; if there is one session, it is `RECORDED`."""
    path = run.scratch / f"filled-{size}-{sessions}.db"
    if not path.exists():
        making = path.with_suffix(".making")
        _fill(making, size, sessions)
        making.rename(path)
    return path


def _fill(path: Path, size: int, sessions: int) -> None:
    store, canonicalizer = open_store(str(path)), Canonicalizer((), host_class)
    names = [RECORDED, *(f"{number:032x}" for number in range(1, sessions))]
    for name in names:
        store.begin(Session(name, "filled", started_at=time.time()))
    asked = (*((k.encode(), v.encode()) for k, v in HEADERS.items()), (b"content-length", b"572"))
    head = Head(200, tuple(ANSWER_HEADERS), b"OK")
    for number in range(size):
        request = Request("POST", URL, asked, question(number), "httpx2")
        step = Step(
            names[number * sessions // size],
            0,
            lane="t1",  # the first task's, or that of the first thread beside the main one
            fingerprint=canonicalizer.fingerprint(request),
            method=request.method,
            url=URL,
            status=200,
            library=request.library,
            provider="openai",
            operation="chat",
            model="gpt-4o-mini-2024-07-18",
            complete=True,
            chunks=1,
            usage={"input_tokens": 119, "output_tokens": 402},
            started_at=time.time(),
            duration_ms=1.0,
        )
        recording = Recording(request, head, ANSWER, ((len(ANSWER), 900),), 800, 1000)
        _patiently(store.prepare(step, recording))
    store.close()


def _patiently(attempt: Callable[[], int]) -> None:
    """Writing without a pause, a checkpoint of the store's own may be in the way."""
    while True:
        try:
            attempt()
        except StoreBusyError:
            time.sleep(0.001)
        else:
            return
