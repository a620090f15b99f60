"""``rewind-auto rm`` and ``prune``: sessions go, with what only they had, and nobody is left with holes."""

from __future__ import annotations

import json
import time

import pytest
from looking import look

from rewind_auto.core.model import (
    Decision,
    Fingerprint,
    Head,
    Match,
    Mode,
    Recording,
    Request,
    Session,
    Step,
    StepRef,
)
from rewind_auto.store import open_store

DAY = 86_400


@pytest.fixture
def store(store_path):
    store = open_store(str(store_path))
    yield store
    store.close()


@pytest.fixture
def rewind_auto(environ):
    return lambda *args: look(environ, *args)


def request(text):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text * 2000}]}).encode()
    return Request("POST", "https://api.openai.com/v1/chat/completions", (), body, "httpx2")


def recorded(store, name, *texts, age=0.0, parent=None, outer=None, status="completed"):
    """A session with a call for each text; some of them may be another's, shown by hits."""
    uid = name.ljust(32, "0")
    mode = Mode.REPLAY if parent else Mode.RECORD
    store.begin(Session(uid, name, mode, parent=parent, outer=outer, started_at=time.time() - age))
    for text in texts:
        fingerprint = Fingerprint(text.encode().ljust(16), text.encode().ljust(16))
        if parent:
            step = Step(uid, 0, fingerprint=fingerprint, started_at=1.0)
            assert store.claim(step, parent, fingerprint.exact, Match.EXACT, lane="")
        else:
            step = Step(uid, 0, fingerprint=fingerprint, started_at=1.0)
            recording = Recording(
                request(text), Head(200, ()), text.encode() * 3000, ((3000 * len(text), 1),)
            )
            store.prepare(step, recording)()
    if status != "running":
        store.finish(uid, status)
    if age:
        with store._connection.writing() as db:
            db.execute("UPDATE sessions SET ended_at = ? WHERE uid = ?", (time.time() - age, uid))
    return uid


def names(store):
    return [session.name for session in reversed(store.sessions())]


def test_a_session_goes_with_its_content(store, rewind_auto):
    recorded(store, "aaaa", "one", "two")
    recorded(store, "bbbb", "one", "three")
    before = store.used_bytes()
    done = rewind_auto("rm", "aaaa", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["removed"] == ["aaaa".ljust(32, "0")]
    assert 0 <= said["freed_bytes"] < before
    assert names(store) == ["bbbb"]
    kept = store.recording("bbbb".ljust(32, "0"), 1)
    assert kept.body == b"one" * 3000  # what both had is there
    assert kept.request.body == request("one").body
    with store._connection.reading() as db:
        left = db.execute("SELECT count(*) FROM blobs").fetchone()[0]
        assert db.execute("SELECT count(*) FROM steps").fetchone()[0] == 2
    store.remove(["bbbb".ljust(32, "0")])
    with store._connection.reading() as db:
        counts = [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("blobs", "nodes", "steps")
        ]
    assert left
    assert counts == [0, 0, 0]


def test_what_is_removed_is_not_counted(store, rewind_auto):
    recorded(store, "aaaa", "one")
    uid = recorded(store, "bbbb", "one", "two")
    assert rewind_auto("rm", "aaaa", "bbbb").returncode == 0
    late = Step(uid, 0, started_at=1.0, provider="openai", model="m", usage={"input_tokens": 3})
    store.prepare(late, None)()  # by a program that still records into it
    assert json.loads(rewind_auto("sessions", "--json").stdout) == []
    said = json.loads(rewind_auto("stats", "--json").stdout)
    assert (said["sessions"], said["steps"], said["spent"]["input_tokens"]) == (0, 0, 0)


def test_what_others_show_is_not_removed(store, rewind_auto):
    source = recorded(store, "aaaa", "one")
    replay = recorded(store, "bbbb", "one", parent=source)
    recorded(store, "cccc", "one", parent=replay)
    done = rewind_auto("rm", "aaaa")
    assert (done.returncode, done.stdout) == (2, "")
    assert "bbbb" in done.stderr
    assert "cccc" in done.stderr
    assert "--dependents" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert rewind_auto("rm", "cccc").returncode == 0
    assert rewind_auto("rm", "aaaa", "--dependents").returncode == 0
    assert names(store) == []


def test_sessions_inside_go_with_it(store, rewind_auto):
    outer = recorded(store, "aaaa", "one")
    recorded(store, "bbbb", "two", outer=outer)
    assert rewind_auto("rm", "bbbb", "--dry-run").returncode == 0
    assert names(store) == ["aaaa", "bbbb"]
    assert rewind_auto("rm", "aaaa").returncode == 0
    assert names(store) == []


def test_a_running_session_stays(store, rewind_auto):
    recorded(store, "aaaa", "one", status="running")
    done = rewind_auto("rm", "aaaa")
    assert done.returncode == 2
    assert "still running" in done.stderr
    assert rewind_auto("prune", "--keep", "0").returncode == 0
    assert names(store) == ["aaaa"]
    assert rewind_auto("rm", "aaaa", "--force").returncode == 0
    assert names(store) == []


def test_unknown_or_ambiguous(store, rewind_auto):
    recorded(store, "aaaa1", "one")
    recorded(store, "aaaa2", "two")
    for ref in ("nosuch", "aaaa"):
        done = rewind_auto("rm", "aaaa1", ref)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
    assert names(store) == ["aaaa1", "aaaa2"]


def test_sessions_by_age(store, rewind_auto):
    for name, age in (("aaaa", 9 * DAY), ("bbbb", 0)):
        recorded(store, name, name, age=age)
    shown = json.loads(rewind_auto("sessions", "--since", "1d", "--json").stdout)
    assert [session["name"] for session in shown] == ["bbbb"]


def test_prune_by_age(store, rewind_auto):
    old = recorded(store, "aaaa", "one", age=9 * DAY)
    recorded(store, "bbbb", "two", age=8 * DAY)
    recorded(store, "cccc", "one", parent=old)
    done = rewind_auto("prune", "--older-than", "7d", "--json")
    assert json.loads(done.stdout)["removed"] == ["bbbb".ljust(32, "0")]
    assert names(store) == ["aaaa", "cccc"]  # the first is what the third shows


def test_prune_all_but_the_newest(store, rewind_auto):
    for name in ("aaaa", "bbbb", "cccc", "dddd"):
        recorded(store, name, name)
    assert rewind_auto("prune", "--keep", "2", "--dry-run").stdout.count("would remove") == 2
    assert rewind_auto("prune", "--keep", "2").returncode == 0
    assert names(store) == ["cccc", "dddd"]
    assert "nothing to remove" in rewind_auto("prune", "--keep", "2").stdout


def test_prune_to_a_size(store, rewind_auto):
    for number in range(20):
        recorded(store, f"n{number:03}", *(f"{number}.{step}" for step in range(10)))
    before = store.used_bytes()
    assert rewind_auto("prune", "--max-size", str(before // 2)).returncode == 0
    assert before // 4 < store.used_bytes() <= before // 2 * 1.1
    left = names(store)
    assert left == [f"n{number:03}" for number in range(20 - len(left), 20)]
    assert rewind_auto("prune", "--max-size", "1").returncode == 0
    assert names(store) == []


@pytest.mark.parametrize(
    ("args", "says"),
    [((), "prune what?"), (("--keep", "x"), "not a number"), (("--older-than", "soon"), "not a number")],
)
def test_prune_wrongly(store, rewind_auto, args, says):
    recorded(store, "aaaa", "one")
    done = rewind_auto("prune", *args)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_program_that_records_into_what_is_gone_does_not_write_into_another(store, rewind_auto):
    uid = recorded(store, "aaaa", "one", status="running")
    assert rewind_auto("rm", "aaaa", "--force").returncode == 0
    recorded(store, "bbbb", "two")
    late = Step(uid, 7, fingerprint=Fingerprint(b"l" * 16, b"l" * 16), started_at=1.0)
    store._keys[uid] = 1  # as that program, which has begun its session long ago, knows it
    store.prepare(late, Recording(request("late"), Head(200, ()), b"late", ((4, 1),)))()
    assert names(store) == ["bbbb"]
    assert [step.step for step in store.steps("bbbb".ljust(32, "0"))] == [1]
    assert rewind_auto("rm", "bbbb").returncode == 0
    with store._connection.reading() as db:
        assert db.execute("SELECT count(*) FROM steps").fetchone()[0] == 0


def test_a_store_that_is_written_to(store, rewind_auto):
    """A recorder that has just found its content by digest keeps it."""
    recorded(store, "aaaa", "one")
    uid = "bbbb".ljust(32, "0")
    store.begin(Session(uid, "bbbb", Mode.RECORD, started_at=time.time()))
    step = Step(uid, store.reserve(uid), decision=Decision.RECORD, source=StepRef(uid, 0), started_at=1.0)
    step.source = None
    save = store.prepare(step, Recording(request("one"), Head(200, ()), b"one" * 3000, ((9000, 1),)))
    assert rewind_auto("rm", "aaaa").returncode == 0
    save()
    assert store.recording(uid, 1).request.body == request("one").body
