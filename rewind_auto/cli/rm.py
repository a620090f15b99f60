"""``rewind-auto rm``: takes sessions out of the store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from rewind_auto.cli import output
from rewind_auto.cli.source import patiently
from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import Session

if TYPE_CHECKING:
    from rewind_auto.store.contract import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("refs", metavar="REF", nargs="+", help="sessions, as `rewind-auto show` takes them")
    parser.add_argument(
        "--dependents",
        action="store_true",
        help="remove their replays and forks too, which show their content",
    )
    parser.add_argument("--force", action="store_true", help="remove sessions that are still running as well")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, remove nothing")
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Remove them.

    Raises:
        UnknownReferenceError: no session, or more than one, answers to a REF.
        RewindError: one is running, or others need it. Nothing was removed.
        StoreError: the store cannot be used.
    """
    with closing(output.existing_store(options)) as store:
        sessions = {session.id: session for session in store.sessions()}
        needs = store.dependencies()
        chosen = going_with({store.resolve(ref).id for ref in options.refs}, needs, inside=True)
        all_of_it = going_with(chosen, needs)
        if all_of_it != chosen and not options.dependents:
            names = ", ".join(describe(sessions[key]) for key in sessions if key in all_of_it - chosen)
            raise RewindError(f"replays or forks show what was recorded there: {names}; see --dependents")
        going = [session for key, session in sessions.items() if key in all_of_it]
        running = [session for session in going if session.status == "running"]
        if running and not options.force:
            raise RewindError(f"still running: {', '.join(map(describe, running))}; see --force")
        remove(store, going, options)
    return 0


def going_with(chosen: set[str], needs: Sequence[tuple[str, str, bool]], *, inside: bool = False) -> set[str]:
    """The sessions, and those that cannot do without them; ``inside``: only those inside them."""
    found = set(chosen)
    while more := {one for one, on, within in needs if on in found and (within or not inside)} - found:
        found |= more
    return found


def remove(store: Store, sessions: Sequence[Session], options: argparse.Namespace) -> None:
    """Remove sessions that nothing else needs, and say so."""
    before = store.used_bytes()
    if sessions and not options.dry_run:
        patiently(lambda: store.remove([session.id for session in sessions]))
    freed = before - store.used_bytes()
    shrunk = options.dry_run or not sessions or store.shrink()
    if options.json:
        output.print_json(
            {
                "removed": [session.id for session in sessions],
                "dry_run": options.dry_run,
                "freed_bytes": freed,
            }
        )
        return
    console = output.console()
    for session in sessions:
        console.print(f"{'would remove' if options.dry_run else 'removed'} {describe(session)}")
    if not sessions:
        console.print("nothing to remove")
    elif not options.dry_run:
        console.print(f"{output.size(freed)} freed", style="dim")
        if not shrunk:
            console.print("the file keeps its size for now: a program is using it", style="dim")


def describe(session: Session) -> str:
    """A session in a few words."""
    return (
        f"{output.short(session.id)} {output.one_line(session.name)} ({output.count(session.steps, 'step')})"
    )
