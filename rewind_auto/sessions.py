"""Sessions inside a program: ``with rewind_auto.session("checkout"): …``."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rewind_auto import driver, inner, settings
from rewind_auto.api import is_installed, stand_by, uninstall
from rewind_auto.boot import tripwire
from rewind_auto.core import forks, lane
from rewind_auto.core.model import Mode
from rewind_auto.modes.run import Run

_lock = forks.lock()
_installed = 0  # sessions open now that installed the agent because nobody had
_standing_by: driver.ProcessDriver | None = None  # the driver that came of it


class session:  # noqa: N801 - used as a function, as `contextlib.suppress` is
    """The LLM calls made inside are a session of their own. For ``with`` and ``async with``; may be nested.

    It holds for the task or thread that enters it, and for the tasks and threads that these start. Without
    `install` the agent is there as long as a session is open, and leaves calls outside of one alone.

    What an operator asked for comes first: in a program run with ``rewind-run --replay``, ``--fork`` or
    ``--cache``, a session that would record is answered in that way, from the session of the same name that
    the source had here. In a strict replay, no session lets a call out.

    Attributes:
        id: what `rewind-auto show` and ``source`` know it by; "" outside of the ``with``.
        name: as given, else that of the session around it.

    Args:
        name: of the session; by default as that of the session around it.
        mode: ``record``, ``cache``, ``replay``, ``fork`` or ``off``; by default as around it, or ``record``.
        source: for ``replay`` and ``fork``: id, unique prefix, name, ``last`` or ``trace:<trace id>``; for
            ``fork`` also ``…@STEP``.
        speed: replayed streams: 0 for at once, 1 as recorded, N for N times as fast.

    Raises:
        TypeError: a value that has to be text is not.
        SettingsError: the values make no sense.
        UnknownReferenceError: on entering: no session, or more than one, answers to ``source``.
        StoreError: on entering: there is a ``source``, but the store cannot be used.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        mode: str | None = None,
        source: str | None = None,
        speed: float | None = None,
    ) -> None:
        variables = {"REWIND_MODE": mode, "REWIND_FROM": source, "REWIND_SESSION_NAME": name}
        variables["REWIND_SPEED"] = None if speed is None else str(speed)
        for what, value in (("name", name), ("mode", mode), ("source", source)):
            if not isinstance(value, str | None):
                raise TypeError(f"{what} must be a str, not {type(value).__name__}")
        if name == "":  # as a variable it would be an unset one
            raise settings.SettingsError(f"REWIND_SESSION_NAME={name!r}: is empty")
        read = settings.load({variable: value for variable, value in variables.items() if value})
        self.id = ""
        self.name = read.session_name
        self._mode = read.mode if mode else None
        self._source = source
        self._speed = speed
        self._opened: list[tuple[inner.Opened, lane.Token, bool]] = []

    def __enter__(self) -> Self:
        guest = _ensure_installed()
        try:
            run = self._run()
        except BaseException:
            _release(guest)
            raise
        if run is not None:
            self.id, self.name = run.session.id, run.session.name
        self._opened.append((inner.enter(run), lane.restart(), guest))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, token, guest = self._opened.pop(self._place())
        inner.leave(opened)
        lane.resume(token)
        if opened.run is not None:
            opened.run.finish()
        _release(guest)

    def _place(self) -> int:
        """Which entering ends here: the one that is current, since two tasks may be in the same object."""
        current = inner.current()
        return next((at for at, entered in enumerate(self._opened) if entered[0] is current), -1)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _run(self) -> Run | None:
        process = driver.current()
        if process is None or _switched_off():
            return None
        opened = inner.current()
        around = process.settings.mode
        if opened is not None:
            around = opened.run.session.mode if opened.run is not None else Mode.OFF
        mode, source = _what(around, self._mode, self._source)
        if mode is Mode.OFF:
            return None
        if mode is Mode.REPLAY:
            tripwire.watch_pools()
        runtime = process.runtime()
        if source is not None:
            runtime.check_source(mode, source)
        return runtime.open_run(self.name, mode, source, speed=self._speed)


def _what(around: Mode, mode: Mode | None, source: str | None) -> tuple[Mode, str | None]:
    """The mode and the source of a session, from what is around it and what it asks for itself."""
    if mode in (Mode.REPLAY, Mode.FORK) and source and (around is not Mode.REPLAY or mode is Mode.REPLAY):
        return mode, source
    if around is Mode.REPLAY or (around in (Mode.FORK, Mode.CACHE) and mode in (None, Mode.RECORD)):
        return around, None
    return mode or (Mode.RECORD if around is Mode.OFF else around), None


def _switched_off() -> bool:
    return settings.asked_mode() == Mode.OFF


def _ensure_installed() -> bool:
    """Install the agent, if nobody has, to leave alone what is in no session. Whether that was done."""
    global _installed, _standing_by
    with _lock:
        if _switched_off() or (is_installed() and not _installed):
            return False
        if not _installed:
            stand_by()
            _standing_by = driver.current()
        _installed += 1
        return True


def _release(guest: bool) -> None:  # noqa: FBT001 - what `_ensure_installed` returned
    global _installed, _standing_by
    if guest:
        with _lock:
            _installed -= 1
            if not _installed:
                ours, _standing_by = _standing_by, None
                if driver.current() is ours:  # else the program has installed it meanwhile, for good
                    uninstall()
