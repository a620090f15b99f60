"""``rewind-auto export``: sessions as a file."""

from __future__ import annotations

import argparse
import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TextIO

from rewind_auto.cli import har, jsonl, output
from rewind_auto.core import redact
from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import Recording, Session, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from rewind_auto.store.contract import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Write sessions to a file. With a session go those inside it, and those whose recordings it shows."
        " Secrets were removed when they were recorded; prompts and answers are in it."
    )
    parser.add_argument("refs", metavar="REF", nargs="*", help="sessions, as `rewind-auto show` takes them")
    parser.add_argument("--all", action="store_true", help="all there are")
    parser.add_argument("--format", choices=("jsonl", "har"), default="jsonl", help="(default: jsonl)")
    parser.add_argument("--output", "-o", metavar="FILE", help="default: standard output")


def run(options: argparse.Namespace) -> int:
    """Write the file.

    Raises:
        UnknownReferenceError: no session, or more than one, answers to a REF.
        RewindError: none was named, or the file cannot be written.
        StoreError: the store cannot be read.
    """
    if bool(options.refs) == options.all:
        raise RewindError("export what? name sessions, or say --all")
    if options.output and _is_of(output.store_path(options), options.output):
        raise RewindError(f"cannot write {options.output}: it belongs to the store")
    with closing(output.existing_store(options)) as store:
        sessions = chosen(store, options)
        total = sum(session.steps for session in sessions)
        with output.progress(f"writing {total:,} steps", enough=total) as advance:
            entries = _entries(store, sessions, advance)
            lines: Iterable[str] = har.document(entries) if options.format == "har" else jsonl.lines(entries)
            with _opened(options.output) as file:
                for line in lines:
                    file.write(line)
                    file.write("\n")
    return 0


def chosen(store: Store, options: argparse.Namespace) -> list[Session]:
    """The sessions that were named, those inside them, and those whose recordings they show.

    Oldest first, so that what is shown stands before what shows it.
    """
    sessions = list(reversed(store.sessions()))
    if options.all:
        return sessions
    wanted = {store.resolve(ref).id for ref in options.refs}
    needs = store.dependencies()
    while True:
        more = {on for one, on, _ in needs if one in wanted} | {
            one for one, on, inside in needs if inside and on in wanted
        }
        if more <= wanted:
            return [session for session in sessions if session.id in wanted]
        wanted |= more


def _entries(store: Store, sessions: Iterable[Session], advance: Callable[[], None]) -> Iterator[jsonl.Entry]:
    for session in sessions:
        steps = []
        for step in store.steps(session.id):
            steps.append(_redacted(step, store.recording(session.id, step.step)))
            advance()
        yield session, steps


def _redacted(step: Step, recording: Recording | None) -> tuple[Step, Recording | None]:
    """By the rules of today: it may have been recorded under fewer."""
    secrets: tuple[bytes, ...] = ()
    if recording is not None:
        recording, secrets = redact.recording(recording)
    redact.step(step, secrets)
    return step, recording


def private(path: str) -> int:
    """Open a file to be written anew, for its owner alone: prompts are nobody else's business.

    Raises:
        OSError: it cannot be written, or it is a link that somebody else made.
    """
    me = os.geteuid() if hasattr(os, "geteuid") else 0
    flags = os.O_WRONLY | os.O_CREAT
    if not (os.path.islink(path) and os.lstat(path).st_uid in (me, 0)):
        flags |= getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):  # not the terminal, nor /dev/null
            if found.st_uid != me:
                raise OSError(errno.EPERM, "it belongs to somebody else")
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_of(store: str, path: str) -> bool:
    """Whether this is the file of the store, or one that SQLite keeps next to it, under whatever name."""
    target = os.path.realpath(path)
    for ending in ("", "-wal", "-shm", "-journal"):
        own = os.path.realpath(store) + ending
        if target == own or (
            os.path.exists(own) and os.path.exists(target) and os.path.samefile(target, own)
        ):
            return True
    return False


@contextmanager
def _opened(path: str | None) -> Iterator[TextIO]:
    if path is None or path == "-":
        yield sys.stdout
        return
    try:
        descriptor = private(path)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            yield file
    except OSError as error:
        raise RewindError(f"cannot write {path}: {error.strerror}") from None
