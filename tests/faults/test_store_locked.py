"""A store that another process holds: for a moment, for good, and while it has to be brought up to date."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import pytest
from fault_agent import LIBRARIES

CALLS = 'show("one", "stream two", "three")'
MANY = """
import concurrent.futures
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for seen in pool.map(ask, [f"{n}" for n in range(1000)]):
        print(*seen)
"""
# What a release before the second format left behind.
_BACK_TO_1 = (
    "DROP INDEX steps_canonical",
    "DROP INDEX sessions_outer",
    "ALTER TABLE sessions DROP COLUMN outer",
    "ALTER TABLE sessions DROP COLUMN hosts",
    "ALTER TABLE steps DROP COLUMN inside",
    "PRAGMA user_version=1",
)


@pytest.fixture
def recorded(program, store_path):
    assert program(CALLS, "--name", "source").said == []
    return store_path


@contextmanager
def held(path, seconds=None, *, exclusively=False):
    """While nobody can write to a store; exclusively: nor read it. Let go of after so many seconds."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as db:
        if exclusively:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE" if exclusively else "BEGIN IMMEDIATE")
        db.execute("UPDATE sessions SET name = name")
        timer = threading.Timer(seconds, db.close) if seconds else None
        if timer:
            timer.start()
        yield
        if timer:
            timer.join()


def steps_of_run(path):
    with closing(sqlite3.connect(path)) as db:
        session = "(SELECT id FROM sessions WHERE name = 'run')"
        (count,) = db.execute(
            f"SELECT count(*) FROM steps WHERE whole = 1 AND session = {session}"
        ).fetchone()
        return count


VERBS = {
    "sessions": ["sessions"],
    "show": ["show", "source"],
    "show one step": ["show", "source", "--step", "1"],
    "diff": ["diff", "source", "source"],
    "stats": ["stats"],
    "export": ["export", "source"],
    "prune": ["prune", "--keep", "9"],
    "rm": ["rm", "source"],
    "edit": ["edit", "source", "--step", "1", "--status", "500"],
}


@pytest.mark.parametrize("exclusively", [False, True])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in ("show", "rm") else pytest.mark.slow) for n in VERBS]
)
def test_a_verb_waits_for_a_moment(verb, recorded, name, exclusively, tmp_path):
    arguments = [*VERBS[name], *(["-o", tmp_path / "out"] if name == "export" else [])]
    usual = verb(*arguments) if name != "rm" else None
    with held(recorded, 1.0, exclusively=exclusively):
        done = verb(*arguments)
    assert done.code == 0, done
    if usual and name != "edit":
        assert (done.out, done.err) == (usual.out, usual.err)


def back_to_1(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in _BACK_TO_1:
            db.execute(statement)


@pytest.mark.parametrize("exclusively", [False, True])
def test_a_verb_that_has_to_migrate_waits_too(verb, recorded, exclusively):
    back_to_1(recorded)
    with held(recorded, 1.0, exclusively=exclusively):
        done = verb("sessions")
    assert (done.code, done.err) == (0, "")
    assert "source" in done.out


@pytest.mark.slow
@pytest.mark.parametrize("format_1", [False, True])
def test_a_verb_does_not_wait_for_ever(verb, recorded, format_1):
    if format_1:
        back_to_1(recorded)
    with held(recorded, exclusively=True):
        began = time.monotonic()
        done = verb("sessions")
        assert time.monotonic() - began > 5
    assert done.code in (1, 2)
    assert done.err == f"rewind-auto: {recorded} is locked by another process\n"


@pytest.mark.parametrize("options", [("--record",), pytest.param(("--cache",), marks=pytest.mark.slow)])
def test_a_format_1_store_that_is_held_when_a_program_starts(program, recorded, options):
    """It is migrated behind the program's back, or with its next call, and nothing is lost."""
    back_to_1(recorded)
    plain = program(CALLS, plain=True)
    source = f"{CALLS}\n" + "time.sleep(1.5)"
    with held(recorded, 1.0):
        done = program(source, *options, "--name", "run")
    assert (done.code, done.out) == (0, plain.out)
    assert len(done.said) <= 1, done.err
    assert steps_of_run(recorded) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "mode"), list(zip(LIBRARIES, ["--record", "--cache", "--record", "--cache"], strict=True))
)
def test_locked_for_thirty_seconds(program, recorded, library, mode):
    """Calls go on at their own pace, and what was recorded is there in the end."""
    source = """
    began = time.monotonic()
    show(*(f"{n}" for n in range(20)))
    print(time.monotonic() - began < 15, file=sys.stderr)
    time.sleep(32 - (time.monotonic() - began))
    show("after")
    """
    plain = program('show(*(f"{n}" for n in range(20)), "after")', plain=True, library=library)
    with held(recorded, 30):
        done = program(source, mode, "--name", "run", library=library, timeout=90)
    assert (done.code, done.out) == (0, plain.out)
    assert "True" in done.err
    assert len(done.said) == 1, done.err
    assert steps_of_run(recorded) == 21


WORK = """
import multiprocessing, sqlite3
def work():
    db = sqlite3.connect(os.environ["REWIND_STORE"], isolation_level=None, check_same_thread=False)
    db.execute("BEGIN IMMEDIATE")
    show("0", "1")
    timer = threading.Timer(0.4, db.close)
    timer.daemon = True
    timer.start()
"""
ENDS = {
    "_exit": "work(); os._exit(0)",
    "exec": "work(); os.execv('/bin/echo', ['echo', 'done'])",
    "child": "child = multiprocessing.get_context('fork').Process(target=work); child.start(); child.join()",
}


@pytest.mark.parametrize("end", ENDS)
def test_what_waits_for_the_store_is_written_before_the_end(program, recorded, end):
    """Where no exit handler runs."""
    done = program(WORK + ENDS[end], "--name", "run")
    plain = program(WORK + ENDS[end], plain=True)
    assert (done.code, done.out) == (0, plain.out)
    assert [line for line in done.said if "locked" not in line] == []
    assert steps_of_run(recorded) == 2


NO_THREADS = """
import sqlite3
show("0")
if "rewind_auto.store.connection" in sys.modules:  # else one in a thousand writes wants a thread
    sys.modules["rewind_auto.store.connection"]._CHECKPOINT_EVERY = 1
def none_left(*_):
    raise {error}("can't start new thread")
for name in ("_start_new_thread", "_start_joinable_thread"):  # the latter since Python 3.13
    setattr(threading, name, none_left)
show("1")
db = sqlite3.connect(os.environ["REWIND_STORE"], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
show("2", "3")
db.close()
show("4")
"""


@pytest.mark.parametrize("error", ["RuntimeError", "MemoryError"])
def test_no_thread_can_be_had(program, recorded, error):
    """What waits for the store is written at the end, then."""
    source = NO_THREADS.format(error=error)
    plain = program(source, plain=True)
    done = program(source, "--name", "run")
    assert (done.code, done.out) == (0, plain.out)
    assert [line for line in done.said if "locked" not in line] == []
    assert steps_of_run(recorded) == 5


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_fork_waits_for_the_store_once(program, recorded, library):
    """For what it was to serve; then all of it goes out, at its own pace."""
    source = """
    began = time.monotonic()
    show(*(f"{n}" for n in range(20)))
    print(time.monotonic() - began < 15, file=sys.stderr)
    """
    plain = program('show(*(f"{n}" for n in range(20)))', plain=True, library=library)
    with held(recorded, 20):
        done = program(source, "--fork", "last@3", library=library, timeout=90)
    assert (done.code, done.out) == (0, plain.out)
    assert "True" in done.err
    assert "fork: nothing more is served from" in done.err
    assert len(done.said) <= 3, done.err


@pytest.mark.slow
def test_a_thousand_calls_of_eight_threads_get_one_line(program, recorded):
    plain = program(MANY, plain=True)
    with held(recorded):
        done = program(MANY, "--record")
    assert (done.code, done.out) == (0, plain.out)
    assert len(done.said) <= 2, done.said  # that it is locked, and at the end how many were lost
