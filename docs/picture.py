"""Turns terminal output into an SVG, for the README: ``... | python docs/picture.py TITLE OUT.svg``.

The output has to carry its colours: set ``FORCE_COLOR=1`` and ``COLUMNS`` for the command before the pipe.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

_WIDTH = 100


def main() -> None:
    """Read ANSI text from standard input and write the picture."""
    title, target = sys.argv[1:3]
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    for line in sys.stdin.read().rstrip().splitlines():
        console.print(Text.from_ansi(line), overflow="crop", no_wrap=True)
    Path(target).write_text(console.export_svg(title=title), encoding="utf-8")


if __name__ == "__main__":
    main()
