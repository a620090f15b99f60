"""Checks that what the documents name is there: linked files and headings, commands, options, variables.

    python docs/check_docs.py

Prints one line for each that is not and exits 1. Whether what they say is true, it cannot know.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

from rewind_auto.settings import OPTIONS

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(<?([^)\s>]+)>?\)|(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
VARIABLE = re.compile(r"\bREWIND_[A-Z][A-Z_]*[A-Z]\b")
TREE = re.compile(r"^(?:benchmarks|docs|examples|tests|rewind_auto|sitecustomize)/[\w./-]*$")
COMMANDS = {"./dev", "rewind-auto", "rewind-run"}
PROGRAMS = ("python", "pytest", "uvicorn", "bash")
SHELLS = {"sh", "bash", "console", "shell"}
# Of the tests and the checkout, not of the program: in no table.
OWN_VARIABLES = {"REWIND_TESTING", "REWIND_TEST_OPENAI1_PYTHON"}


def problems(document: Path) -> Iterator[str]:
    """One sentence for each thing that ``document`` names and that is not there."""
    text = document.read_text(encoding="utf-8")
    prose = FENCE.sub("", text)
    for groups in LINK.findall(prose):
        target = "".join(groups)
        if not re.match(r"[a-z]+:", target):
            yield from _bad_link(document, target)
    known = {option.variable for option in OPTIONS} | OWN_VARIABLES
    yield from (f"no such variable: {name}" for name in sorted(set(VARIABLE.findall(text)) - known))
    for language, block in FENCE.findall(text):
        if language in SHELLS:
            for line in _commands(block):
                yield from _bad_command(line.split())


def _bad_link(document: Path, target: str) -> Iterator[str]:
    name, _, anchor = target.partition("#")
    path = (document.parent / name) if name else document
    if not path.exists():
        yield f"no such file: {target}"
    elif anchor and path.suffix == ".md" and anchor not in _anchors(path):
        yield f"no such heading: {target}"


def _anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    prose = FENCE.sub("", path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(prose)}


def _commands(block: str) -> list[str]:
    """The lines that are typed: all of them, or where there are prompts those that have one."""
    lines = [line.partition(" #")[0].strip() for line in block.replace("\\\n", " ").splitlines()]
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return prompted or lines


def _bad_command(words: list[str]) -> Iterator[str]:
    yield from (f"no such file: {w}" for w in words if TREE.match(w) and not (ROOT / w).exists())
    for command in COMMANDS.intersection(words):
        rest = words[words.index(command) + 1 :]
        if command == "rewind-run":
            # Up to the program: what follows its name is its own.
            own = takewhile(lambda word: not word.startswith(PROGRAMS) and word != "--", rest)
            named = [word.partition("=")[0] for word in own if word.startswith("--")]
        else:
            named = rest[:1]
        yield from (f"no such thing: {command} {word}" for word in named if not _offers(command, word))


def _offers(command: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", _help(command)) is not None


@cache
def _help(command: str) -> str:
    beside = Path(sys.executable).parent / command
    executable = beside if beside.exists() else command
    done = subprocess.run([executable, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def main() -> int:
    documents = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    found = [
        f"{document.relative_to(ROOT)}: {problem}" for document in documents for problem in problems(document)
    ]
    print("\n".join(found) or f"{len(documents)} documents: all that they name is there")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
