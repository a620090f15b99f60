"""``rewind-auto scrub``: takes out of recordings what would not be recorded today."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing
from functools import partial

from rewind_auto.cli import output
from rewind_auto.cli.export import chosen
from rewind_auto.cli.source import patiently
from rewind_auto.core import redact
from rewind_auto.core.errors import RewindError, StoreBusyError
from rewind_auto.settings import load
from rewind_auto.values import read_redactions

NOT_ERASED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Redact recordings that are in the store, by the rules of this release, of REWIND_REDACT and of"
        " --redact. With a session go those inside it, and those whose recordings it shows. They are replayed"
        " as before."
    )
    parser.add_argument("refs", metavar="REF", nargs="*", help="sessions, as `rewind-auto show` takes them")
    parser.add_argument("--all", action="store_true", help="all there are")
    parser.add_argument(
        "--redact",
        metavar="RULE[,RULE]",
        type=_rules,
        default=(),
        help="further names of headers and fields, or /REGEX/",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be changed, change nothing")
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Redact them. Returns 1 if old bytes are left in the file, since a program is using it.

    Raises:
        UnknownReferenceError: no session, or more than one, answers to a REF.
        RewindError: none was named.
        StoreError: the store cannot be used.
    """
    if bool(options.refs) == options.all:
        raise RewindError("scrub what? name sessions, or say --all")
    redact.use((*load(output.variables("REWIND_REDACT")).redact, *options.redact))
    steps = changed = 0
    with closing(output.existing_store(options)) as store:
        sessions = chosen(store, options)
        total = sum(session.steps for session in sessions)
        with output.progress(f"looking through {total:,} steps", enough=total) as advance:
            for session in sessions:
                last = 0
                while True:
                    batch = patiently(partial(store.scrub, session.id, after=last, dry_run=options.dry_run))
                    for _ in range(batch.steps):
                        advance()
                    steps, changed, last = steps + batch.steps, changed + batch.changed, batch.last
                    if not batch.last:
                        break
        erased = None if options.dry_run else _erased(store.erase)
    running = [session for session in sessions if session.status == "running"]
    if options.json:
        output.print_json(
            {
                "sessions": [session.id for session in sessions],
                "steps": steps,
                "changed": changed,
                "dry_run": options.dry_run,
                "erased": erased,
                "running": [session.id for session in running],
            }
        )
        return NOT_ERASED if erased is False else 0
    console = output.console()
    verb = "would be changed" if options.dry_run else "changed"
    console.print(f"{changed:,} of {output.count(steps, 'step')} {verb}")
    for session in running:
        name = f"{output.short(session.id)} {output.one_line(session.name)}"
        console.print(f"{name} is still running, and records by its own rules", style="dim")
    if erased is False:
        console.print(
            "the file still has what was taken out: a program is using it, scrub once more", style="yellow"
        )
        return NOT_ERASED
    return 0


def _erased(erase: Callable[[], bool]) -> bool:
    def attempt() -> bool:
        if not erase():
            raise StoreBusyError("somebody is reading")
        return True

    try:
        return patiently(attempt)
    except StoreBusyError:
        return False


def _rules(text: str) -> tuple[str, ...]:
    try:
        return read_redactions(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
