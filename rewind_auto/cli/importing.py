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
from rewind_auto.core import valid
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
        RewindError: a file cannot be read, or is not what it should be. Nothing was brought in.
        StoreError: the store cannot be used.
    """
    path = output.store_path(options)
    header.check(path)
    brought: list[Session] = []
    passed: list[Session] = []
    with closing(open_store(path)) as store:
        files = [(name, _read(name)) for name in options.files]
        for name, data in files:  # all of it, before anything is written
            for _ in _entries(name, data, options.name):
                pass
        try:
            for name, data in files:
                for session, steps in _entries(name, data, options.name):
                    there = patiently(partial(store.restore, session, steps))
                    (brought if there else passed).append(session)
        except BaseException:
            if brought:
                patiently(lambda: store.remove([session.id for session in brought]))
            raise
    if options.json:
        output.print_json({"imported": [one.id for one in brought], "present": [one.id for one in passed]})
        return 0
    console = output.console()
    for said, sessions in (("imported", brought), ("already here", passed)):
        for session in sessions:
            console.print(f"{said}: {output.short(session.id)} {output.one_line(session.name)}")
    return 0


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise RewindError(f"cannot read {name}: {error.strerror}") from None


def _entries(name: str, data: bytes, called: str | None) -> Iterator[jsonl.Entry]:
    try:
        read = (
            jsonl.read(data.splitlines())
            if _MARK.match(data)
            else [cassette.read(Path(called or name), data)]
        )
        for session, steps in read:
            valid.session(session)
            for step, recording in steps:
                valid.step(step)
                if recording is not None:
                    valid.recording(recording)
            yield session, steps
    except jsonl.FormatError as error:
        raise RewindError(f"{name}: {error}") from None
    except ValueError as error:
        raise RewindError(f"{name}: {' '.join(str(error).split())}") from None
