"""``rewind-auto import``: sessions from files."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from rewind_auto.cli import cassette, jsonl, output
from rewind_auto.cli.source import patiently
from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import Session
from rewind_auto.store import header, open_store

_MARK = re.compile(rb'\s*\{\s*"format"\s*:\s*"rewind-auto"')


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Read sessions from files: exports (JSON Lines), or cassettes of vcrpy (YAML or JSON)."
        " A session that is here already is passed over. Secrets are removed on the way in."
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="- is standard input")
    parser.add_argument("--name", metavar="NAME", help="of the session, for a cassette (default: the file's)")
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Read them.

    Raises:
        RewindError: a file cannot be read, or is not what it should be. Sessions before that are in.
        StoreError: the store cannot be used.
    """
    path = output.store_path(options)
    header.check(path)
    brought: list[Session] = []
    passed: list[Session] = []
    with closing(open_store(path)) as store:
        for name in options.files:
            for session, steps in _entries(name, options.name):
                there = patiently(partial(store.restore, session, steps))
                (brought if there else passed).append(session)
    if options.json:
        output.print_json({"imported": [one.id for one in brought], "present": [one.id for one in passed]})
        return 0
    console = output.console()
    for said, sessions in (("imported", brought), ("already here", passed)):
        for session in sessions:
            console.print(f"{said}: {output.short(session.id)} {output.one_line(session.name)}")
    return 0


def _entries(name: str, called: str | None) -> Iterator[jsonl.Entry]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise RewindError(f"cannot read {name}: {error.strerror}") from None
    try:
        if _MARK.match(data):
            yield from jsonl.read(data.splitlines())
        else:
            session, steps = cassette.read(Path(called or name), data)
            yield session, steps
    except jsonl.FormatError as error:
        raise RewindError(f"{name}: {error}") from None
