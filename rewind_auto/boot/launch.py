"""The environment in which a command and all its children find the agent."""

from __future__ import annotations

import os
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


def default_name(argv: Sequence[str]) -> str:
    """What a session is called when nobody says: the script, the module of ``-m``, or the command."""
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
