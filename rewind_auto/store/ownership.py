"""Whether a store's files are this user's, so that nobody else says what is read and written there.

What is recorded are prompts and answers. In a directory that others may write to, one of them can put a link
in the place of a file, or a store of their own; SQLite would then write, as this user, wherever it points.
That others may write there is no reason to refuse it: volumes of containers are made so.
"""

from __future__ import annotations

import os
import stat

from rewind_auto.core.errors import StoreError

_BESIDE = ("-wal", "-shm", "-journal")


def check(path: str) -> None:
    """Make sure that the store at ``path``, there or not yet, is in this user's hands, or in those of root.

    A symbolic link of this user's is followed. Of the directories above only the last one is looked at: one
    further up that somebody else could exchange would bring one of theirs along.

    Raises:
        StoreError: somebody else has a say there. Nothing was changed.
        OSError: it cannot be looked at.
    """
    if not hasattr(os, "geteuid"):
        return
    owners = (os.geteuid(), 0)
    for link in (os.path.dirname(path), path):
        found = _lstat(link)
        if found is not None and stat.S_ISLNK(found.st_mode) and found.st_uid not in owners:
            raise StoreError(f"{link} is a link that {_name(found.st_uid)} made: it is not followed")
    real = os.path.realpath(path)
    directory = os.path.dirname(real)
    for place in (directory, real, *(real + suffix for suffix in _BESIDE)):
        found = _lstat(place)
        if found is None:
            continue
        if stat.S_ISLNK(found.st_mode) and place is not real:
            raise StoreError(f"{place} is a link: it is not followed")
        # Who owns a directory that all may write to has no more say there than others.
        if found.st_uid not in owners and not (place is directory and found.st_mode & stat.S_IWOTH):
            said = f"{place} belongs to {_name(found.st_uid)}, not to {_name(owners[0])}"
            raise StoreError(f"{said}: a directory of its own in it will do" if place is directory else said)


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _name(uid: int) -> str:
    try:
        import pwd

        return f"user {pwd.getpwuid(uid).pw_name}"
    except (ImportError, KeyError):
        return f"user {uid}"
