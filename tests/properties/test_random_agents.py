"""Agents at random: recorded, replayed with nobody there to answer, forked at every step, cached."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import plans
import pytest
from drivers import HTTPX_ASYNC, HTTPX_SYNC, AiohttpDriver, Got, RequestsDriver
from hypothesis import example, given, note
from hypothesis import strategies as st
from plan_runs import Run, Runs, runs_of, same
from plans import Ask, Call, Own, Plan, Together

from rewind_auto.core.model import Mode

pytestmark = pytest.mark.timeout(1200)  # with --full

SYNC, ASYNC = HTTPX_SYNC[1], HTTPX_ASYNC[1]  # over httpx2
DRIVERS = [SYNC, ASYNC, RequestsDriver(), AiohttpDriver()]

# What was found: plans that went wrong.
CALLED_INSIDE = Plan((Call(kind="agent", body=(Ask(fresh=True),)), Ask(fresh=True), Ask(fresh=True)))
IN_ORDER_AFTER_A_FUNCTION = Plan(
    (Call(kind="agent", body=(Ask(),)), Together("completed", ((Ask(),), (Ask("b"),))))
)
IN_ORDER_ACROSS_SESSIONS = Plan((Together("completed", ((Ask(ms=30),), (Own("chat", (Ask(ms=5),)),))),))
SESSIONS_AFTER_THE_CUT = Plan(
    (Ask(fresh=True), Own("chat", (Ask(fresh=True), Own("deep", (Ask(fresh=True),)))))
)
A_SESSION_FIRST = Plan(
    (Own("chat", (Own("deep", (Ask(fresh=True),)),)), Ask(), Own("deep", (Ask(fresh=True),)))
)
INSIDE_FIRST = Plan((Ask(), Own("chat", (Own("chat", (Call(fresh=True),)), Call())), Ask()))
# Of two sessions of a name, the one that has made no call itself yet.
WHICH_OF_TWO = Plan(
    (Ask(), Own("chat", (Own("chat", (Ask(),)), Ask())), Own("chat", (Call(fresh=True),)), Ask())
)
# Two that ask the very same first, and the quicker one of which is not the quicker one of a replay: what
# tells them apart are their tasks' names, below that of a pool's loop, which is another one each time.
_ANYWHERE = (Call(fresh=True), Ask())
_QUICKER_REPLAYED = (Ask(ms=50), Together("gather", (_ANYWHERE, (Ask("b"),)), alike=True))
_QUICKER_RECORDED = (
    Ask(),
    Together("gather", ((Together("gather", (_ANYWHERE, (Ask("b"),)), alike=True),),), alike=True),
)
NAMED_BELOW_A_POOL = Plan(
    (
        Together(
            "pool",
            (
                (Ask(fresh=True), Together("gather", (_QUICKER_REPLAYED, _QUICKER_RECORDED), alike=True)),
                (Ask(fresh=True),),
            ),
        ),
    )
)
# As it was found: three more functions that are asked the same below a pool's thread.
_THREE_ALIKE = Together(
    "gather",
    (
        (Call("b", fresh=True),),
        (Call("b", "agent", fresh=True, body=(Call("a", "generator"),)), Call("b", "generator", fresh=True)),
        (Call("b", fresh=True),),
    ),
    alike=True,
)
_TWO_AND_A_RETRY = Together(
    "gather",
    (
        (
            Ask("b", to="models", trouble=("500", "reset"), tries=3, give_up=True, ms=5),
            Call("b", "generator", fresh=True),
        ),
        (
            Call("a", "agent", body=(Ask(stream=True, fresh=True), Ask(to="models", tries=2))),
            Call("b", "agent", fresh=True, body=(Call("b", "raises", fresh=True), Call("a", "raises"))),
            Call("a"),
        ),
    ),
    alike=True,
)
_FOUND_ALIKE = Together(
    "gather",
    (
        (Ask("b", ms=2), Call("b", "agent", fresh=True, body=(Ask("b", fresh=True, ms=5),)), _THREE_ALIKE),
        (Call("a", "raises", fresh=True),),
        (Call("a", "generator", fresh=True), _TWO_AND_A_RETRY),
    ),
    alike=True,
)
FORKED_BELOW_A_POOL = Plan(
    (
        Together(
            "pool",
            (
                (Ask(to="tool", fresh=True, trouble=("429",), tries=2),),
                (Ask("b", stream=True, fresh=True, trouble=("429",), tries=3), _FOUND_ALIKE),
            ),
        ),
    )
)


@pytest.mark.parametrize("driver", DRIVERS, ids=repr)
def test_a_replay_and_its_replay_are_what_was_recorded(driver, examples):
    @examples
    @example(plan=CALLED_INSIDE)
    @example(plan=IN_ORDER_AFTER_A_FUNCTION)
    @example(plan=IN_ORDER_ACROSS_SESSIONS)
    @example(plan=NAMED_BELOW_A_POOL)
    @given(plan=plans.sequential() | plans.parallel())
    def holds(plan: Plan) -> None:
        note(str(plan))
        with runs_of(driver, plan) as runs:
            recorded = runs.record()
            assert recorded.said == []
            replayed = is_replayed(runs, recorded)
            is_replayed(runs, replayed)

    holds()


@pytest.mark.parametrize("driver", [SYNC, ASYNC], ids=repr)
def test_a_fork_at_every_step_leaves_there(driver, examples):
    @examples
    @example(plan=SESSIONS_AFTER_THE_CUT)
    @example(plan=A_SESSION_FIRST)
    @example(plan=INSIDE_FIRST)
    @example(plan=WHICH_OF_TWO)
    @given(plan=plans.sequential())
    def holds(plan: Plan) -> None:
        note(str(plan))
        with runs_of(driver, plan) as runs:
            recorded = runs.record()
            forks = [runs.fork(recorded, cut) for cut in range(1, len(recorded.steps) + 2)]
            for cut, forked in enumerate(forks, 1):
                note(f"fork at {cut}, at {forked.session.fork_step} in fact")
                leaves(forked, recorded)
                # One after the other: in what the agent saw, too, nothing recorded comes after anything new.
                own = [step.decision for step in forked.steps]
                assert own == sorted(own, key=lambda decision: decision != "hit")
                eras = [era for text in texts(forked.seen) for era in re.findall(r"run-\d+", text)]
                assert eras == sorted(eras, key=lambda era: era != "run-1")
                began = {step.step: step.started_at for step in recorded.steps}.get(forked.session.fork_step)
                if began is not None:
                    before = [
                        step for step in recorded.all_steps if step.started_at < began and not step.inside
                    ]
                    assert forked.decisions().count("hit") == len(before)
            for forked in forks:
                is_replayed(runs, forked)

    holds()


@pytest.mark.parametrize("driver", [SYNC, ASYNC], ids=repr)
def test_a_fork_of_a_fork_of_agents_that_do_things_at_the_same_time(driver, examples):
    @examples
    @example(plan=NAMED_BELOW_A_POOL, at=(0.0, 0.5, 0.5))
    @example(plan=FORKED_BELOW_A_POOL, at=(0.0, 0.5, 0.4))
    @given(plan=plans.parallel(completed=False), at=st.tuples(*[st.floats(0, 1)] * 3))
    def holds(plan: Plan, at: tuple[float, ...]) -> None:
        note(str(plan))
        with runs_of(driver, plan) as runs:
            chain = [runs.record()]
            for part in at:  # of the way through the last one, from before its first step to behind its last
                source = chain[-1]
                cut = 1 + round(part * len(source.steps))
                note(f"cut: {cut}")
                chain.append(runs.fork(source, cut))
                leaves(chain[-1], source)
            replays = [is_replayed(runs, forked) for forked in chain[1:]]
            is_replayed(runs, replays[-1])

    holds()


@pytest.mark.parametrize("driver", [SYNC, ASYNC], ids=repr)
def test_a_cache_sends_nothing_twice(driver, examples):
    @examples
    @given(plan=plans.cacheable())
    def holds(plan: Plan) -> None:
        note(str(plan))
        with runs_of(driver, plan) as runs:
            first, second = runs.run(Mode.CACHE), runs.run(Mode.CACHE)
            same(first, second)
            assert (second.sent, second.ran, second.said) == (0, 0, [])
            assert set(second.decisions()) <= {"hit"}
            is_replayed(runs, second)

    holds()


def is_replayed(runs: Runs, source: Run) -> Run:
    """A replay shows what its source showed, without doing anything for it."""
    replayed = runs.replay(source)
    same(source, replayed)
    assert set(replayed.decisions()) <= {"hit"}
    assert (replayed.sent, replayed.ran, replayed.said, replayed.clean) == (0, 0, [], True)
    assert replayed.session.parent == source.session.id
    return replayed


def leaves(forked: Run, source: Run) -> None:
    """All of the source before the cut is served, nothing of it from there on."""
    cut = forked.session.fork_step
    assert cut is not None
    assert forked.session.parent == source.session.id
    served = [step.source.step for step in forked.steps if step.decision == "hit" and step.source]
    assert sorted(served) == [step.step for step in source.steps if step.step < cut and not step.inside]
    assert [step.step for step in forked.steps] == list(range(1, len(forked.steps) + 1))
    assert set(forked.decisions()) <= {"hit", "record", "miss"}
    assert [line for line in forked.said if "under way when step" not in line] == []


def texts(seen: Any) -> Iterator[str]:
    """All texts that an agent was given, in order."""
    if isinstance(seen, Got):
        yield from (piece if isinstance(piece, str) else piece.decode() for piece in seen.pieces)
    elif isinstance(seen, str):
        yield seen
    elif isinstance(seen, list | tuple):
        for one in seen:
            yield from texts(one)
