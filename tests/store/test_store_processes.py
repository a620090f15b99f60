"""Many threads of many processes at one store."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import making
import pytest
import racing
from backends import ENVIRON

from rewind_auto.core.errors import StoreBusyError
from rewind_auto.core.model import Match, Mode


def race(backend, *tasks):
    """Do each task, given as words, in a process of its own, all at once. What each has seen."""
    command = [sys.executable, racing.__file__, backend.location]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runners = [subprocess.Popen([*command, *map(str, task)], env=ENVIRON, **pipes) for task in tasks]
    assert [runner.stdout.readline() for runner in runners] == ["ready\n"] * len(runners)
    for runner in runners:
        runner.stdin.write("\n")
        runner.stdin.flush()
    said = [runner.communicate(timeout=60) for runner in runners]
    assert [(errors, runner.returncode) for (_, errors), runner in zip(said, runners, strict=True)] == [
        ("", 0)
    ] * len(runners)
    return [json.loads(output) for output, _ in said]


def test_numbers_across_threads_and_processes(store, backend):
    """All different, none left out, and in the order of their starts."""
    uid = making.session(store)
    seen = [tuple(one) for many in race(backend, *[("reserving", uid, 50)] * 2) for one in many]
    seen.sort(key=lambda one: one[2])
    assert [number for *_, number in seen] == list(range(1, len(seen) + 1))
    soonest = float("inf")
    for asked, there, number in reversed(seen):
        assert asked <= soonest, f"{number} was asked for after a later number was there"
        soonest = min(soonest, there)
    assert store.reserve(uid) == len(seen) + 1


def test_numbers_across_threads_of_one_store(store):
    uid = making.session(store)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: store.reserve(uid), range(400)))
    assert sorted(numbers) == list(range(1, 401))


@pytest.mark.parametrize("match", Match)
def test_no_answer_is_given_twice_and_none_is_missed(store, backend, match):
    """Two processes of four threads ask for the same, five hundred times."""
    source = making.session(store)
    answers = [f"answer {number}" for number in range(500)]
    for number, answer in enumerate(answers):
        lane = str(number % (racing.THREADS + 2))
        making.save(store, source, "q", making.recording(answer.encode()), lane=lane)
    replaying = making.session(store, Mode.REPLAY, parent=source)
    seen = [one for many in race(backend, *[("claiming", replaying, source, match)] * 2) for one in many]
    assert sorted(answer for _, answer in seen) == sorted(answers)
    assert sorted(number for number, _ in seen) == list(range(1, 501))
    assert store.verdict(replaying).clean
    hits = {hit.step: store.recording(replaying, hit.step).body.decode() for hit in store.steps(replaying)}
    assert hits == dict(seen)


def test_writers_do_not_undo_each_other(store, backend):
    uid = making.session(store)
    seen = [one for many in race(backend, ("saving", uid, 30, "a"), ("saving", uid, 30, "b")) for one in many]
    assert sorted(number for number, _ in seen) == list(range(1, 241))
    kept = {step.step: store.recording(uid, step.step).body.decode() for step in store.steps(uid)}
    assert kept == dict(seen)
    backend.check()


def test_a_session_begun_by_many_at_once(backend):
    """There is one, and what each of them keeps is in it."""
    stores = [backend.open() for _ in range(4)]
    making.session(stores[0])

    def work(store):
        for number in range(40):
            uid = f"{number:032x}"
            together.wait(20)
            making.patiently(lambda uid=uid: making.session(store, id=uid))
            together.wait(20)
            made = making.step(uid)
            making.patiently(store.prepare(made, making.recording()))

    together, interval = Barrier(len(stores)), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    try:
        with ThreadPoolExecutor(len(stores)) as pool:
            list(pool.map(work, stores))
    finally:
        sys.setswitchinterval(interval)
    assert [one.steps for one in stores[0].sessions()] == [*[len(stores)] * 40, 0]


@pytest.mark.parametrize("turn", range(3))
def test_a_store_made_by_many_at_once(backend, turn):
    uid = "a1" * 16
    assert sorted(race(backend, *[("beginning", uid, f"p{number}") for number in range(4)])) == [1, 2, 3, 4]
    store = backend.open()
    assert store.resolve(uid).name in {"p0", "p1", "p2", "p3"}
    assert len(store.steps(uid)) == 4
    backend.check()


def test_busy_is_told_at_once_and_nothing_is_written(store, backend):
    """Waiting is the caller's business."""
    uid = making.session(store)
    made = making.step(uid)
    made.step = store.reserve(uid)
    attempt = store.prepare(made, making.recording(b"x" * 3000, asked=b"y" * 3000))
    numberless = making.step(uid)
    attempt_numberless = store.prepare(numberless, making.recording())
    calls = {
        "reserve": lambda: store.reserve(uid),
        "begin": lambda: making.session(store, id="new"),
        "finish": lambda: store.finish(uid, "completed"),
        "save": attempt,
        "save without a number": attempt_numberless,
    }
    with backend.held():
        before = backend.written()
        for name, call in calls.items():
            took = []
            for _ in range(5):  # this process may not get a processor at once
                started = time.perf_counter()
                with pytest.raises(StoreBusyError, match="locked by another process"):
                    call()
                took.append(time.perf_counter() - started)
            assert min(took) < 0.01, name
        assert store.steps(uid) == []  # readers go on
        assert backend.written() == before
    assert numberless.step == 0
    assert [attempt(), attempt_numberless()] == [1, 2]
    assert [step.step for step in store.steps(uid)] == [1, 2]
    assert store.resolve(uid).status == "running"
