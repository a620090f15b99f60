"""Disks that are full, and stores that may only be read: a program sees what it sees without us."""

from __future__ import annotations

import subprocess

import pytest
from fault_agent import LIBRARIES

CALLS = 'show(*(f"{n} " + "x" * 3000 for n in range(12)), "stream", "again", "again")'
MANY = """
import concurrent.futures
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for seen in pool.map(ask, [f"{n} " + "x" * 900 for n in range(1000)]):
        print(*seen)
"""


@pytest.fixture
def full(disk, program):
    """A store with a recording of the calls, on a disk with no room left."""
    place = disk("size=600k")
    store = place / "rewind.db"
    assert program(CALLS, "--name", "source", store=store).said == []
    size = 512 * 1024
    with (place / "filler").open("wb", buffering=0) as filler:
        while size >= 1:
            try:
                filler.write(bytes(size))
            except OSError:
                size //= 2
    return store


def cases(*quick):
    return [
        pytest.param(library, mode, marks=() if (library, mode) in quick else pytest.mark.slow)
        for library in LIBRARIES
        for mode in (("--record",), ("--cache",), ("--fork", "source"), ("--fork", "source@3"))
    ]


@pytest.mark.parametrize(("library", "options"), cases(("httpx2", ("--record",)), ("aiohttp", ("--cache",))))
def test_a_full_disk(program, server, full, library, options):
    plain = program(CALLS, plain=True, library=library)
    sent = [one.body for one in server.seen]
    recorded = program(CALLS, *options, library=library, store=full)
    if options[0] == "--fork":  # its source has to be found first: the program is not started
        assert (recorded.code, recorded.out) == (2, "")
    else:
        assert (recorded.code, recorded.out) == (0, plain.out)
    assert len(recorded.said) == 1, recorded.said
    assert "full" in recorded.said[0]
    if options == ("--record",):
        assert [one.body for one in server.seen] == sent


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["--record", "--cache"])
def test_a_thousand_calls_of_eight_threads_get_one_line(program, full, mode):
    plain = program(MANY, plain=True)
    recorded = program(MANY, mode, store=full)
    assert (recorded.code, recorded.out) == (0, plain.out)
    assert len(recorded.said) == 1, recorded.said


def test_a_replay_on_a_full_disk_sends_nothing(program, server, full):
    """Which answers are used is kept in the store: it cannot tell, and says so."""
    replayed = program(CALLS, "--replay", "source", store=full)
    assert server.seen == []
    assert replayed.code in (2, 86)
    assert "full" in replayed.err


def test_a_disk_that_has_room_again(program, full, verb):
    """What came meanwhile is lost, and the rest is there."""
    source = f"""
    {CALLS}
    os.unlink(os.path.join(os.path.dirname(sys.argv[3]), "filler"))
    show("with room", "stream")
    """
    recorded = program(source, "--name", "run", store=full, arguments=(full,))
    assert (recorded.code, len(recorded.said)) == (0, 1), recorded.err
    assert '"steps": 2' in verb("--store", full, "sessions", "--json").out


# --- read-only


@pytest.fixture
def read_only(disk, program):
    """A store with a recording of the calls, on a file system that has become read-only."""
    place = disk("size=4m")
    store = place / "rewind.db"
    assert program(CALLS, "--name", "source", store=store).said == []
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    return store


@pytest.mark.parametrize(
    ("library", "options"), cases(("requests", ("--record",)), ("httpx2 async", ("--cache",)))
)
def test_a_read_only_disk(program, read_only, library, options):
    plain = program(CALLS, plain=True, library=library)
    recorded = program(CALLS, *options, library=library, store=read_only)
    if options[0] == "--fork":  # as above
        assert (recorded.code, recorded.out) == (2, "")
    else:
        assert (recorded.code, recorded.out) == (0, plain.out)
    assert len(recorded.said) == 1, recorded.err
    assert str(read_only) in recorded.said[0]


def test_a_replay_from_a_read_only_disk_sends_nothing(program, server, read_only):
    replayed = program(CALLS, "--replay", "source", store=read_only)
    assert server.seen == []
    assert replayed.code in (2, 86)
    assert str(read_only) in replayed.err
    assert "Traceback" not in replayed.err


@pytest.mark.parametrize("verb_", [("sessions",), ("show", "source"), ("stats",)])
def test_a_read_only_disk_can_be_looked_at_or_says_why_not(verb, read_only, verb_):
    looked = verb("--store", read_only, *verb_)
    assert "Traceback" not in looked.err
    assert looked.code == 0 or (looked.code == 2 and looked.err.count("\n") == 1)
