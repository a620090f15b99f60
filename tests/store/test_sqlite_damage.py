"""Files that were left half made, or were damaged, or whose writer was killed."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import making
import pytest
from backends import ENVIRON, Sqlite, left_by, made_by, run

from rewind_auto.core.errors import StoreError, UnknownReferenceError
from rewind_auto.store import open_store
from rewind_auto.store.schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION

OWN = f"PRAGMA application_id={APPLICATION_ID}"
VERSION = f"PRAGMA user_version={SCHEMA_VERSION}"


def usable(path):
    """Whether a store is there, whole, and in the mode it should be in."""
    with closing(open_store(str(path))) as store:
        uid = making.session(store)
        assert making.save(store, uid).step == 1
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "application_id")]
        assert found == ["wal", APPLICATION_ID]
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_an_empty_file(place):
    (place / "a.db").touch()
    usable(place / "a.db")


def test_a_schema_that_was_not_yet_in_wal_mode(place):
    usable(made_by(place / "a.db", *SCHEMA, OWN, VERSION))


@pytest.mark.parametrize("done", [1, len(SCHEMA), len(SCHEMA) + 2])
def test_a_schema_that_was_not_committed(place, done):
    usable(left_by(place / "a.db", "BEGIN IMMEDIATE", *[*SCHEMA, OWN, VERSION][:done]))


@pytest.mark.parametrize("pages", [1, 2, 7])
def test_a_schema_that_was_half_written(place, pages):
    """The one who made it was killed in the middle of the commit: what it did is undone."""
    code = """
import resource, signal, sys, making
from rewind_auto.store import open_store, sqlite  # all of it: the limit would cut bytecode files too
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the kernel kills it for the first byte beyond the limit
making.session(open_store(sys.argv[1]))
"""
    path = place / "a.db"
    command = [sys.executable, "-B", "-c", code, path, str(pages * 4096)]
    killed = subprocess.run(command, env=ENVIRON, timeout=60)
    assert killed.returncode == -signal.SIGXFSZ
    assert path.stat().st_size == pages * 4096
    assert Path(f"{path}-journal").exists()
    usable(path)


def test_an_empty_database_in_wal_mode(place):
    usable(made_by(place / "a.db", "PRAGMA journal_mode=WAL"))


def test_a_store_whose_every_write_is_in_the_log_still(place):
    code = """
import os, sys, making
from rewind_auto.store import open_store
store = open_store(sys.argv[1])
making.save(store, making.session(store, id="a" * 32), "q", making.recording(b"x" * 3000))
os._exit(0)
"""
    run(code, place / "a.db")
    assert (place / "a.db-wal").stat().st_size
    with closing(open_store(f"{place}/a.db")) as store:
        assert store.recording("a" * 32, 1).body == b"x" * 3000


# --- stores that are damaged


def filled(place):
    backend = Sqlite(place)
    place.mkdir(exist_ok=True)
    store = backend.open()
    uid = making.session(store, id="a" * 32, name="name")
    for number in range(60):
        words = f"{number} " + "words " * 400
        kept = making.recording(
            words.encode(), asked=b'{"messages":["%b", "%b"]}' % (words.encode(), b"x" * number)
        )
        making.save(store, uid, f"q{number % 7}", kept, lane=str(number % 3), trace_id=f"{number:032x}")
    replaying = making.session(store, making.Mode.REPLAY, id="b" * 32, parent=uid)
    for number in range(10):
        making.claim(store, replaying, uid, f"q{number % 7}")
    backend.close()
    return backend.path


def uses(store):
    a, b = "a" * 32, "b" * 32
    asked = making.recording(b"new", asked=b'{"messages":["%b"]}' % (b"new " * 400))
    return {
        "sessions": store.sessions,
        "resolve": lambda: [store.resolve(ref) for ref in ("last", "name", "aaaa", f"trace:{5:032x}")],
        "steps": lambda: [store.steps(uid) for uid in (a, b)],
        "recording": lambda: [store.recording(uid, number) for uid in (a, b) for number in range(1, 61)],
        "unused": lambda: list(store.unused(b, a)),
        "verdict": lambda: store.verdict(b),
        "has": lambda: [store.has(uid, making.digest("q3")) for uid in (a, b)],
        "repeated": lambda: [store.repeated(uid, 3, making.fingerprint("q3")) for uid in (a, b)],
        "claim": lambda: [making.claim(store, b, a, f"q{number}") for number in range(7)],
        "claim renamed": lambda: [making.claim(store, b, a, "q3", making.Match.RENAMED)],
        "save": lambda: making.save(store, making.session(store), "q", asked),
        "finish": lambda: store.finish(a, "completed"),
    }


@pytest.mark.parametrize("seed", range(25))
def test_damage_is_told_in_one_line_and_never_raises_anything_else(place, seed):
    """Whatever is overwritten in the file, whichever use is made of it."""
    source = random.Random(seed)
    path = filled(place / "store")
    whole, told = path.read_bytes(), []
    for _ in range(4):
        data = bytearray(whole)
        if source.random() < 0.2:
            del data[source.randrange(4096, len(data)) :]
        for _ in range(source.choice([1, 1, 8, 64])):
            length = source.choice([1, 4, 100, 4096])
            at = source.randrange(100, len(data))
            if length == 4096:
                at -= at % 4096
            damage = source.choice([bytes(length), source.randbytes(length)])
            data[max(at, 100) : at + length] = damage[max(0, 100 - at) :]
        path.write_bytes(data[: len(whole)])
        for beside in path.parent.glob("*-*"):
            beside.unlink()
        with closing(open_store(str(path))) as store:
            for name, use in uses(store).items():
                try:
                    use()
                except StoreError as error:
                    told.append(f"{name}: {error}")
                except UnknownReferenceError:
                    pass  # what was there is not to be seen any more
    assert told
    assert [line for line in told if "\n" in line or str(path) not in line] == []
