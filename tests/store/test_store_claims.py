"""Claims: which recorded answer a call of a replay gets, and that no other call gets it too."""

from __future__ import annotations

from dataclasses import replace

import making
import pytest

from rewind_auto.core.model import Decision, Ending, Match, Mode, Recording, Request, StepRef


@pytest.fixture
def source(store):
    return making.session(store, name="recorded")


@pytest.fixture
def replaying(store, source):
    return making.session(store, Mode.REPLAY, parent=source)


def claimed(store, uid, source, *asked, **options):
    """The recorded steps that these questions get, None for one that gets nothing."""
    found = [making.claim(store, uid, source, text, **options) for text in asked]
    return [one and one.source.step for one in found]


def test_a_claim_is_the_hit(store, backend, source, replaying):
    making.save(store, source, "q", trace_id="f" * 32, span_id="e" * 16, model="gpt-5", status=200)
    asked = making.step(replaying, "q", lane="1", started_at=99.5, trace_id="d" * 32, call_site="a.py:1")
    found = store.claim(asked, source, making.digest("q"), Match.EXACT, lane="1")
    assert (found.step, found.match) == (1, Match.EXACT)
    assert (found.source.session, found.source.step) == (source, 1)
    assert (found.source.trace_id, found.source.span_id) == ("f" * 32, "e" * 16)
    assert found.recording.body == b"answer to q"
    assert (asked.step, asked.decision, asked.source) == (1, Decision.HIT, StepRef(source, 1))
    [hit] = backend.open().steps(replaying)
    assert (hit.decision, hit.match, hit.source) == (Decision.HIT, Match.EXACT, StepRef(source, 1))
    assert (hit.lane, hit.started_at, hit.trace_id, hit.call_site) == ("1", 99.5, "d" * 32, "a.py:1")
    # What it served is the recording's.
    assert (hit.method, hit.url, hit.model, hit.status) == ("POST", making.URL, "gpt-5", 200)
    assert hit.fingerprint == making.fingerprint("q")
    assert store.recording(replaying, 1) == store.recording(source, 1)


def test_equal_questions_in_order_then_none(store, source, replaying):
    for number in range(4):
        making.save(store, source, "q", making.recording(b"%d" % number))
        making.save(store, source, "other")
    bodies = [making.claim(store, replaying, source, "q").recording.body for _ in range(4)]
    assert bodies == [b"0", b"1", b"2", b"3"]
    assert making.claim(store, replaying, source, "q") is None
    assert [step.step for step in store.steps(replaying)] == [1, 2, 3, 4]  # asking in vain takes no number


def test_every_replay_has_all_of_them(store, source):
    making.save(store, source, "q")
    for _ in range(3):
        assert claimed(store, making.session(store, Mode.REPLAY), source, "q", "q") == [1, None]


def test_first_in_the_lane_then_anywhere(store, source, replaying):
    for lane in ("1", "2", "1", "2", "3"):
        making.save(store, source, "q", lane=lane)
    ask = lambda lane: claimed(store, replaying, source, "q", lane=lane)[0]  # noqa: E731
    assert [ask("2"), ask("1"), ask("2"), ask("2"), ask("9"), ask("1")] == [2, 1, 4, 3, 5, None]


def test_first_in_the_lane_by_canonical_form_too(store, source, replaying):
    for lane in ("1", "2", "1"):
        making.save(store, source, "q", canonical="c", lane=lane)
    ask = lambda lane: claimed(store, replaying, source, "c", match=Match.RENAMED, lane=lane)[0]  # noqa: E731
    assert [ask("2"), ask("2"), ask("1"), ask("1")] == [2, 1, 3, None]


def test_only_from_the_source(store, source, replaying):
    other = making.session(store)
    making.save(store, other, "q")
    assert claimed(store, replaying, source, "q") == [None]
    assert not store.has(source, making.digest("q"))
    assert store.has(other, making.digest("q"))


def test_both_ways_of_matching_share_the_answers(store, source, replaying):
    for text in ("a", "b"):
        making.save(store, source, text, canonical="c")
    assert claimed(store, replaying, source, "b") == [2]
    assert claimed(store, replaying, source, "c", match=Match.RENAMED) == [1]
    assert claimed(store, replaying, source, "a", "b") == [None, None]
    assert claimed(store, replaying, source, "c", match=Match.RENAMED) == [None]


def test_claiming_one_step(store, source, replaying):
    for text in ("a", "b"):
        making.save(store, source, text)
    asked = making.step(replaying, "changed")
    found = store.claim_step(asked, source, 2, Match.RENAMED)
    assert (found.source.step, found.recording.body) == (2, b"answer to b")
    assert store.claim_step(making.step(replaying), source, 2, Match.RENAMED) is None
    assert claimed(store, replaying, source, "b", "a") == [None, 1]
    [hit, _] = store.steps(replaying)
    assert (hit.match, hit.fingerprint) == (Match.RENAMED, making.fingerprint("changed"))


def test_an_answer_claimed_elsewhere_is_passed_over(store, backend, source, replaying):
    """As by another process of the run, after this one has looked."""
    for _ in range(4):
        making.save(store, source, "q", canonical="c")
    other = backend.open()
    assert claimed(store, replaying, source, "q") == [1]
    assert claimed(store, replaying, source, "c", match=Match.RENAMED) == [2]
    assert claimed(other, replaying, source, "q") == [3]
    assert claimed(store, replaying, source, "c", match=Match.RENAMED) == [4]
    assert claimed(other, replaying, source, "q") == [None]


@pytest.mark.parametrize("match", Match)
def test_a_claim_that_met_a_busy_store_has_taken_nothing(store, backend, source, replaying, match):
    from rewind_auto.core.errors import StoreBusyError

    making.save(store, source, "q", lane="1")
    making.save(store, source, "q", lane="2")
    with backend.held():
        for lane in ("2", "9"):
            with pytest.raises(StoreBusyError):
                making.claim(store, replaying, source, "q", match, lane)
    assert [claimed(store, replaying, source, "q", match=match, lane=lane) for lane in "299"] == [
        [2],
        [1],
        [None],
    ]


# --- what is left


def test_unused(store, source, replaying):
    for text in "abcd":
        making.save(store, source, text, making.recording(asked=b"question " + text.encode()))
    store.reserve(source)
    making.save(store, source, "e", decision=Decision.BYPASS)
    making.claim(store, replaying, source, "c")
    left = list(store.unused(replaying, source))
    assert [(step.step, request.body) for step, request in left] == [
        (1, b"question a"),
        (2, b"question b"),
        (4, b"question d"),
    ]
    assert len(list(store.unused("", source))) == 4  # nobody has used any
    found = []
    for step, _ in store.unused(replaying, source):  # while it is being looked at
        found.append(step.step)
        making.claim(store, replaying, source, "abcd"[step.step - 1])
    assert found == [1, 2, 4]
    assert list(store.unused(replaying, source)) == []


def test_the_verdict(store, source, replaying):
    for text in "ab":
        making.save(store, source, text)
    making.claim(store, replaying, source, "a")
    verdict = store.verdict(replaying)
    assert not verdict.clean
    assert ([s.step for s in verdict.unused], verdict.blocked) == ([2], [])
    making.claim(store, replaying, source, "b")
    assert store.verdict(replaying).clean
    making.blocked(store, replaying, "c")
    verdict = store.verdict(replaying)
    assert not verdict.clean
    assert ([s.step for s in verdict.blocked], verdict.unused) == ([3], [])
    assert store.verdict(source).clean  # no replay: nothing to answer for


def test_what_was_cancelled_before_an_answer_need_not_be_asked_for(store, source):
    given_up = Recording(Request("POST", making.URL, (), b"{}"), ending=Ending.CANCELLED)
    read_partly = replace(making.recording(), ending=Ending.CANCELLED)
    within = making.session(store, outer=source)
    making.save(store, source, "given up", given_up, complete=False)
    making.save(store, source, "read partly", read_partly, complete=False)
    making.save(store, source, "a function", given_up, complete=False)
    making.save(store, source, "part of it", inside=3)
    making.save(store, within, "given up", given_up, complete=False)
    replaying = making.session(store, Mode.REPLAY, parent=source)
    assert [step.step for step, _ in store.unused(replaying, source)] == [1, 2, 3, 4]  # still to be had
    assert [store.first_unused(replaying, source, start, 5) for start in (1, 3)] == [1, 3]
    assert [store.first_unused(replaying, source, start, 4, given_up=False) for start in (1, 3)] == [2, None]
    assert [(step.session, step.step) for step in store.verdict(replaying).unused] == [(source, 2)]
    making.claim(store, replaying, source, "read partly")
    assert store.verdict(replaying).clean
    again = making.session(store, Mode.REPLAY, parent=replaying)
    making.claim(store, again, replaying, "read partly")
    assert store.verdict(again).clean


# --- replays of replays


def test_a_replay_of_a_replay_of_a_replay(store, backend, source):
    """A hit is an answer too. It leads to the recording, however many replays lie between."""
    for number, lane in enumerate(("1", "1", "2"), start=1):
        making.save(store, source, "q", making.recording(b"q%d" % number), lane=lane)
    making.save(store, source, "x", making.recording(b"x"), canonical="c")
    recorded, chain = {1: b"q1", 2: b"q2", 3: b"q3"}, [source]
    for depth in range(3):
        uid = making.session(store, Mode.REPLAY, parent=chain[-1])
        assert store.has(chain[-1], making.digest("q"))
        # The first replay asked for "x" in other words; from then on it is those words that are asked for.
        if depth == 0:
            step = making.step(uid, "y", canonical="c")
            found = store.claim(step, chain[-1], making.digest("c", "canonical"), Match.RENAMED, lane="")
        else:
            assert making.claim(store, uid, chain[-1], "x") is None
            found = making.claim(store, uid, chain[-1], "y")
        assert found.recording.body == b"x"
        making.blocked(store, uid, "blocked")
        bodies = {}
        for lane in ("2", "1", "2"):
            found = making.claim(store, uid, chain[-1], "q", lane=lane)
            assert store.steps(uid)[-1].source == StepRef(chain[-1], found.source.step)
            bodies[found.step] = found.recording.body
        assert list(bodies.values()) == [b"q3", b"q1", b"q2"]
        assert making.claim(store, uid, chain[-1], "q") is None
        assert making.claim(store, uid, chain[-1], "blocked") is None
        for number, body in bodies.items():
            assert backend.open().recording(uid, number).body == body
        assert [step.step for step in store.verdict(uid).blocked] == [2]
        assert store.verdict(uid).unused == []
        assert not store.has(uid, making.digest("blocked"))
        assert store.repeated(uid, 3, making.fingerprint("q"))
        assert not store.repeated(uid, 5, making.fingerprint("q"))
        chain.append(uid)
    assert recorded == {1: b"q1", 2: b"q2", 3: b"q3"}
    assert [len(store.steps(uid)) for uid in chain] == [4, 5, 5, 5]


def test_a_renamed_answer_in_a_replay_of_a_replay(store, source):
    making.save(store, source, "a", canonical="c")
    chain = [source]
    for _ in range(3):
        uid = making.session(store, Mode.REPLAY, parent=chain[-1])
        assert claimed(store, uid, chain[-1], "c", match=Match.RENAMED) == [1]
        chain.append(uid)
