"""Stores that are damaged, of a newer release, or no stores at all, met by whole programs in every mode."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from fault_agent import LIBRARIES

from rewind_auto.store.schema import SCHEMA_VERSION

CALLS = 'show("one", "stream two", "again", "again", *(f"{n} " + "x" * 900 for n in range(20)))'


@pytest.fixture
def recorded(program, store_path):
    """A store with a recording of the calls. Its log is in it."""
    assert program(CALLS, "--name", "source").said == []
    assert [path.name for path in store_path.parent.iterdir()] == ["rewind.db"]
    return store_path


def damaged(path):
    """Zeros in most pages: what the whole file is about, and who it belongs to, can still be seen."""
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096, 2):
        data[page * 4096 : (page + 1) * 4096] = bytes(4096)
    path.write_bytes(data)


def newer(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")


def foreign(path):
    path.write_bytes(b"a file of mine " * 1000)


def another_programs(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (x)")


def a_directory(path):
    path.unlink()
    path.mkdir()


BROKEN = [damaged, newer, foreign, another_programs, a_directory]
MODES = [("--record",), ("--cache",), ("--fork", "source"), ("--fork", "source@3")]


def cases():
    """A library for each kind and mode on every run, the rest of them with --full."""
    for number, broken in enumerate(BROKEN):
        for at, library in enumerate(LIBRARIES):
            marks = () if number % len(LIBRARIES) == at and number < 2 else pytest.mark.slow
            yield pytest.param(broken, library, marks=marks, id=f"{broken.__name__}-{library}")


@pytest.mark.parametrize(("broken", "library"), list(cases()))
def test_a_program_runs_on(program, recorded, broken, library, tmp_path):
    """`rewind-run` refuses what it can see at once."""
    plain = program(CALLS, plain=True, library=library)
    broken(recorded)
    for options in MODES:
        before = recorded.read_bytes() if recorded.is_file() else None
        under = program(CALLS, *options, library=library)
        assert (under.code, under.out) in ((0, plain.out), (2, "")), (options, under)
        assert 1 <= len(under.said) <= 2, (options, under.err)
        assert "Traceback" not in under.err
        # One line: a session that the store cannot tell of is one kind of trouble.
        if broken is not damaged:
            assert (recorded.read_bytes() if recorded.is_file() else None) == before
            assert len(under.said) == 1


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN)
def test_a_program_that_nobody_checked_the_store_for(program, server, recorded, broken):
    """Set by variables alone."""
    plain = program(CALLS, plain=True)
    broken(recorded)
    preamble = "import rewind_auto\nrewind_auto.install()\n"
    variables = {"REWIND_LLM_HOSTS": "127.0.0.1"}
    done = program(preamble + CALLS, plain=True, **variables)
    assert (done.code, done.out) == (0, plain.out)
    assert 1 <= len(done.said) <= 2 if broken is damaged else len(done.said) == 1, done.err


@pytest.mark.parametrize("broken", BROKEN)
def test_a_replay_sends_nothing(program, server, recorded, broken):
    broken(recorded)
    replayed = program(CALLS, "--replay", "source")
    assert server.seen == []
    assert replayed.code in (2, 86)
    assert "Traceback (most recent call last)" not in replayed.err or "ReplayDivergence" in replayed.err
    assert replayed.err.count("rewind-run: ") == 1, replayed.err


def test_a_replay_whose_store_goes_bad_on_the_way(program, server, recorded):
    source = CALLS.replace("show(", "show('one')\nshutil.copy(sys.argv[3], sys.argv[4])\nshow(", 1)
    bad = recorded.with_name("bad")
    shutil.copy(recorded, bad)
    damaged(bad)
    # Over the very file: that is what a failing disk does.
    source = (
        "show('one', 'stream two')\n"
        "data = open(sys.argv[4], 'rb').read()\n"
        "file = open(sys.argv[3], 'r+b'); file.write(data); file.flush()\n"
        "[os.truncate(sys.argv[3] + '-wal', 0)]\n"
        'show("again", "again", *(f"{n} " + "x" * 900 for n in range(20)))\n'
    )
    replayed = program(source, "--replay", "source", arguments=(recorded, bad))
    assert server.seen == []
    assert replayed.code in (2, 86), replayed.err
    assert "rewind-run: " in replayed.err
