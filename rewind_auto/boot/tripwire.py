"""Waits for an HTTP library to be imported.

Runs at the start of every Python process of a run, most of which never make a request: it imports nothing
but ``os``, ``sys`` and the package itself, opens no file, starts no thread and holds no lock.
"""

import os
import sys

import rewind_auto

TYPE_CHECKING = False  # the type checkers' name, without importing typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

WATCHED = ("httpx", "httpx2", "requests", "aiohttp")
# Watched for a strict replay, no other program needs them hooked. The second is a fork of the first.
POOLS = ("multiprocessing.pool", "multiprocess.pool")


class Loader:
    """A library's own loader, with the hook run after it.

    Nothing may be imported any earlier: importlib calls ``find_spec`` under its global lock, and an import
    from there deadlocks with a thread that is half-way through importing the same module. That, and
    firing again on re-import and reload, is why these are not wrapt's import hooks.
    """

    def __init__(self, spec: "ModuleSpec") -> None:
        self._spec = spec
        self._inner: Any = spec.loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._inner, name)

    def exec_module(self, module: "ModuleType") -> None:
        # The module is left with the loader of a plain import.
        self._spec.loader = self._inner
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._inner
        self._inner.exec_module(module)
        fire(module)


class Tripwire:
    """A meta-path finder that finds nothing itself: it has a watched library's loader replaced.

    It stays in place after it fired, for when the library is reloaded or imported anew.
    """

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name not in WATCHED and not (_pools and name in POOLS):
            return None
        for finder in sys.meta_path:
            find_spec = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find_spec and find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = Loader(spec)  # type: ignore[assignment]
                return spec
        return None


_tripwire = Tripwire()
_strict = False
_pools = False  # whether `POOLS` are watched
_began = False  # whether the session in the environment is one that this process began


def arm(*, strict: bool = False, launched: bool = False) -> None:
    """Watch for the libraries, and hook those that are loaded already. Doing it again changes nothing.

    ``strict`` is for a replay: a library that cannot be hooked is then an error of the program's import.
    ``launched``: it is the environment that asks, and the program has not begun.
    """
    global _strict
    _strict = strict
    join_session()
    if launched:
        ours = [name for name in os.environ if name.startswith("REWIND_")]
        rewind_auto._launched.update({name: os.environ[name] for name in ours})  # noqa: SLF001 - our own
    if not is_armed():
        sys.meta_path.insert(0, _tripwire)
    for name in WATCHED:
        if sys.modules.get(name) is not None:
            fire(__import__(name))  # waits for a thread that is still importing it
    if strict:
        watch_pools()


def watch_pools() -> None:
    """Have the pools of ``multiprocessing`` hand on a divergence: for a strict replay."""
    global _pools
    _pools = True
    for name in POOLS:
        if sys.modules.get(name) is not None:
            __import__(name)
            fire(sys.modules[name])


def join_session() -> None:
    """Belong to the session of the environment, or begin one that child processes will belong to."""
    global _began
    if not (os.environ.get("REWIND_SESSION_ID") or rewind_auto._launched.get("REWIND_SESSION_ID")):  # noqa: SLF001
        os.environ["REWIND_SESSION_ID"] = os.urandom(16).hex()
        os.environ["REWIND_ROOT_PID"] = str(os.getpid())
        _began = True


def leave_session() -> None:
    """Have the next `join_session` begin another session, if this process began the one it is in."""
    global _began
    if _began:
        _began = False
        for name in ("REWIND_SESSION_ID", "REWIND_ROOT_PID"):
            os.environ.pop(name, None)
            rewind_auto._launched.pop(name, None)  # noqa: SLF001


def disarm() -> None:
    """Stop watching. What is hooked stays hooked."""
    global _pools
    _pools = False
    while is_armed():  # twice, if two threads have armed it at once
        sys.meta_path.remove(_tripwire)


def is_armed() -> bool:
    """Whether a library imported from now on will be hooked."""
    return _tripwire in sys.meta_path


def fire(module: "ModuleType") -> None:
    """Hook a library that has just been loaded.

    Raises:
        RewindReplayDivergenceError: it could not be hooked, and a strict replay must not let its calls out.
    """
    try:
        from rewind_auto.boot import hooks

        hooks.patched(module)
    except Exception as error:
        _let_go(error)
        reason = f"cannot hook {getattr(module, '__name__', module)}: {type(error).__name__}: {error}"
        if _strict:
            from rewind_auto.core.errors import RewindReplayDivergenceError

            raise RewindReplayDivergenceError(reason) from error
        if os.environ.get("REWIND_TESTING"):
            raise
        _say_once(f"{reason}; the program goes on unrecorded")


def _let_go(error: Exception) -> None:
    try:
        from rewind_auto.core.guard import not_programs
    except Exception:  # noqa: BLE001 - as below
        return
    not_programs(error)


def _say_once(line: str) -> None:
    try:
        from rewind_auto.core.guard import warn_once
    except Exception:  # noqa: BLE001 - an upgrade under a running process can have taken the package away
        if sys.stderr is not None:
            sys.stderr.write(f"rewind-auto: {line}\n")
    else:
        warn_once(f"hook {line}", line)
