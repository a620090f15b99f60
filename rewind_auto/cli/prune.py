"""``rewind-auto prune``: takes old sessions out of the store."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rewind_auto import values
from rewind_auto.cli import output, rm
from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import Session

if TYPE_CHECKING:
    from rewind_auto.store.contract import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Remove old sessions. One that is running, or whose recordings a session that stays has replayed or"
        " forked, stays too."
    )
    parser.add_argument(
        "--older-than", metavar="AGE", type=_read(values.read_seconds), help="seconds; or 30m, 12h, 7d"
    )
    parser.add_argument("--keep", metavar="N", type=_read(_count), help="keep the newest N, remove the rest")
    parser.add_argument(
        "--max-size",
        metavar="BYTES",
        type=_read(values.read_size),
        help="remove the oldest until so much is left; or 500m, 2g",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, remove nothing")
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Remove them.

    Raises:
        RewindError: nothing says what is old.
        StoreError: the store cannot be used.
    """
    if options.older_than is None and options.keep is None and options.max_size is None:
        raise RewindError("prune what? say --older-than AGE, --keep N or --max-size BYTES")
    with closing(output.existing_store(options)) as store:
        sessions = store.sessions()
        needs = store.dependencies()
        old = {one.id for place, one in enumerate(sessions) if _is_old(one, place, options)}
        going = _removable(sessions, old, needs)
        if options.max_size is not None:
            going = _down_to(store, sessions, going, needs, options.max_size)
        rm.remove(store, [session for session in sessions if session.id in going], options)
    return 0


def _is_old(session: Session, place: int, options: argparse.Namespace) -> bool:
    if options.keep is not None and place >= options.keep:
        return True
    ended = session.ended_at or session.started_at
    return options.older_than is not None and ended < time.time() - options.older_than


def _removable(
    sessions: Sequence[Session], old: set[str], needs: Sequence[tuple[str, str, bool]]
) -> set[str]:
    """Those of the old ones that nothing which stays needs."""
    going = old - {session.id for session in sessions if session.status == "running"}
    while kept := {on for one, on, _ in needs if on in going and one not in going}:
        going -= kept
    return going


def _down_to(
    store: Store,
    sessions: Sequence[Session],
    going: set[str],
    needs: Sequence[tuple[str, str, bool]],
    most: int,
) -> set[str]:
    """Those, and the oldest of the others until what is left is small enough."""
    weights, total = store.weights(), store.used_bytes()
    scale = total / (sum(weights.values()) or 1)  # pages and indexes are nobody's own

    def left() -> float:
        return total - scale * sum(weights.get(key, 0) for key in going)

    wanted = set(going)  # the oldest may have to wait for their replays to go
    for session in reversed(sessions):
        if left() <= most:
            break
        wanted |= rm.going_with({session.id}, needs, inside=True)
        going = _removable(sessions, wanted, needs)
    return going


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("not a number from 0 up")
    return int(text)


def _read(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None

    return read
