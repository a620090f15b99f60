"""Whether a line was said already in this run, by whichever of its processes.

Twenty workers meet the same full disk, and one line is enough. They have nothing in common that could be
written to before something is wrong, so the first to speak leaves an empty directory behind, named after the
run and the kind of problem, where temporary files go.

The injected ``sitecustomize`` runs this file by its path when the package cannot be imported: it must parse
on Python 3.6 and import nothing that is not loaded already.
"""

import os
import stat
import sys
import time

_KEPT = 30 * 86400  # seconds until a later run takes it away
_LONGEST = 120  # characters of a key
FURTHER = ("/dev/shm",)  # noqa: S108 - a container's file system may be read-only but for this


def is_first(key: str) -> bool:
    """Whether this process is the one to say it. Not if nobody would hear: another may be heard.

    A session that no process of this run began may have had runs before: there, and where no directory can be
    written, every process speaks for itself.
    """
    session, root = os.environ.get("REWIND_SESSION_ID"), os.environ.get("REWIND_ROOT_PID")
    if _is_unheard():
        return False
    if not session or not root:
        return True
    # Of places in files the end is what tells them apart.
    name = "".join(c if c.isalnum() else "-" for c in f"{session[:40]}-{root}-{key[-_LONGEST:]}")
    for place in (os.environ.get("TMPDIR") or "/tmp",) + FURTHER:  # noqa: S108, RUF005 - Python 3.6 reads it
        try:
            return _is_made(os.path.join(place, f"rewind-auto-{_user()}"), name)
        except OSError:  # read-only, or full
            continue
    return True


def _is_made(directory: str, name: str) -> bool:
    """Whether this process has made that directory, and no other before.

    Raises:
        OSError: it cannot be made.
    """
    try:  # noqa: SIM105 - contextlib may not be loaded
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != _user():
        raise PermissionError(directory)  # somebody else's, in a place where all may write
    try:
        # Not a file: this takes no descriptor, of which there may be none left.
        os.mkdir(os.path.join(directory, name), 0o700)
    except FileExistsError:
        return False
    _take_away_old(directory)
    return True


def _take_away_old(directory: str) -> None:
    oldest = time.time() - _KEPT
    try:
        for entry in os.listdir(directory):
            path = os.path.join(directory, entry)
            if os.lstat(path).st_mtime < oldest:
                os.rmdir(path)
    except OSError:  # another process was faster, or no descriptor is left
        pass


def _is_unheard() -> bool:
    if sys.stderr is None or getattr(sys.stderr, "closed", False):
        return True
    try:
        return os.path.samestat(os.fstat(sys.stderr.fileno()), os.stat(os.devnull))
    except (AttributeError, OSError, ValueError):  # a stream of the program's own
        return False


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
