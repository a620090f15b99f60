"""Whose files a store's are: those of others are refused in one line, their links are not followed."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from rewind_auto.cli.export import private
from rewind_auto.core.errors import StoreError
from rewind_auto.core.model import Session
from rewind_auto.store import header, open_store

OTHER = 54321  # the user and the group of somebody else
CALL = """
    import httpx
    print(httpx.post(URL, json={"model": "m", "messages": []}).status_code)
"""


@pytest.fixture
def foreign(monkeypatch):
    """Make it somebody else's; where that takes root, be somebody else than its owner."""

    def make(path):
        if os.geteuid() == 0:
            os.chown(path, OTHER, -1, follow_symlinks=False)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: OTHER)
        return path

    return make


@pytest.fixture
def store(store_path):
    with closing(open_store(str(store_path))) as store:
        store.begin(Session("0" * 32))
    return store_path


def refusal(path):
    with pytest.raises(StoreError) as raised:
        header.check(str(path))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("which", ["file", "directory", "-wal", "-shm", "-journal"])
def test_what_belongs_to_somebody_else(store, foreign, which):
    path = {"file": store, "directory": store.parent}.get(which, Path(f"{store}{which}"))
    if not path.exists():
        path.touch(mode=0o600)
    foreign(path)
    assert "belongs to user" in refusal(store)


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_link_in_the_place_of_a_file_of_sqlites(store, tmp_path, suffix):
    precious = tmp_path / "precious"
    precious.write_text("words")
    Path(f"{store}{suffix}").symlink_to(precious)
    assert "is a link" in refusal(store)
    assert precious.read_text() == "words"


def test_links_that_others_made(store, tmp_path, foreign, monkeypatch):
    for target, name in ((store, "link.db"), (store.parent, "linked")):
        link = tmp_path / name
        link.symlink_to(target)
        header.check(str(link if name == "link.db" else link / "rewind.db"))
        foreign(link)
        path = link if name == "link.db" else link / "rewind.db"
        assert "a link that user" in refusal(path)
        if os.geteuid() == OTHER:
            return  # nothing else is this user's now


def test_a_link_of_ones_own_is_followed(store, tmp_path):
    (tmp_path / ".rewind-auto").symlink_to(store.parent)
    with closing(open_store(str(tmp_path / ".rewind-auto" / "rewind.db"), create=False)) as found:
        assert found.resolve("last").id == "0" * 32
    (tmp_path / "new.db").symlink_to(store.parent / "made.db")
    with closing(open_store(str(tmp_path / "new.db"))) as made:
        made.begin(Session("1" * 32))
    assert stat.S_IMODE((store.parent / "made.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o2777, 0o770, 0o755])
def test_others_may_write_to_the_directory(store, mode):
    """As they may to a volume of a container; what they put there is theirs, and refused."""
    store.parent.chmod(mode)
    header.check(str(store))
    assert stat.S_IMODE(store.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
def test_a_volume_of_nobodys(store):
    """As a file server makes them, or a container in a namespace of its own."""
    os.chown(store.parent, OTHER, OTHER)
    assert "a directory of its own in it will do" in refusal(store)
    store.parent.chmod(0o777)
    header.check(str(store))
    store.parent.chmod(0o755)
    header.check(str(store.parent / "own" / "rewind.db"))


def test_a_program_goes_on_unrecorded_and_a_replay_is_refused(program, python, command, store_path):
    program(CALL, "--name", "first")
    link = Path(f"{store_path}-wal")
    link.symlink_to(store_path.parent / "elsewhere")
    for words in (("--record",), ("--replay", "first")):
        out, error = program(CALL, *words, code=2)
        assert (out, len(error.splitlines())) == ("", 1)
        assert "is a link" in error
    out, error = python(
        """
        import rewind_auto
        rewind_auto.install(mode="record", hosts=["127.0.0.1"])
        import httpx
        for _ in range(3):
            print(httpx.post(URL, json={"model": "m", "messages": []}).status_code)
        """
    )
    assert (out, len(error.splitlines())) == ("200\n" * 3, 1)
    assert "is a link" in error
    link.unlink()
    assert '"steps": 1' in command("main", "sessions", "--json")[0]


def test_an_export_is_for_its_owner_alone(tmp_path, foreign):
    path = tmp_path / "x"
    path.write_text("something longer")
    path.chmod(0o644)
    with os.fdopen(private(str(path)), "w") as file:
        file.write("words")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("words", 0o600)
    link = tmp_path / "own"
    link.symlink_to(path)
    os.close(private(str(link)))
    assert path.read_text() == ""
    os.close(private(os.devnull))
    path.write_text("precious")
    for planted in (link, path):
        foreign(planted)
        with pytest.raises(OSError, match=r"."):
            private(str(planted))
    assert path.read_text() == "precious"
