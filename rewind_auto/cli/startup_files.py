"""What ``rewind-auto enable`` puts into an environment and ``disable`` takes away.

`site` reads these files at every start of the environment's Python, with ``-I`` and ``-E`` too; with ``-S``
there is no `site`. If REWIND_MODE asks for it, they put the injected directory on ``sys.path`` as PYTHONPATH
does, and the ``sitecustomize`` in it, which `site` imports next, does the rest. So there is one way in, and
a process that has it from PYTHONPATH gets nothing twice.

Up to Python 3.14 it is a ``.pth``, of which `site` executes what begins with ``import``. From 3.15 on it is a
``.start`` (PEP 829), the name of a function. That is in a module of its own beside it: of a name that cannot
be found `site` complains at every start, and the package may be uninstalled before this is disabled.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from contextlib import suppress
from importlib.util import cache_from_source

from rewind_auto.boot import launch
from rewind_auto.core.errors import RewindError

NAME = "rewind_auto_enabled"
_START_FILES = (3, 15)

_HEAD = "# Put here by `rewind-auto enable`. `rewind-auto disable` takes it away.\n"
# In most processes of the environment all of it is for nothing, and its compilation is what costs: it stays a
# string there.
_PTH = "import os; os.environ.get('REWIND_MODE') and exec({code!a})\n"
_CODE = (
    "import os, sys; os.environ.get('REWIND_MODE', '').strip().lower() in ('', 'off')"
    " or {inject!a} in sys.path or not os.path.isfile({file!a}) or sys.path.insert(0, {inject!a})"
)


class EnableError(RewindError):
    """It cannot be done here. One line, with what can be."""


def contents(version: tuple[int, ...], inject: str) -> dict[str, str]:
    """The files for a Python of this version, by name. ASCII: which encoding they are read in varies."""
    code = _CODE.format(inject=inject, file=os.path.join(inject, "sitecustomize.py"))
    if version < _START_FILES:
        return {f"{NAME}.pth": _HEAD + _PTH.format(code=code)}
    module = f"_{NAME}"
    return {
        f"{module}.py": f"{_HEAD}def start():\n    {code}\n",
        f"{NAME}.start": f"{_HEAD}{module}:start\n",
    }


def environment_directory() -> str:
    """The site-packages of this environment, where `site` looks for such files."""
    directory, read = sysconfig.get_path("purelib"), site.getsitepackages()
    return directory if directory in read else read[0]


def user_directory() -> str:
    """The site-packages of this user.

    Raises:
        EnableError: this Python does not read them.
    """
    if not site.ENABLE_USER_SITE:
        raise EnableError(f"{sys.executable} reads no user site-packages, as in a virtual environment")
    return site.getusersitepackages()


def covers(path: str) -> str:
    """What a file is good for, beside a process with no PYTHONPATH."""
    if os.path.dirname(path) in site.getsitepackages():
        return "python -I and -E too, not -S"
    return "python -E too, not -I, -s or -S"  # these leave out a user's site-packages


def found() -> list[str]:
    """The files with the way in that this Python reads."""
    name = f"{NAME}.{'pth' if sys.version_info < _START_FILES else 'start'}"
    directories = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    paths = (os.path.join(directory, name) for directory in dict.fromkeys(directories))
    return [path for path in paths if os.path.isfile(path)]


def is_current(path: str) -> bool:
    """Whether a file that was `found`, and what belongs to it, is as this installation would write it."""
    wanted = contents(sys.version_info[:2], launch.inject_dir())
    return all(_read(os.path.join(os.path.dirname(path), name)) == text for name, text in wanted.items())


def write(directory: str) -> list[str]:
    """Put the files there, and return the paths of those that were not there like this already.

    Raises:
        EnableError: there is a file of that name that is not ours.
        OSError: it cannot be written.
        FileNotFoundError: see `launch.inject_dir`.
    """
    changed = []
    os.makedirs(directory, exist_ok=True)
    for name, text in contents(sys.version_info[:2], launch.inject_dir()).items():
        path = os.path.join(directory, name)
        before = _read(path)
        if before == text:
            continue
        _check_ours(path, before)
        new = f"{path}.new"  # `site` reads no such name: an interpreter that starts now sees all or nothing
        with open(new, "w", encoding="ascii") as file:
            file.write(text)
        os.replace(new, path)
        changed.append(path)
    return changed


def remove(directory: str) -> list[str]:
    """Take the files away, those for other versions too, and return their paths.

    Raises:
        EnableError: there is a file of that name that is not ours.
        OSError: it cannot be removed.
    """
    removed = []
    # Not the module first: a name that is not to be found makes noise.
    for name in (f"{NAME}.pth", f"{NAME}.start", f"_{NAME}.py"):
        path = os.path.join(directory, name)
        before = _read(path)
        if before is not None:
            _check_ours(path, before)
            os.unlink(path)
            removed.append(path)
            if name.endswith(".py"):
                with suppress(FileNotFoundError):
                    os.unlink(cache_from_source(path))
    return removed


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _check_ours(path: str, text: str | None) -> None:
    if text is not None and not text.startswith(_HEAD):
        raise EnableError(f"{path} was not put there by rewind-auto: it is left as it is")
