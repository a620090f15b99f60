"""Lanes: a call's line of work is named by the task or thread it comes from, not by whose call is first."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rewind_auto.core.lane import Lanes


@pytest.fixture
def lanes() -> Lanes:
    return Lanes()


def in_thread(lanes: Lanes, name: str) -> str:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(lanes.current()), name=name)
    thread.start()
    thread.join()
    return found[0]


def test_the_main_thread_has_the_lane_without_a_name(lanes: Lanes) -> None:
    assert lanes.current() == ""
    assert lanes.current() == ""


def test_threads_go_by_their_names_whichever_calls_first(lanes: Lanes) -> None:
    assert [in_thread(lanes, "b"), in_thread(lanes, "a")] == ["b", "a"]


def test_a_name_that_comes_again_is_counted(lanes: Lanes) -> None:
    assert [in_thread(lanes, "worker"), in_thread(lanes, "worker")] == ["worker", "worker#2"]


async def test_tasks_go_by_their_names_below_the_one_that_made_them(lanes: Lanes) -> None:
    async def child(wait: float) -> str:
        await asyncio.sleep(wait)
        first = lanes.current()
        assert lanes.current() == first
        return first

    outer = lanes.current()
    late = asyncio.create_task(child(0.02), name="first made")
    early = asyncio.create_task(child(0), name="second made")
    assert await early == f"{outer}/second made"
    assert await late == f"{outer}/first made"


async def below(names: list[str], lanes: Lanes) -> str:
    """Lane of the innermost of tasks of these names, each started by the one before it."""
    path = lanes.current()
    return await asyncio.create_task(below(names[1:], lanes), name=names[0]) if names else path


@pytest.mark.parametrize("name", ["c", "c" * 60], ids=["short", "one that is kept as a digest"])
async def test_what_repeats_a_lane_is_known_of_those_below_it(name: str) -> None:
    recorded, replayed = Lanes(), Lanes()
    asyncio.current_task().set_name("Task-1")  # type: ignore[union-attr]
    there = await below(["b", name, "d"], recorded)
    asyncio.current_task().set_name("Task-7")  # type: ignore[union-attr]
    here = await below(["b", name, "d"], replayed)
    assert here != there
    assert replayed.repeated(here, {}) == here
    assert replayed.repeated(here, {"Task-7": "Task-1"}) == there
    assert replayed.repeated(here, {"Task-7": "Task-1", here: "other"}) == "other"
    assert replayed.repeated("never seen", {"Task-7": "Task-1"}) == "never seen"


async def test_a_chain_of_tasks_does_not_grow_its_path_for_ever(lanes: Lanes) -> None:
    async def step(left: int) -> str:
        path = lanes.current()
        return await asyncio.create_task(step(left - 1)) if left else path

    assert len(await step(60)) <= 64


def test_a_new_session_begins_anew(lanes: Lanes) -> None:
    assert in_thread(lanes, "worker") == "worker"
    assert in_thread(Lanes(), "worker") == "worker"
