"""Who of the processes of a run is the one to say something."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rewind_auto.core import told


@pytest.fixture
def directory(monkeypatch, tmp_path) -> Path:
    """Where markers of this test go. It is a run of its own."""
    monkeypatch.setenv("REWIND_SESSION_ID", "a" * 32)
    monkeypatch.setenv("REWIND_ROOT_PID", str(os.getpid()))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("sys.stderr", io.StringIO())
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp" / f"rewind-auto-{os.getuid()}"


@pytest.mark.usefixtures("directory")
def test_each_kind_once_in_a_run(monkeypatch) -> None:
    place = f"/{'long' * 50}/file.py:1"
    for key in ("store", "collector http://a.test/v1", f"{place}1 KeyError", f"{place}2 KeyError"):
        assert told.is_first(key)
        assert not told.is_first(key)
    monkeypatch.setenv("REWIND_SESSION_ID", "b" * 32)
    assert told.is_first("store")


@pytest.mark.usefixtures("directory")
def test_once_in_all_its_processes() -> None:
    code = "import sys; from rewind_auto.core import told; sys.stdin.read(); print(told.is_first('key'))"
    words = [sys.executable, "-c", code]
    several = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in several:
        process.stdin.close()
    assert sorted(process.stdout.read() for process in several) == ["False\n"] * 3 + ["True\n"]
    assert [process.wait() for process in several] == [0] * 4


@pytest.mark.parametrize("missing", ["REWIND_SESSION_ID", "REWIND_ROOT_PID"])
def test_what_is_no_run_leaves_nothing_behind(directory, monkeypatch, missing) -> None:
    monkeypatch.delenv(missing)
    assert told.is_first("key")
    assert told.is_first("key")
    assert not directory.exists()


@pytest.mark.parametrize("stream", [None, "closed", os.devnull])
def test_whom_nobody_hears_leaves_it_to_others(directory, monkeypatch, stream) -> None:
    opened = open(os.devnull, "w") if stream else None  # noqa: PTH123, SIM115
    if stream == "closed":
        opened.close()
    monkeypatch.setattr("sys.stderr", opened)
    assert not told.is_first("key")
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert told.is_first("key")
    assert len(list(directory.iterdir())) == 1


def test_with_nowhere_to_leave_a_sign_each_speaks_for_itself(directory, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.mkdir", full)
    assert told.is_first("key")
    assert told.is_first("key")
    assert not directory.exists()


@pytest.mark.parametrize("thing", ["file", "link", "directory of another user"])
def test_what_is_not_ours_is_left_alone(directory, tmp_path, monkeypatch, thing) -> None:
    monkeypatch.setattr(told, "FURTHER", ())
    (tmp_path / "other").mkdir()
    if thing == "file":
        directory.touch()
    elif thing == "link":
        directory.symlink_to(tmp_path / "other")
    elif os.getuid():
        pytest.skip("only root can give a directory away")
    else:
        directory.mkdir()
        os.chown(directory, 12345, 12345)
    assert told.is_first("key")
    assert told.is_first("key")
    assert list((tmp_path / "other").iterdir()) == []
    assert not directory.is_dir() or thing == "link" or list(directory.iterdir()) == []


def test_old_signs_are_taken_away(directory) -> None:
    assert told.is_first("old")
    (old,) = directory.iterdir()
    (directory / "recent").mkdir()
    month_ago = time.time() - 31 * 86400
    os.utime(old, (month_ago, month_ago))
    assert told.is_first("new")
    assert not old.exists()
    assert (directory / "recent").exists()
    assert len(list(directory.iterdir())) == 2
