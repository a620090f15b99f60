"""What was recorded and how often it was served: the sums that `stats` and `savings` are made of."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import making
import pytest

from rewind_auto.core.errors import UnknownReferenceError
from rewind_auto.core.model import Decision, Match, Mode
from rewind_auto.store import open_store
from rewind_auto.store.contract import Use

TOKENS = {"input_tokens": 7, "output_tokens": 2}


@pytest.fixture
def source(store) -> str:
    """A session with the answers a and b, begun at 100 and 200."""
    uid = making.session(store, started_at=90.0)
    known = {"provider": "openai", "model": "m", "usage": TOKENS, "duration_ms": 3.0}
    making.save(store, uid, "a", started_at=100.0, **known)
    making.save(store, uid, "b", started_at=200.0, **known)
    return uid


@pytest.fixture
def replayed(store, source) -> str:
    """A replay of a, twice: the second time from the first replay."""
    first = making.session(store, Mode.REPLAY, parent=source, started_at=290.0)
    assert store.claim(
        making.step(first, "a", started_at=300.0), source, making.digest("a"), Match.EXACT, lane=""
    )
    second = making.session(store, Mode.REPLAY, parent=first, started_at=390.0)
    assert store.claim(
        making.step(second, "a", started_at=400.0), first, making.digest("a"), Match.EXACT, lane=""
    )
    return second


def use(at: float, *, live: bool, hits: int) -> Use:
    return Use("openai", "m", TOKENS, at, 3.0, live, hits)


def seen(uses) -> tuple[tuple[int, int, int], list[Use]]:
    return (uses.sessions, uses.steps, uses.hits), sorted(uses.each, key=lambda found: found.started_at)


def test_each_recording_once_with_how_often_it_was_served(store, source, replayed):
    assert seen(store.uses()) == ((3, 4, 2), [use(100.0, live=True, hits=2), use(200.0, live=True, hits=0)])


def test_of_one_session(store, source, replayed):
    assert seen(store.uses(source)) == (
        (1, 2, 0),
        [use(100.0, live=True, hits=0), use(200.0, live=True, hits=0)],
    )
    assert seen(store.uses(replayed)) == ((1, 1, 1), [use(100.0, live=False, hits=1)])


def test_since_some_time(store, source, replayed):
    assert seen(store.uses(since=200.0)) == (
        (3, 3, 2),
        [use(100.0, live=False, hits=2), use(200.0, live=True, hits=0)],
    )
    assert seen(store.uses(since=350.0)) == ((1, 1, 1), [use(100.0, live=False, hits=1)])
    assert seen(store.uses(replayed, since=401.0)) == ((0, 0, 0), [])


def test_sessions_inside_count_with_the_one_around(store, source):
    outer = making.session(store, Mode.CACHE)
    inside = making.session(store, Mode.CACHE, outer=outer)
    innermost = making.session(store, Mode.CACHE, outer=inside)
    for uid in (outer, inside, innermost):
        assert store.reuse(
            making.step(uid, "a", started_at=300.0), making.digest("a"), Match.EXACT, since=0.0
        )
    assert seen(store.uses(outer)) == ((3, 3, 3), [use(100.0, live=False, hits=3)])
    assert seen(store.uses(inside)) == ((2, 2, 2), [use(100.0, live=False, hits=2)])


def test_a_blocked_call_was_not_made(store, source):
    replaying = making.session(store, Mode.REPLAY, parent=source)
    making.blocked(store, replaying, "x")
    (counts, [blocked]) = seen(store.uses(replaying))
    assert counts == (1, 1, 0)
    assert (blocked.live, blocked.hits) == (False, 0)


def test_a_call_that_was_left_alone_was_made(store):
    uid = making.session(store)
    made = making.step(uid, "x", decision=Decision.BYPASS, usage=TOKENS)
    store.prepare(made, None)()
    [found] = store.uses(uid).each
    assert (found.live, found.usage, found.duration_ms) == (True, TOKENS, None)


def test_steps_that_are_not_whole_do_not_count(store, source):
    store.reserve(source)
    assert seen(store.uses(source))[0] == (1, 2, 0)


def test_no_such_session(store, source):
    with pytest.raises(UnknownReferenceError):
        store.uses("f" * 32)


def test_while_another_process_writes(store, backend, source, replayed):
    reader = backend.open()
    with backend.held():
        assert seen(reader.uses())[0] == (3, 4, 2)


def test_a_hit_knows_when_its_recording_was_made(store, source, replayed):
    [hit] = store.steps(replayed)
    assert (hit.started_at, hit.recorded_at) == (400.0, 100.0)
    assert [step.recorded_at for step in store.steps(source)] == [None, None]


def test_size_grows_with_what_is_stored(store, source):
    before, body = store.size(), random.Random(1).randbytes(1 << 20)
    making.save(store, source, "c", making.recording(body))
    assert store.size() >= before + len(body)


def test_a_recording_that_is_gone(place):
    """Its hits were served all the same; nobody knows what it had cost."""
    with closing(open_store(str(place / "a.db"))) as store:
        uid, replaying = making.session(store), making.session(store, Mode.REPLAY)
        making.save(store, uid, "a", usage=TOKENS)
        assert making.claim(store, replaying, uid, "a")
        with closing(sqlite3.connect(place / "a.db", isolation_level=None)) as db:
            db.execute("DELETE FROM steps WHERE decision = 'record'")
        uses = store.uses()
        assert (uses.steps, uses.hits) == (1, 1)
        assert [(found.live, found.hits, found.usage) for found in uses.each] == [(False, 1, None)]
