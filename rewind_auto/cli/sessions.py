"""``rewind-auto sessions``: what has been recorded, newest first."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import closing
from fnmatch import fnmatchcase

from rewind_auto.cli import output
from rewind_auto.core.model import Mode, Session
from rewind_auto.core.valid import STATUSES
from rewind_auto.values import read_seconds

_SHOWN = 20  # sessions that people are shown unless they say how many


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--name", metavar="NAME", help="only those called so; * stands for anything")
    parser.add_argument("--mode", choices=[mode.value for mode in Mode], help="only those of this mode")
    parser.add_argument("--status", choices=STATUSES, help="only those with this status")
    parser.add_argument(
        "--since",
        metavar="AGE",
        type=_age,
        help="only those begun in the last so many seconds; or 30m, 12h, 7d",
    )
    parser.add_argument("--inside", metavar="REF", help="only those inside this one")
    parser.add_argument("--json", action="store_true", help="print a list for programs")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=_limit,
        help=f"the newest N, 0 for all (default: {_SHOWN}, with --json all)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the sessions.

    Raises:
        StoreError: the store cannot be read.
    """
    with closing(output.existing_store(options)) as store:
        outer = store.resolve(options.inside).id if options.inside else None
        there = store.sessions()
    found = [session for session in there if _fits(session, options, outer)]
    limit = (0 if options.json else _SHOWN) if options.limit is None else options.limit
    shown = found[:limit] if limit else found
    if options.json:
        output.print_json(map(output.session_json, shown))
    else:
        _show(shown, older=len(found) - len(shown), none="no such session" if there else "no sessions yet")
    return 0


def _fits(session: Session, options: argparse.Namespace, outer: str | None) -> bool:
    return (
        (options.name is None or fnmatchcase(session.name, options.name))
        and (options.mode is None or session.mode == options.mode)
        and (options.status is None or session.status == options.status)
        and (options.since is None or session.started_at >= time.time() - options.since)
        and (outer is None or session.outer == outer)
    )


def _age(text: str) -> float:
    try:
        return read_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return int(text)


def _show(sessions: Sequence[Session], *, older: int, none: str) -> None:
    from rich.table import Table
    from rich.text import Text

    console = output.console()
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("id", style="yellow", no_wrap=True)
    table.add_column("name", style="bold", overflow="ellipsis", no_wrap=True)
    table.add_column("mode", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("decisions", overflow="ellipsis", no_wrap=True)
    table.add_column("started", no_wrap=True, style="dim")
    table.add_column("time", justify="right", no_wrap=True)
    for session in sessions:
        table.add_row(
            output.short(session.id),
            output.one_line(session.name),
            session.mode,
            Text(session.status, output.STATUS_COLOURS.get(session.status, "")),
            str(session.steps),
            output.decisions(session.decisions),
            output.local_time(session.started_at),
            output.duration(output.elapsed(session)),
        )
    if sessions:
        console.print(table)
    else:
        console.print(none)
    if older:
        console.print(f"and {output.count(older, 'older one')}: --limit 0 shows all", style="dim")
