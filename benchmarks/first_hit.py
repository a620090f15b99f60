"""One replayed call in a fresh interpreter, timed; `benchmarks.opening` starts it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.scene import Agent, Caller, Pool, question

_RECORDED = "a" * 32  # as in `benchmarks.filled`, which would import what is to be timed


def _main(store: str, number: str) -> None:
    started = time.process_time()
    pool = Pool("httpx2")
    caller = Caller("httpx2", asynchronous=False, pool=pool)
    body = question(int(number))
    caller.calls([body])  # what the client itself does late
    client = time.process_time() - started
    pool.body = None
    agent = Agent(caller.module, Path(store), source=_RECORDED)
    assert "rewind_auto.runtime" not in sys.modules
    with agent.installed():
        cost = caller.calls([body])
    print(json.dumps({"client": client, "cpu": cost.cpu, "wall": cost.wall[0]}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
