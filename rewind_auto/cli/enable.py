"""``rewind-auto enable``: REWIND_MODE alone loads the agent, whatever starts this environment's Python."""

from __future__ import annotations

import argparse
import os
import sys

from rewind_auto.cli import output, startup_files
from rewind_auto.cli.startup_files import EnableError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for you: in your user site-packages")
    where.add_argument(
        "--system",
        action="store_true",
        help="for all who use this Python, though it is no virtual environment",
    )
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Put the files there, if they are not there yet.

    Raises:
        EnableError: it cannot be done, or has to be asked for more clearly.
    """
    if options.user:
        directory = startup_files.user_directory()
    elif sys.prefix == sys.base_prefix and not options.system:
        raise EnableError(
            f"{sys.executable} is in no virtual environment: --user enables it for you,"
            " --system for all who use this Python"
        )
    else:
        directory = startup_files.environment_directory()
    try:
        changed = startup_files.write(directory)
    except OSError as error:
        raise EnableError(f"cannot write to {directory}: {error.strerror}") from None
    if options.json:
        output.print_json(
            {"enabled": True, "python": sys.executable, "directory": directory, "changed": changed}
        )
        return 0
    for path in changed:
        print(f"wrote {path}")
    if changed:
        print(f"REWIND_MODE alone now loads the agent: {startup_files.covers(changed[0])}")
    else:
        print(f"already enabled in {directory}")
    active = os.environ.get("VIRTUAL_ENV")
    if active and os.path.realpath(active) != os.path.realpath(sys.prefix):
        print(f"This is {sys.executable}, not the environment that is active ({active}): that is as it was.")
    return 0
