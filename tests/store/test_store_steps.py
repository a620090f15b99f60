"""Steps: numbered when they start, seen once they are whole."""

from __future__ import annotations

from dataclasses import replace

import making
import pytest

from rewind_auto.core.model import (
    Decision,
    Ending,
    Fault,
    Fingerprint,
    Kind,
    Match,
    Mode,
    Recording,
    Request,
    Step,
)


def numbers(store, uid):
    return [step.step for step in store.steps(uid)]


def test_numbered_from_one_in_each_session(store, backend):
    first, second, other = making.session(store), making.session(store), backend.open()
    assert [store.reserve(first), other.reserve(first), store.reserve(second)] == [1, 2, 1]
    assert [other.reserve(first), store.reserve(second)] == [3, 2]


def test_a_number_is_never_given_again(store, backend):
    uid = making.session(store)
    reserved = [store.reserve(uid) for _ in range(3)]
    made = making.step(uid)
    made.step = reserved[0]
    store.prepare(made, making.recording())()
    assert backend.open().reserve(uid) == 4  # 2 and 3 were given out, and may yet come
    store.close()
    assert store.reserve(uid) == 5


def test_unseen_until_whole(store, backend):
    uid, reader = making.session(store), backend.open()
    made = making.step(uid, "q", trace_id="f" * 32)
    made.step = store.reserve(uid)
    attempt = store.prepare(made, making.recording(b"whole"))
    replaying = making.session(store, Mode.REPLAY)
    for seen_by in (store, reader):
        assert seen_by.steps(uid) == []
        assert seen_by.recording(uid, 1) is None
        assert seen_by.resolve(uid).steps == 0
        assert not seen_by.has(uid, making.digest("q"))
        assert list(seen_by.unused(replaying, uid)) == []
        assert making.claim(seen_by, replaying, uid, "q") is None
        with pytest.raises(Exception, match="no call in this store"):
            seen_by.resolve("trace:" + "f" * 32)
    assert attempt() == 1
    for seen_by in (store, reader):
        assert numbers(seen_by, uid) == [1]
        assert seen_by.recording(uid, 1).body == b"whole"
        assert seen_by.has(uid, making.digest("q"))


def test_attempting_twice_is_once(store):
    uid = making.session(store)
    made = making.step(uid)
    attempt = store.prepare(made, making.recording(b"x" * 5000, asked=b"y" * 5000))
    assert [attempt(), attempt(), attempt()] == [1, 1, 1]
    assert made.step == 1
    assert numbers(store, uid) == [1]
    assert store.reserve(uid) == 2


def test_preparing_writes_nothing(store, backend):
    uid = making.session(store)
    before = backend.written()
    store.prepare(making.step(uid), making.recording(b"x" * 5000))
    assert backend.written() == before


def test_in_start_order_whatever_the_order_of_ends(store):
    uid = making.session(store)
    made = [making.step(uid, f"q{number}") for number in range(5)]
    for one in made:
        one.step = store.reserve(uid)
    for number in (3, 0, 4, 2, 1):
        store.prepare(made[number], making.recording(b"%d" % number))()
    assert numbers(store, uid) == [1, 2, 3, 4, 5]
    assert [store.recording(uid, number).body for number in range(1, 6)] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_step_keeps_everything(store, backend):
    uid = making.session(store)
    told = Step(
        uid,
        0,
        kind=Kind.TOOL,
        decision=Decision.MISS,
        lane="t1.2",
        fingerprint=Fingerprint(b"\0" * 16, b"\xff" * 16),
        method="PUT",
        url="https://example.com/ü?x=%20&y",
        status=207,
        error="Zeit ☃ \ud800",
        library="httpx",
        provider="custom",
        operation="chat",
        model="größe-1",
        stream=True,
        complete=True,
        chunks=3,
        usage={"input_tokens": 0, "output_tokens": 2**40},
        started_at=1_800_000_000.000001,
        duration_ms=0.0,
        first_chunk_ms=0.125,
        trace_id="f" * 32,
        span_id="e" * 16,
        call_site="/tmp/ü.py:12",
        note="two\nlines",
        detail={"diff": [{"path": "a", "old": None, "new": [1.5, "x"]}], "source_step": 3},
    )
    store.prepare(told, making.recording())()
    assert backend.open().steps(uid) == [told]


def test_a_step_that_is_hardly_known(store):
    uid = making.session(store)
    store.prepare(Step(uid, 0), None)()
    assert store.steps(uid) == [Step(uid, 1)]
    assert store.recording(uid, 1) is None
    assert store.recording(uid, 2) is None
    assert store.recording(uid, 0) is None


@pytest.mark.parametrize("decision", [Decision.BYPASS, Decision.BLOCKED])
def test_steps_without_an_answer_are_no_answer(store, decision):
    uid, replaying = making.session(store), making.session(store, Mode.REPLAY)
    kept = Recording(Request("POST", making.URL, (), b"{}"), ending=Ending.CLOSED)
    making.save(store, uid, "q", kept, decision=decision)
    assert making.claim(store, replaying, uid, "q") is None
    assert making.claim(store, replaying, uid, "q", Match.RENAMED) is None
    assert list(store.unused(replaying, uid)) == []
    assert not store.has(uid, making.digest("q"))


def test_a_call_that_got_no_response(store):
    uid = making.session(store)
    fault = Fault("httpx2", "ConnectTimeout", "timed out", "send")
    kept = replace(making.recording(b""), head=None, cuts=(), head_us=0, ending=Ending.FAULT, fault=fault)
    making.save(store, uid, "q", kept)
    assert store.recording(uid, 1) == kept
    claimed = making.claim(store, making.session(store, Mode.REPLAY), uid, "q")
    assert (claimed.recording.head, claimed.recording.fault) == (None, fault)


def test_whether_a_call_was_repeated(store):
    uid = making.session(store)
    for text in ("a", "b", "a"):
        making.save(store, uid, text)
    store.reserve(uid)
    ask = lambda number, text: store.repeated(uid, number, making.fingerprint(text))  # noqa: E731
    assert [ask(1, "a"), ask(2, "a"), ask(3, "a")] == [True, True, False]
    assert [ask(1, "b"), ask(2, "b"), ask(0, "never")] == [True, False, False]


def test_a_closed_store_opens_again(store, backend):
    uid = making.session(store)
    making.save(store, uid)
    store.close()
    store.close()
    making.save(store, uid)
    assert numbers(backend.open(), uid) == [1, 2]
