"""What the two commands are to a shell: their streams, which may be closed or full, and their exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

USAGE = 2


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        program, _, _ = self.prog.partition(" ")  # a verb's parser is called "rewind-auto show"
        self.exit(USAGE, f"{program}: {message}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            say(message.rstrip("\n"))
        sys.exit(status)

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        (file or sys.stdout).write(message)  # argparse's own takes no notice of a stream that is full


def say(text: str) -> None:
    """Print a line, or several, on stderr. Nothing if that cannot be written: the exit code tells it too."""
    if sys.stderr is None:  # `print` would take stdout instead
        return
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def command(program: str, run: Callable[[Sequence[str]], int]) -> NoReturn:
    """Be the command ``program``: exit with the code of ``run``, or with 2 if output cannot be written."""
    _fill()
    code: object
    try:
        try:
            code = run(sys.argv[1:])
        except SystemExit as ended:
            code = ended.code
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # that was no stream
            raise
        say(f"{program}: cannot write: {error.strerror}")
        code = USAGE
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            # The interpreter flushes once more as it exits, and would exit with 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    sys.exit(code)


def _fill() -> None:
    """Put /dev/null where a stream is closed, for this process alone: what it starts finds it closed.

    Else the next file that is opened has that number, and is written to as if it were the stream.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free; not inherited
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
