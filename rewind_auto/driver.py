"""The driver that adapters are given when a library is hooked: knows the hosts, loads the rest when needed.

Until the program calls an LLM host, this and the adapter are all of us there is in the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rewind_auto import inner
from rewind_auto.core import guard
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.forks import importing
from rewind_auto.providers.hosts import HostGate
from rewind_auto.values import ALL_HOSTS

if TYPE_CHECKING:
    from rewind_auto.calls import LiveCall, ServedCall
    from rewind_auto.core.model import Request
    from rewind_auto.core.seam import Pauses
    from rewind_auto.predicates import Predicates
    from rewind_auto.runtime import Runtime
    from rewind_auto.settings import Settings


Gate = Callable[[str, int | None], bool]


def _every(_host: str, _port: int | None) -> bool:
    return True


class ProcessDriver:
    """`rewind_auto.core.seam.Driver` of this process.

    Args:
        settings: what is to be done.
        predicates: the user's own say on which requests are LLM calls, beside the hosts.
    """

    def __init__(self, settings: Settings, predicates: Predicates | None = None) -> None:
        self.predicates = predicates
        self._looks_up = settings.mode not in ("record", "off")
        self._runtime: Runtime | None = None
        self.settings = settings
        self.see(settings)

    def see(self, settings: Settings) -> None:
        """See the calls to the hosts of these settings, from now on."""
        self.settings = settings
        tools, predicates = settings.tool_hosts, self.predicates
        self.is_llm_host: Gate = HostGate(settings.llm_hosts)
        self.is_tool_host: Gate = _every if ALL_HOSTS in tools else HostGate(tools, providers=False)
        # With predicates every request has to be looked at: a URL alone does not answer for them.
        if predicates is not None or ALL_HOSTS in tools:
            self.wants: Gate = _every
        else:
            self.wants = HostGate((*settings.llm_hosts, *tools)) if tools else self.is_llm_host

    @property
    def needs_body(self) -> bool:
        """See `rewind_auto.core.seam.Driver.needs_body`."""
        return self._looks_up or inner.is_looked_up()

    def begin(self, request: Request, *, upgrade: bool = False) -> Pauses[LiveCall | ServedCall | None]:
        """See `rewind_auto.core.seam.Driver.begin`."""
        try:
            runtime = self.runtime()
        except Exception as error:  # noqa: BLE001 - an upgrade can have taken modules away from under us
            self.failed("start", error)
            return None
        return (yield from runtime.begin(request, upgrade=upgrade))

    def failed(self, where: str, error: Exception) -> None:
        """See `rewind_auto.core.seam.Driver.failed`."""
        guard.not_programs(error)
        opened = inner.current()
        run = opened.run if opened is not None else None
        if run is None and self._runtime is not None:
            run = self._runtime.run
        if (run.session.mode if run is not None else self.settings.mode) == "replay":
            what = f"internal error in {where}: {type(error).__name__}{guard.said(error)}"
            message = f"strict replay: nothing was sent: {what}"
            # It is said as well: a program may swallow what it is raised.
            if run is None:
                guard.warn_once("strict replay", message)
            else:
                with guard.swallow("divergence"):
                    run.failed(message)
            raise RewindReplayDivergenceError(message) from error
        guard.report(where, error)

    def runtime(self) -> Runtime:
        """The rest of the agent, loaded on first use."""
        runtime = self._runtime
        if runtime is None:
            with importing:
                from rewind_auto.core import alarms

                with alarms.held_back():
                    if self._runtime is None:
                        from rewind_auto.runtime import Runtime

                        self._runtime = Runtime(self)
                    runtime = self._runtime
        return runtime

    def close(self) -> None:
        """Finish what is open and let go of the store. For `uninstall`; at exit the runtime does it."""
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None


_current: ProcessDriver | None = None


def current() -> ProcessDriver | None:
    """The driver of this process as its environment says, or None when that says nothing usable.

    Raises:
        RewindReplayDivergenceError: the environment asks for a strict replay in a way that cannot be read.
    """
    global _current
    if _current is None:
        from rewind_auto import settings

        try:
            wanted = settings.current()
            if wanted.source:
                from rewind_auto import recorded_hosts

                wanted = recorded_hosts.added(wanted)
            _current = ProcessDriver(wanted)
        except settings.SettingsError as error:
            if settings.asked_mode() == "replay":
                raise RewindReplayDivergenceError(f"strict replay cannot start: {error}") from None
            guard.warn_once("settings", f"{error}; nothing is recorded")
    return _current


def use(driver: ProcessDriver | None) -> None:
    """Make ``driver`` the one that hooks hand to adapters from now on."""
    global _current
    _current = driver
