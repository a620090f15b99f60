"""A conversation of 200 turns, each sending all that was said before: what is kept, and at what cost."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from benchmarks.harness import Row, Run
from benchmarks.scene import Agent, Caller, Pool

_BUDGET = 1.3  # times
_TURNS, _SAID = 200, 1_000  # characters
_SYLLABLES = ("ka", "lo", "mi", "ter", "sun", "ven", "der", "ost", "ing", "ra", "be", "tion", "pre", "sta")


def run(run: Run) -> Iterator[Row]:
    """Bytes stored to bytes that were new on the wire; CPU that recording adds to the last turns."""
    for name, said, budget in (("word-like text", _words, _BUDGET), ("random hex", _hex, None)):
        turns, new = _conversation(said)
        best: dict[bool, list[float]] = {}
        stored = 0
        for attempt in range(2 if run.quick else 8):
            for recorded in (False, True) if attempt % 2 else (True, False):
                times, size = _hold(run, turns, recorded=recorded)
                best[recorded] = [min(both) for both in zip(best.get(recorded, times), times, strict=True)]
                stored = size or stored
        added = [(b - a) * 1e3 for a, b in zip(best[False], best[True], strict=True)]
        sent = sum(len(request) for request, _ in turns)
        yield Row(
            f"growth, {_TURNS} turns of {name}: stored to new content",
            stored / new,
            "x",
            budget,
            note=f"{stored >> 10} KB for {new >> 10}, of {sent >> 10} sent",
        )
        last = len(turns[-1][0]) >> 10
        ratio = sum(best[True][-10:]) / sum(best[False][-10:])
        yield Row(
            f"growth, {name}: CPU added to a call, last ten turns",
            sum(added[-10:]) / 10,
            "ms",
            note=f"{last} KB each, x{ratio:.0f}; turns 2-11: {sum(added[1:11]) / 10:.2f} ms",
        )


def _conversation(said: Callable[[random.Random], str]) -> tuple[list[tuple[bytes, bytes]], int]:
    """Requests with their answers, and how many of their bytes were not there in an earlier one."""
    source = random.Random(11)
    messages: list[dict[str, str]] = [{"role": "system", "content": "You are a careful assistant. " * 10}]
    new = len(json.dumps(messages))
    turns = []
    for _ in range(_TURNS):
        asked = {"role": "user", "content": said(source)}
        answered = {"role": "assistant", "content": said(source)}
        messages.append(asked)
        request = json.dumps({"model": "gpt-4o-mini", "messages": messages, "temperature": 0.7}).encode()
        choices = [{"index": 0, "message": answered, "finish_reason": "stop"}]
        answer = json.dumps({"id": "chatcmpl-1", "model": "gpt-4o-mini", "choices": choices}).encode()
        turns.append((request, answer))
        new += len(json.dumps(asked)) + len(answer)
        messages.append(answered)
    return turns, new


def _hold(run: Run, turns: list[tuple[bytes, bytes]], *, recorded: bool) -> tuple[list[float], int]:
    """CPU seconds of each turn, and the size of the store made of them (0 without one)."""
    pool = Pool("httpx2")
    caller = Caller("httpx2", asynchronous=False, pool=pool)
    store = run.scratch / "growth.db"
    store.unlink(missing_ok=True)
    agent = Agent(caller.module, store)

    def hold() -> list[float]:
        times = []
        for request, answer in turns:
            pool.body = answer
            times.append(caller.calls([request]).cpu)
        return times

    if not recorded:
        return hold(), 0
    with agent.installed():
        times = hold()
    agent.close()
    return times, store.stat().st_size


def _words(source: random.Random) -> str:
    text = ""
    while len(text) < _SAID:
        word = "".join(source.choices(_SYLLABLES, k=source.randint(1, 4)))
        text += word + source.choice((" ", " ", " ", ". "))
    return text[:_SAID]


def _hex(source: random.Random) -> str:
    return source.randbytes(_SAID // 2).hex()
