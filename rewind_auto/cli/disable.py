"""``rewind-auto disable``: takes away what ``enable`` put into this environment."""

from __future__ import annotations

import argparse

from rewind_auto.cli import output, startup_files
from rewind_auto.cli.startup_files import EnableError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--user", action="store_true", help="from your user site-packages")
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Remove the files, and say if there were none.

    Raises:
        EnableError: they cannot be removed.
    """
    own = startup_files.environment_directory()
    directory = startup_files.user_directory() if options.user else own
    try:
        removed = startup_files.remove(directory)
    except OSError as error:
        raise EnableError(f"cannot remove from {directory}: {error.strerror}") from None
    left = startup_files.found()
    if options.json:
        output.print_json({"enabled": bool(left), "directory": directory, "removed": removed, "left": left})
        return 0
    for path in removed:
        print(f"removed {path}")
    if not removed:
        print(f"it was not enabled in {directory}")
    for path in left:
        print(f"still enabled by {path}")
    return 0
