"""The environment in which a command and all its children find the agent."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Options of the interpreter that take a value, in the same word or in the next.
_WITH_VALUE = "cmWX"


class PythonCommand(NamedTuple):
    """A command that is a Python interpreter."""

    switches: str  # single-letter options without a value, such as "uI"
    runs: str  # path of the script, "-m", "-c", or "" for stdin and the prompt
    target: str  # the module of "-m", the script

    @property
    def ignores_environment(self) -> bool:
        """Whether the interpreter is told not to read PYTHONPATH, or to run no sitecustomize."""
        return any(switch in self.switches for switch in "IES")


class LeftOut(NamedTuple):
    """A command that PYTHONPATH does not bring the agent into."""

    reason: str
    python: str  # the interpreter, which may have been enabled to load it without; or ""
    switches: str


def inject_dir() -> str:
    """The directory to put on PYTHONPATH: in a wheel inside the package, in a checkout beside it.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    candidates = (
        os.path.join(_PACKAGE, "_inject"),
        os.path.join(os.path.dirname(_PACKAGE), "sitecustomize"),
    )
    for directory in candidates:
        if os.path.isfile(os.path.join(directory, "sitecustomize.py")):
            return directory
    raise FileNotFoundError(
        f"this installation is incomplete: no sitecustomize.py in {' or '.join(candidates)}"
    )


def python_path(inject: str, old: str) -> str:
    """PYTHONPATH with ``inject`` in front, once, and everything else as it was.

    An empty entry stands for the current directory, but an empty variable for no entry at all.
    """
    entries = old.split(os.pathsep) if old else []
    return os.pathsep.join([inject, *(entry for entry in entries if os.path.abspath(entry) != inject)])


def environment(environ: Mapping[str, str], overrides: Mapping[str, str | None]) -> dict[str, str]:
    """``environ`` with the agent on PYTHONPATH and ``overrides`` applied; None removes a variable."""
    result = {**environ, "PYTHONPATH": python_path(inject_dir(), environ.get("PYTHONPATH", ""))}
    for variable, value in overrides.items():
        if value is None:
            result.pop(variable, None)
        else:
            result[variable] = value
    return result


def python_command(argv: Sequence[str]) -> PythonCommand | None:
    """How ``argv`` starts Python, or None when it starts something else."""
    if not _stem(argv[0]).startswith(("python", "pypy")):
        return None
    switches = ""
    words = iter(argv[1:])
    for word in words:
        if word == "--check-hash-based-pycs":
            next(words, "")
        elif word == "-" or not word.startswith("-"):
            return PythonCommand(switches, "" if word == "-" else word, "" if word == "-" else word)
        elif not word.startswith("--"):
            for place, letter in enumerate(word[1:], 2):
                if letter in _WITH_VALUE:
                    value = word[place:] or next(words, "")
                    if letter in "cm":
                        return PythonCommand(switches, f"-{letter}", value)
                    break
                switches += letter
    return PythonCommand(switches, "", "")


def left_out(argv: Sequence[str]) -> LeftOut | None:
    """Why PYTHONPATH would not bring the agent into a command, as far as its command line tells."""
    words, path_taken = _behind_env(argv)
    if path_taken:
        return LeftOut(f"{argv[0]} takes PYTHONPATH away", "", "")
    python = python_command(words) if words else None
    if python is None and words:
        words = _interpreter(words[0])
        python = python_command(words) if words else None
    if python is None or not python.ignores_environment:
        return None
    switches = python.switches
    return LeftOut(f"{words[0]} -{switches} ignores the environment", words[0], switches)


def _behind_env(argv: Sequence[str]) -> tuple[list[str], bool]:
    """The command that ``env`` starts, and whether it starts it without our PYTHONPATH."""
    words, path_taken = list(argv), False
    while words and os.path.basename(words[0]) == "env":
        del words[0]
        while words and (words[0].startswith("-") or "=" in words[0]):
            word, equals, value = words.pop(0).partition("=")
            if word in ("-u", "-C", "-S", "--unset", "--chdir", "--split-string") and not equals:
                value = words.pop(0) if words else ""
            elif word.startswith(("-u", "-S")) and word not in ("-u", "-S"):
                word, value = word[:2], word[2:] + equals + value
            if word in ("-S", "--split-string"):
                words[:0] = _split(value)
            elif word in ("-", "-i", "--ignore-environment", "PYTHONPATH"):
                path_taken = True
            elif word in ("-u", "--unset"):
                path_taken |= value == "PYTHONPATH"
    return words, path_taken


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # which `env` will say itself
        return [text]


def _interpreter(program: str) -> list[str]:
    """The interpreter that a script names in its first line, with its options; empty if there is none."""
    places = [""] if os.path.dirname(program) else os.get_exec_path()
    path = next((p for p in (os.path.join(d, program) for d in places) if os.path.isfile(p)), None)
    if path is None:
        return []
    try:
        with open(path, "rb") as file:
            line = file.readline(256)
    except OSError:
        return []
    words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
    return _behind_env(words)[0]


def default_name(argv: Sequence[str]) -> str:
    """What a session is called when nobody says: the script, the module of ``-m``, or the command."""
    argv = _behind_env(argv)[0] or argv
    python = python_command(argv)
    if python is None or not python.target or python.runs == "-c":
        return _stem(argv[0])
    if python.runs == "-m":
        return python.target
    path = os.path.abspath(python.target)
    return _stem(os.path.dirname(path) if os.path.basename(path) == "__main__.py" else path)


def _stem(path: str) -> str:
    name = os.path.basename(os.path.normpath(path))
    root, extension = os.path.splitext(name)
    return root if extension in (".py", ".pyz", ".pyw", ".exe") else name
