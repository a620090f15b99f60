"""``rewind-auto path``: where the injected ``sitecustomize`` is, for a PYTHONPATH set by hand."""

from __future__ import annotations

import argparse

from rewind_auto.boot import launch
from rewind_auto.cli import output


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Print the directory.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    directory = launch.inject_dir()
    if options.json:
        output.print_json({"path": directory})
    else:
        print(directory)
    return 0
