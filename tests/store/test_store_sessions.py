"""Sessions: begun once, ended by whoever is last, and found by what people remember of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import making
import pytest
from backends import ENVIRON

from rewind_auto.core.errors import UnknownReferenceError
from rewind_auto.core.model import Decision, Mode, Session

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_nothing_yet(store):
    assert store.sessions() == []
    with pytest.raises(UnknownReferenceError, match="nothing has been recorded"):
        store.resolve("last")


def test_a_session_is_kept_as_it_was_begun(store, backend):
    begun = Session(
        "a1" * 16,
        "Größe ☃ 'x'",
        Mode.REPLAY,
        parent="b2" * 16,
        fork_step=7,
        started_at=1_800_000_000.123456,
        command=("python", "a b.py", "ü", ""),
        pid=os.getpid(),
    )
    store.begin(begun)
    assert backend.open().resolve(begun.id) == begun
    assert backend.open().sessions() == [begun]


def test_names_and_commands_of_any_bytes(store):
    """A script may be called anything that a file can."""
    odd = os.fsdecode(b"\xff\xfe.py")
    uid = making.session(store, name=odd, command=("python", odd))
    found = store.resolve(uid)
    assert found.command == ("python", odd)
    assert found.name == "??.py"


def test_beginning_twice_changes_nothing(store, backend):
    uid = making.session(store, name="first", started_at=5.0)
    making.session(backend.open(), id=uid, name="second", started_at=9.0)
    store.begin(Session(uid, "third"))
    assert [(s.id, s.name, s.started_at) for s in store.sessions()] == [(uid, "first", 5.0)]


def test_when_it_began_and_who_began_it_by_itself(store):
    before = time.time()
    found = store.resolve(making.session(store))
    assert before <= found.started_at <= time.time()
    assert (found.pid, found.status, found.ended_at) == (os.getpid(), "running", None)


def test_the_latest_end_counts(store, backend):
    uid = making.session(store)
    store.finish(uid, "completed")
    first = store.resolve(uid)
    assert first.status == "completed"
    assert abs(first.ended_at - time.time()) < 5
    backend.open().finish(uid, "diverged")
    assert store.resolve(uid).status == "diverged"
    assert store.resolve(uid).ended_at >= first.ended_at


_ROOT = """
import os, sys
from rewind_auto.core.model import Session
from rewind_auto.store import open_store
for uid in sys.stdin:
    open_store(sys.argv[1]).begin(Session(uid.strip(), pid=os.getpid()))
    print(flush=True)
"""


@pytest.mark.parametrize("first", ["itself", "child"])
def test_a_session_whose_process_died_was_interrupted(store, backend, first):
    """Whichever of its processes was the first to be seen, and whatever the others said at their end."""
    command = [sys.executable, "-c", _ROOT, backend.location]
    uid = "a" * 32
    with subprocess.Popen(command, env=ENVIRON, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as root:
        if first == "child":
            making.session(store, id=uid, pid=root.pid)
        root.stdin.write(f"{uid}\n".encode())
        root.stdin.flush()
        root.stdout.readline()
        making.session(store, id=uid, pid=root.pid)
        store.finish(uid, "running")
        assert (store.resolve(uid).status, store.resolve(uid).ended_at) == ("running", None)
        root.kill()
    assert store.resolve(uid).status == "interrupted"


@pytest.mark.parametrize("said", [True, False])
def test_a_session_of_children_alone_ends_with_their_parent(store, said):
    """It says nothing at its end, and of them only some can. A call that was cut off tells."""
    with subprocess.Popen(["sleep", "60"]) as root:
        uid = making.session(store, pid=root.pid, started_at=50.0)
        making.save(store, uid, started_at=100.0)
        if said:
            store.finish(uid, "running")
        assert store.resolve(uid).status == "running"
        root.kill()
    found = store.resolve(uid)
    assert (found.status, (found.ended_at or 0) > 100.0) == ("completed", said)
    assert said or found.ended_at == 100.0
    store.reserve(uid)
    assert store.resolve(uid).status == "interrupted"


def test_what_diverged_in_a_child_stays_so(store):
    uid = making.session(store)
    store.finish(uid, "diverged")
    store.finish(uid, "completed")
    assert store.resolve(uid).status == "diverged"


def test_newest_first_with_counts(store):
    old = making.session(store, name="old", started_at=100.0)
    new = making.session(store, name="new", started_at=50.0)  # clocks go back now and then
    for decision in (Decision.RECORD, Decision.RECORD, Decision.BYPASS):
        making.save(store, old, decision=decision)
    store.reserve(old)  # not yet over: not counted
    first, second = store.sessions()
    assert (first.id, first.steps, first.decisions) == (new, 0, {})
    assert (second.id, second.steps, second.decisions) == (old, 3, {"record": 2, "bypass": 1})
    assert store.resolve(old) == second


# --- references


def test_by_id_and_by_prefix(store):
    making.session(store, id="abcd0000" * 4)
    making.session(store, id="abcdffff" * 4)
    assert store.resolve("abcd0000" * 4).id == "abcd0000" * 4
    assert store.resolve("abcd0").id == "abcd0000" * 4
    assert store.resolve("ABCDF").id == "abcdffff" * 4
    with pytest.raises(UnknownReferenceError, match="more than one"):
        store.resolve("abcd")
    with pytest.raises(UnknownReferenceError, match="no session"):
        store.resolve("abc")  # too short to be meant as one


@pytest.mark.parametrize(
    "ref", ["nobody", "abcde", "%%%%", "abcd%", "____", "' OR 1", "", "trace:", "trace:00", "LAST", "a\0b"]
)
def test_unknown(store, ref):
    making.session(store, id="abcd" * 8, name="name")
    with pytest.raises(UnknownReferenceError) as raised:
        store.resolve(ref)
    assert "\n" not in str(raised.value)
    assert repr(ref) in str(raised.value)


def test_a_name_is_its_newest(store):
    for number in range(3):
        newest = making.session(store, name="nightly", started_at=100.0 - number)
    making.session(store, name="nightly build")
    assert store.resolve("nightly").id == newest


def test_an_id_goes_before_a_name_and_a_name_before_a_prefix(store):
    first = making.session(store, id="cafe" * 8, name="one")
    second = making.session(store, id="beef" * 8, name="cafe" * 8)
    third = making.session(store, id="dead" * 8, name="cafe")
    assert [store.resolve(ref).id for ref in ("cafe" * 8, "cafe", "beef")] == [first, third, second]


def test_last(store, backend):
    making.session(store, started_at=time.time() + 1000)
    last = making.session(backend.open(), started_at=1.0)
    assert store.resolve("last").id == last


def test_a_replay_passes_over_replays(store):
    """ "last" is what was recorded last, however often that has been replayed since."""
    recorded = making.session(store, name="nightly")
    replayed = making.session(store, Mode.REPLAY, name="nightly", parent=recorded)
    for ref in ("last", "nightly"):
        assert store.resolve(ref).id == replayed
        assert store.resolve(ref, for_replay=True).id == recorded
    assert store.resolve(replayed, for_replay=True).id == replayed  # it was meant
    other = making.session(store)
    assert store.resolve("last", for_replay=True).id == other


def test_by_trace(store):
    recorded = making.session(store)
    making.save(store, recorded, trace_id="f" * 32)
    making.save(store, recorded, trace_id=TRACE)
    newer = making.session(store)
    making.save(store, newer, trace_id="e" * 32)
    for ref in (f"trace:{TRACE}", f"trace:{TRACE.upper()}", f"trace:0x{TRACE}"):
        assert store.resolve(ref).id == recorded
    replayed = making.session(store, Mode.REPLAY)
    making.save(store, replayed, trace_id=TRACE)
    assert store.resolve(f"trace:{TRACE}").id == replayed
    assert store.resolve(f"trace:{TRACE}", for_replay=True).id == recorded
    with pytest.raises(UnknownReferenceError):
        store.resolve(f"trace:{TRACE[:16]}")


@pytest.mark.parametrize("use", ["finish", "reserve", "steps", "recording", "unused", "verdict", "claim"])
def test_a_session_that_was_never_begun(store, use):
    known = making.session(store)
    calls = {
        "finish": lambda: store.finish("nobody", "completed"),
        "reserve": lambda: store.reserve("nobody"),
        "steps": lambda: store.steps("nobody"),
        "recording": lambda: store.recording("nobody", 1),
        "unused": lambda: list(store.unused(known, "nobody")),
        "verdict": lambda: store.verdict("nobody"),
        "claim": lambda: making.claim(store, known, "nobody"),
    }
    if use == "finish":  # nothing to end
        calls[use]()
    else:
        with pytest.raises(UnknownReferenceError, match="nobody"):
            calls[use]()
    assert [s.id for s in store.sessions()] == [known]
