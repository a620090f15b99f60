"""What may be at a store's path, told from the file's first bytes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rewind_auto.core.errors import StoreError
from rewind_auto.core.model import Session
from rewind_auto.store import header, open_store
from rewind_auto.store.schema import APPLICATION_ID, SCHEMA_VERSION


def sqlite_file(path: Path, *statements: str) -> Path:
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    return path


def refusal(path: Path | str) -> str:
    before = path.read_bytes() if isinstance(path, Path) and path.is_file() else None
    with pytest.raises(StoreError) as raised:
        header.check(str(path))
    assert before is None or path.read_bytes() == before
    text = str(raised.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_nothing_and_empty_will_do(tmp_path: Path) -> None:
    header.check(str(tmp_path / "no" / "such.db"))
    (tmp_path / "empty.db").touch()
    header.check(str(tmp_path / "empty.db"))
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]


def test_a_store_will_do(store_path: Path) -> None:
    store = open_store(str(store_path))
    store.begin(Session("0" * 32))
    header.check(str(store_path))
    store.close()
    header.check(str(store_path))
    assert int.from_bytes(store_path.read_bytes()[68:72], "big") == APPLICATION_ID


def test_a_store_killed_in_its_first_moments_will_do(tmp_path: Path) -> None:
    """What makes it one is in the write-ahead log still, and the file is an empty database."""
    path = tmp_path / "a.db"
    code = f"""
import os, sqlite3
db = sqlite3.connect({str(path)!r}, isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
for line in ("BEGIN", "PRAGMA application_id={APPLICATION_ID}", "CREATE TABLE a (b)", "COMMIT"):
    db.execute(line)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert path.read_bytes()[68:72] == bytes(4)
    header.check(str(path))


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x" * 200)
    assert "not an SQLite file" in refusal(tmp_path / "notes.txt")
    (tmp_path / "short.db").write_bytes(b"SQLite format 3\0")
    assert "not an SQLite file" in refusal(tmp_path / "short.db")
    other = sqlite_file(tmp_path / "other.db", "CREATE TABLE a (b)")
    assert "another program" in refusal(other)
    marked = sqlite_file(tmp_path / "marked.db", "PRAGMA application_id = 7", "CREATE TABLE a (b)")
    assert "another program" in refusal(marked)


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    mark = f"PRAGMA application_id = {APPLICATION_ID}"
    newer = sqlite_file(
        tmp_path / "n.db", mark, f"PRAGMA user_version = {SCHEMA_VERSION + 1}", "CREATE TABLE a (b)"
    )
    assert "newer release" in refusal(newer)
    same = sqlite_file(
        tmp_path / "s.db", mark, f"PRAGMA user_version = {SCHEMA_VERSION}", "CREATE TABLE a (b)"
    )
    header.check(str(same))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "directory" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(tmp_path / "pipe")  # and does not hang
    (tmp_path / "file").touch()
    assert "cannot read" in refusal(f"{tmp_path}/file/rewind.db")
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot read" in refusal(f"{tmp_path}/loop")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"x")
    (tmp_path / "a.db").chmod(0)
    assert "Permission denied" in refusal(f"{tmp_path}/a.db")
