"""Both commands with standard streams that are closed, or that can take no more."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from looking import TRIP, fill

from rewind_auto.core.model import Session
from rewind_auto.store import open_store

PY = sys.executable
FULL = "cannot write: No space left on device"
VERBS = [
    ("show", TRIP),
    ("show", TRIP, "--json", "--content"),
    ("sessions",),
    ("sessions", "--json"),
    ("stats",),
    ("path",),
    ("doctor",),
    ("export", "--all"),
    ("--help",),
    ("--version",),
]

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")


@pytest.fixture
def started(environ, tmp_path):
    """Run a module of ours with streams redirected as by a shell: ``started("main", words, ">&-")``."""

    def start(module: str, words, redirections: str, *, unbuffered: str = ""):
        return subprocess.run(
            ["sh", "-c", f'exec "$@" {redirections}', "sh", PY, "-m", f"rewind_auto.cli.{module}", *words],
            env={**environ, "PYTHONUNBUFFERED": unbuffered},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start


@pytest.fixture(autouse=True)
def _source(store_path: Path) -> None:
    """A store with a session that was recorded, and one without steps."""
    fill(store_path)
    with closing(open_store(str(store_path))) as store:
        store.begin(Session("5" * 32, name="empty", started_at=1.0))
        store.finish("5" * 32, "completed")


class TestStdout:
    @pytest.mark.parametrize("verb", VERBS, ids=" ".join)
    def test_full(self, started, verb) -> None:
        done = started("main", verb, ">/dev/full")
        assert (done.returncode, done.stderr) == (2, f"rewind-auto: {FULL}\n")

    @pytest.mark.parametrize("verb", VERBS, ids=" ".join)
    def test_closed(self, started, verb) -> None:
        done = started("main", verb, ">&-")
        as_ever = started("main", verb, ">/dev/null")
        assert (done.returncode, done.stderr) == (as_ever.returncode, "")

    @pytest.mark.parametrize("words", [("show", TRIP, "--json"), ("--help",), ("--version",)], ids=" ".join)
    def test_full_and_not_buffered(self, started, words) -> None:
        done = started("main", words, ">/dev/full", unbuffered="1")
        assert (done.returncode, done.stderr) == (2, f"rewind-auto: {FULL}\n")

    def test_all_closed(self, started) -> None:
        assert started("main", ("stats",), "<&- >&- 2>&-").returncode == 0
        assert started("main", ("show", "nope"), "<&- >&- 2>&-").returncode == 2

    @pytest.mark.parametrize("words", [("--info", "true"), ("--info", "--json", "true"), ("--help",)])
    def test_of_the_launcher(self, started, words) -> None:
        done = started("run", words, ">/dev/full")
        assert (done.returncode, done.stderr) == (2, f"rewind-run: {FULL}\n")
        done = started("run", words, ">&-")
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_file_that_is_full(self, started) -> None:
        done = started("main", ("export", "--all", "-o", "/dev/full"), "")
        line = "rewind-auto: cannot write /dev/full: No space left on device\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize("stream", ["2>&-", "2>/dev/full"])
class TestStderr:
    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("--replay", TRIP, PY, "-c", ""), 86),
            (("--replay", "empty", PY, "-c", "raise SystemExit(7)"), 7),
            (("--replay", "nope", "true"), 2),
            (("--nonsense", "true"), 2),
            (("--replay", "empty", "./nope"), 127),
            (("./nope",), 127),
            (("--replay", "empty", PY, "-I", "-c", ""), 2),
            ((PY, "-I", "-c", "raise SystemExit(7)"), 7),
        ],
        ids=str,
    )
    def test_of_the_launcher(self, started, stream, words, code) -> None:
        done = started("run", words, stream)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", "")

    @pytest.mark.parametrize("words", [("--nonsense",), ("show",), ("show", "nope"), ("forget",)], ids=str)
    def test_of_a_verb(self, started, stream, words) -> None:
        done = started("main", words, stream)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize("mode", [(), ("--replay", "empty"), ("--fork", "empty"), ("--off",)], ids=str)
def test_the_command_finds_its_streams_closed(started, mode) -> None:
    command = ("sh", "-c", "for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && exit 3; done; exit 7")
    assert started("run", (*mode, *command), "<&- >&- 2>&-").returncode == 7
