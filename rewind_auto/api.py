"""Starting and stopping the agent from inside a program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os import PathLike, fspath

from rewind_auto import driver, recorded_hosts, settings
from rewind_auto.boot import hooks, tripwire
from rewind_auto.core.model import Mode
from rewind_auto.predicates import Predicates


def install(
    predicates: Predicates | None = None,
    *,
    mode: str | None = None,
    source: str | None = None,
    store: str | PathLike[str] | None = None,
    name: str | None = None,
    hosts: Iterable[str] = (),
    tools: Iterable[str] = (),
    speed: float | None = None,
    otlp: str | None = None,
) -> None:
    """Record (or replay) the LLM calls of this process from now on; a session starts by itself.

    Works on libraries that are imported already, on clients that exist already, and on both to come.
    Again after the first time, it changes what is given: nothing else.

    What the environment says (``rewind-run --replay``, ``REWIND_STORE``) goes before what is given here, so
    that an operator can replay a program that installs a recorder. ``REWIND_MODE=off`` makes this do nothing.

    Args:
        predicates: which requests to record, apart from those to LLM hosts.
        mode: ``record`` (default), ``cache``, ``replay`` or ``fork``.
        source: the session to replay or fork: id, unique prefix, name, ``last`` or ``trace:<trace id>``;
            for a fork also with ``@STEP``.
        store: path or ``sqlite:///`` URL.
        name: name of the session.
        hosts: further LLM hosts: ``host``, ``host:port`` or ``*.suffix``.
        tools: hosts of the agent's own HTTP tools, or ``["all"]``: recorded and replayed too.
        speed: replayed streams: 0 for at once, 1 as recorded, N for N times as fast.
        otlp: export spans: an http(s) URL, or ``"1"`` for where the OTEL_* variables say.

    Raises:
        SettingsError: a malformed value. In the environment it is only reported, unless for a replay.
        RewindReplayDivergenceError: it is the environment that asks for the replay.
        TypeError: ``predicates`` has not both methods.
    """
    if predicates is not None and not isinstance(predicates, Predicates):
        raise TypeError(f"{predicates!r} has no is_llm_call and is_tool_call")
    current = driver.current()
    if current is None and (mode or "").strip().lower() != Mode.REPLAY:
        return  # the environment is malformed, which has been said; a program is not stopped for that
    given = {
        "REWIND_MODE": mode,
        "REWIND_FROM": source,
        "REWIND_STORE": None if store is None else fspath(store),
        "REWIND_SESSION_NAME": name,
        "REWIND_LLM_HOSTS": ",".join(hosts),
        "REWIND_TOOL_HOSTS": ",".join(tools),
        "REWIND_SPEED": None if speed is None else str(speed),
        "REWIND_OTLP": otlp,
    }
    wanted = settings.give({variable: value for variable, value in given.items() if value})
    if wanted.mode is Mode.OFF:
        _let_go()
        return
    tripwire.join_session()
    wanted = recorded_hosts.added(settings.current())
    if predicates is None and current is not None:
        predicates = current.predicates
    if current is None or (current.settings, current.predicates) != (wanted, predicates):
        _let_go()
        driver.use(driver.ProcessDriver(wanted, predicates))
    tripwire.arm(strict=wanted.mode is Mode.REPLAY)


def stand_by() -> None:
    """Hook the libraries for sessions of the program's own; calls outside of one are left alone.

    Unless the environment names a mode: then it is as after `install`.

    Raises:
        SettingsError: the environment is malformed.
    """
    tripwire.join_session()
    wanted = recorded_hosts.added(settings.current())
    if not settings.asked_mode():
        wanted = replace(wanted, mode=Mode.OFF)
    driver.use(driver.ProcessDriver(wanted))
    tripwire.arm(strict=wanted.mode is Mode.REPLAY)


def uninstall() -> None:
    """Give the libraries their own attributes back and forget what `install` was given.

    Calls under way end as they began. What is installed after this is another session, unless the environment
    says which one it is. In a strict replay that an operator asked for, everything stays: no program may let
    its own calls out of that.
    """
    if settings.asked_mode() == Mode.REPLAY:
        settings.forget()
        return
    _let_go()
    settings.forget()
    tripwire.leave_session()


def is_installed() -> bool:
    """Whether LLM calls of this process are seen."""
    return tripwire.is_armed()


def _let_go() -> None:
    armed = tripwire.is_armed()
    tripwire.disarm()
    # A test's fixture may have put back the finders of before: what was hooked is hooked all the same.
    if hooks.unpatched() or armed:
        process = driver.current()
        if process is not None:
            process.close()
    driver.use(None)
