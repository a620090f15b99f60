"""The file of a store: made for its owner alone, told from other files, and kept whole."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import making
import pytest
from backends import left_by, made_by

from rewind_auto.core.errors import StoreError
from rewind_auto.store import open_store
from rewind_auto.store.schema import APPLICATION_ID, SCHEMA_VERSION

OWN = f"PRAGMA application_id={APPLICATION_ID}"


def modes(directory):
    return {path.name: oct(path.stat().st_mode & 0o777) for path in directory.iterdir()}


def contents(directory):
    """Every file with its bytes; SQLite's shared memory is not content."""
    files = [path for path in directory.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


# --- where it is


@pytest.mark.parametrize("url", ["{0}/a.db", "sqlite:///{0}/a.db", "sqlite:////{1}/a.db"])
def test_a_path_or_a_url(place, url):
    with closing(open_store(url.format(place, str(place).removeprefix("/")))) as store:
        uid = making.session(store)
    with closing(open_store(f"{place}/a.db", create=False)) as store:
        assert store.resolve("last").id == uid


def test_a_relative_path_and_one_at_home(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place / "home"))
    for location in ("a.db", "sqlite:///b.db", "~/c.db"):
        with closing(open_store(location)) as store:
            making.session(store)
    assert {path.name for path in place.rglob("*.db")} == {"a.db", "b.db", "c.db"}
    assert (place / "home" / "c.db").exists()


@pytest.mark.parametrize("location", ["redis://x/0", "postgresql://x/y", "memory://"])
def test_no_such_kind_of_store(location):
    with pytest.raises(StoreError, match="no store of kind"):
        open_store(location)


def test_nothing_is_made_before_it_is_used(place):
    store = open_store(f"{place}/a/b.db")
    assert list(place.iterdir()) == []
    store.close()
    assert list(place.iterdir()) == []


def test_reading_does_not_make_one(place):
    store = open_store(f"{place}/a/b.db", create=False)
    for use in (store.sessions, lambda: store.resolve("last"), lambda: making.session(store)):
        with pytest.raises(StoreError, match="nothing has been recorded there yet"):
            use()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_its_owner_can_read_it(place, umask):
    old = os.umask(umask)
    try:
        with closing(open_store(f"{place}/deep/down/a.db")) as store:
            making.save(store, making.session(store))
            assert modes(place / "deep/down") == dict.fromkeys(("a.db", "a.db-wal", "a.db-shm"), "0o600")
            assert modes(place / "deep") == {"down": "0o700"}
    finally:
        os.umask(old)
    assert modes(place / "deep/down") == {"a.db": "0o600"}


def test_the_mode_of_a_directory_that_is_there_is_not_ours(place):
    place.chmod(0o755)
    with closing(open_store(f"{place}/a.db")) as store:
        making.session(store)
    assert oct(place.stat().st_mode & 0o777) == "0o755"
    assert modes(place) == {"a.db": "0o600"}


# --- files that are no store of ours


def line_of(refusal):
    text = str(refusal.value)
    assert "\n" not in text
    return text


def refused(place, path):
    """The one line that every use of this file gives; nothing on the disk is changed by any."""
    before = contents(place)
    with closing(open_store(str(path))) as store:
        lines = set()
        for use in (store.sessions, lambda: store.resolve("last"), lambda: making.session(store)):
            with pytest.raises(StoreError) as raised:
                use()
            lines.add(line_of(raised))
    assert contents(place) == before
    [line] = lines
    assert str(path) in line
    return line


def test_files_of_others(place):
    path = place / "a.db"
    for content in (b"x" * 5000, b"\0" * 4096, b"SQLite format 3\0", b"SQLite format 3\0" + b"\xff" * 4080):
        path.write_bytes(content)
        refused(place, path)


def test_databases_of_others(place):
    rollback = made_by(place / "a.db", "CREATE TABLE a (b)", "INSERT INTO a VALUES (1)")
    assert "not a" in refused(place, rollback)
    wal = made_by(place / "b.db", "PRAGMA journal_mode=WAL", "CREATE TABLE a (b)")
    assert "not a" in refused(place, wal)
    marked = made_by(place / "c.db", "PRAGMA application_id=7")
    assert "not a" in refused(place, marked)


def test_databases_of_others_with_a_log(place):
    """Merely to close such a one would write its log into it."""
    made_by(place / "a.db", "PRAGMA journal_mode=WAL", "CREATE TABLE a (b)")
    left = left_by(place / "a.db", "INSERT INTO a VALUES (1)")
    assert Path(f"{left}-wal").stat().st_size
    refused(place, left)


def test_stores_of_newer_releases(place):
    newer = f"PRAGMA user_version={SCHEMA_VERSION + 1}"
    rollback = made_by(place / "a.db", OWN, newer, "CREATE TABLE a (b)")
    assert "newer" in refused(place, rollback)
    made_by(place / "b.db", OWN, newer, "PRAGMA journal_mode=WAL", "CREATE TABLE a (b)")
    left = left_by(place / "b.db", "INSERT INTO a VALUES (1)")
    assert "newer" in refused(place, left)


def test_what_is_no_file(place):
    (place / "directory").mkdir()
    refused(place, place / "directory")
    os.mkfifo(place / "pipe")
    refused(place, place / "pipe")
    (place / "file").write_bytes(b"")
    refused(place, place / "file" / "a.db")
    (place / "loop").symlink_to("loop")
    refused(place, place / "loop")
