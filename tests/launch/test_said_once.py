"""A problem is one line on stderr, however many processes of a run have it, and never a word on stdout."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import venv
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from launching import LAUNCHER, PY, ROOT, Launch, Place, launcher

# Some at once, which know nothing of one another, and one when they have ended.
AT_ONCE = "for n in 1 2 3; do {command} & done; wait; {command}"
IN_TURN = "for n in 1 2 3 4; do {command}; done"
SAY = "os.write(1, ask('hello\\n').encode())"  # in one piece
FORKS = """
children = []
for _ in range(3):
    if not (pid := os.fork()): SAY; os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
SAY
""".replace("SAY", SAY)


def _tmp(place: Place) -> str:
    directory = place.path / "tmp"
    directory.mkdir(exist_ok=True)
    return str(directory)


def siblings(
    place: Place, source: str, *, python: str = PY, before: str = "", how: str = AT_ONCE, **variables: str
) -> Launch:
    """Four processes of a shell script."""
    command = f"{before} {python} {place.write('agent.py', source)}"
    script = place.write("x.sh", how.format(command=command))
    return Launch(["sh", script], variables={"TMPDIR": _tmp(place), **variables})


def call(place: Place, **options: str) -> Launch:
    return siblings(place, place.ask + SAY, **options)


# --- the problems: each gives a launch, and what is said of it


def store_that_cannot_be_written(place: Place) -> tuple[Launch, str]:
    return call(
        place, REWIND_STORE="/proc/no/rewind.db"
    ), "nothing is recorded: cannot create the store /proc/no"


def home_that_forks_cannot_write(place: Place) -> tuple[Launch, str]:
    variables = {"TMPDIR": _tmp(place), "HOME": "/proc", "REWIND_STORE": None}
    launch = Launch([PY, "-c", place.ask + FORKS], variables=variables)
    return launch, "nothing is recorded: cannot create the store /proc/.rewind-auto"


def setting_that_makes_no_sense(place: Place) -> tuple[Launch, str]:
    return call(place, before="REWIND_SPEED=fast"), "REWIND_SPEED='fast': not a number; nothing is recorded"


def collector_that_is_down(place: Place) -> tuple[Launch, str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    # Not at once: on a busy machine they would wait for one another's writes, which is a line too.
    launch = call(place, how=IN_TURN, REWIND_OTLP=f"http://127.0.0.1:{port}")
    return launch, "does not take spans"


def library_that_cannot_be_hooked(place: Place) -> tuple[Launch, str]:
    place.write("lib/httpx.py", "Client = 1")
    launch = siblings(place, "import httpx, os; os.write(1, b'hello\\n')", PYTHONPATH=str(place.path / "lib"))
    return launch, "cannot hook httpx: "


def aiohttp_that_is_too_old(place: Place) -> tuple[Launch, str]:
    place.write("lib/aiohttp.py", "__version__ = '3.11.0'; ClientSession = object")
    launch = siblings(
        place, "import aiohttp, os; os.write(1, b'hello\\n')", PYTHONPATH=str(place.path / "lib")
    )
    return launch, "aiohttp 3.11.0 is too old"


def interpreter_without_the_package(place: Place) -> tuple[Launch, str]:
    root = place.path / "elsewhere"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "rewind_auto", root / "rewind_auto", ignore=ignored)
    shutil.copytree(ROOT / "sitecustomize", root / "rewind_auto" / "_inject", ignore=ignored)
    venv.create(place.path / "venv", symlinks=True, with_pip=False)
    launch = siblings(
        place, "import os; os.write(1, b'hello\\n')", python=str(place.path / "venv" / "bin" / "python")
    )
    launch.launcher = launcher(root)
    return launch, "No module named 'rewind_auto'; the program goes on unrecorded"


PROBLEMS: list[Callable[[Place], tuple[Launch, str]]] = [
    store_that_cannot_be_written, home_that_forks_cannot_write, setting_that_makes_no_sense,
    collector_that_is_down, library_that_cannot_be_hooked, aiohttp_that_is_too_old,
    interpreter_without_the_package,
]  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.__name__)
def test_one_line(place: Place, problem: Callable[[Place], tuple[Launch, str]]) -> None:
    launch, says = problem(place)
    done = place.start(launch, *launch.launcher)
    assert (done.returncode, done.stdout) == (0, "hello\n" * 4), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("rewind-auto: ")
    assert says in line


def test_the_next_run_is_told_again(place: Place) -> None:
    launch, _ = library_that_cannot_be_hooked(place)
    told = [place.start(launch, *LAUNCHER).stderr.count("\n") for _ in range(2)]
    assert told == [1, 1]


@pytest.mark.slow
def test_a_store_that_stays_locked_is_two_kinds_of_trouble(place: Place) -> None:
    """Recordings are late, and at the end of a process they are lost."""
    launch = call(place)
    assert place.start(launch, *LAUNCHER).stderr == ""
    with closing(sqlite3.connect(place.store)) as locked:
        locked.execute("BEGIN IMMEDIATE")
        done = place.start(launch, *LAUNCHER)
    assert (done.returncode, done.stdout) == (0, "hello\n" * 4)
    late, lost = done.stderr.splitlines()
    assert "locked by another process" in late
    assert "lost" in lost


def test_all_is_well_is_nothing(place: Place) -> None:
    variables = {"TMPDIR": _tmp(place)}
    done = place.start(Launch([PY, "-c", place.ask + SAY], variables=variables), *LAUNCHER)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    assert list(Path(_tmp(place)).iterdir()) == []
