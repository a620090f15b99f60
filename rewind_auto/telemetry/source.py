"""Whom to report to, looked up at call time, for any signal.

1. The program's own provider, as soon as it set one. Its exporters, its sampling, its exit.
2. While it has none, and export was asked for, a private one of the SDK, built on the first LLM call.
3. Else none, and OpenTelemetry is not even imported.

Nothing global is ever set.
"""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rewind_auto import __version__
from rewind_auto.core import guard
from rewind_auto.core.forks import in_forked_child
from rewind_auto.telemetry.signals import ExportError

if TYPE_CHECKING:
    from rewind_auto.telemetry.export import Private
    from rewind_auto.telemetry.signals import ExportPlan

SCOPE: Final = "rewind-auto"
VERSION: Final = __version__

T = TypeVar("T")


class Source(ABC, Generic[T]):
    """Finds what to report with at the moment: a tracer, say.

    Args:
        module: where the API keeps the program's provider.
        variable: the name that it has there.
        plan: where to export to while the program has none, or None for nowhere.
    """

    def __init__(self, module: str, variable: str, plan: ExportPlan | None) -> None:
        self._module = module
        self._variable = variable
        self._plan = plan
        self._provider: object = None
        self._found: T | None = None
        self._private: Private[T] | None = None
        self._private_found: T | None = None
        self._lock = threading.Lock()
        self._builder: int | None = None
        in_forked_child(self._after_fork)

    @abstractmethod
    def _of_program(self, provider: Any) -> T | None:
        """What the program's provider has for us."""

    @abstractmethod
    def _of_ours(self, plan: ExportPlan) -> Private[T]:
        """Import the SDK and build a private provider."""

    def current(self) -> T | None:
        """What to report with, or None when nobody listens."""
        # Not get_tracer_provider() and the like: they would load and set the global one when the variable
        # OTEL_PYTHON_TRACER_PROVIDER names it, and the program's own later call would then be refused.
        provider = getattr(sys.modules.get(self._module), self._variable, None)
        if provider is not None:
            return self._found if provider is self._provider else self._adopt(provider)
        if self._plan is None:
            return None
        return self._private_found or self._build(self._plan)

    @property
    def provider(self) -> object:
        """The program's own, or None while it has none."""
        return self._provider

    def is_private(self, found: T) -> bool:
        """Whether this is ours alone, and what it is told unknown to the program."""
        return found is self._private_found

    def flush(self, seconds: float) -> bool:
        """Wait until our own exporter has been given everything. The program's is its own business."""
        return self._private is None or self._private.outbox.flush(seconds)

    def release(self) -> Private[T] | None:
        """Build no private provider any more. The one there was, for its owner to close.

        None at the end of a process, when all is being delivered: what exit handlers bring comes after.
        """
        if self._private is not None and self._private.leaving:
            return None
        private, self._plan = self._private, None
        self._private = self._private_found = None
        return private

    def _after_fork(self) -> None:
        self._private_found = None  # asked for anew: what counts must begin at nought in a child
        if self._lock.locked():
            # Another thread was importing the SDK: the locks of those modules are held for ever here.
            self._plan = None
            self._lock = threading.Lock()
            self._builder = None

    def _adopt(self, provider: object) -> T | None:
        found = None
        try:
            found = self._of_program(provider)
        except ExportError as error:
            guard.warn_once(f"telemetry.adopt.{error}", str(error))
        except Exception as error:  # noqa: BLE001 - the call goes on without
            guard.report("telemetry.adopt", error)
        # In this order: another thread asks for the second and takes the first.
        self._found = found
        self._provider = provider
        return found

    def _build(self, plan: ExportPlan) -> T | None:
        if self._builder == threading.get_ident():  # a signal handler's call, in the middle of what follows
            return None
        with self._lock:
            if self._private_found is None and self._plan is not None:
                self._builder = threading.get_ident()
                try:
                    # Here and not in a background thread: a fork in the middle of a thread's import
                    # leaves the child an import lock that nobody will ever release.
                    if self._private is None:
                        self._private = self._of_ours(plan)
                    self._private_found = self._private.current()
                except ExportError as error:
                    self._plan = None
                    guard.warn_once(f"telemetry.build.{error}", str(error))
                except Exception as error:  # noqa: BLE001 - a broken exporter must not end a call
                    self._plan = None
                    guard.report("telemetry.build", error)
                finally:
                    self._builder = None
            return self._private_found
