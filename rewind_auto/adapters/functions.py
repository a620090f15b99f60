"""Calls of a program's own functions, as exchanges: arguments are the request, the result is the answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rewind_auto.adapters.function_errors import Errors
from rewind_auto.core import faults, guard, typed
from rewind_auto.core.model import FUNCTIONS, Ending, Fault, Head, Request
from rewind_auto.core.playback import Playback
from rewind_auto.core.reach import Reach
from rewind_auto.core.seam import Driver, ServedCall

METHOD = "CALL"

HEAD = Head(0, ((b"content-type", b"application/json"),), whole=True)


class Function:
    """A function whose calls are recorded and served.

    Args:
        function: any kind: plain, ``async``, a generator or an asynchronous generator.
        driver: gives the driver at call time; None: call it as it is.
        name: what the tool is called.
        key: what of the arguments tells one call from another; by default all of them.
        ttl: seconds for which a cache may serve a result; None: as long as its own setting says.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        driver: Callable[[], Driver | None],
        *,
        name: str,
        key: Callable[..., Any] | None,
        ttl: float | None,
    ) -> None:
        self.function = function
        self.name = name
        self.unkept = ""  # why the latest result was not kept
        self._driver = driver
        self._key = key
        self._ttl = ttl
        self._signature = inspect.signature(function)
        self._reach = Reach(function)
        self._errors = Errors(self._reach, function.__module__)
        self._gives_items = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Driver, Request] | None:
        """The request that a call is, or None where the agent is not at work."""
        driver = self._driver()
        if driver is None:
            return None
        if self._key is not None:
            try:
                asked = self._key(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - without the agent nobody would have called it
                if self._bound(args, kwargs) is not None:
                    driver.failed(f"the key of {self.name}", error)
                return None
        else:
            bound = self._bound(args, kwargs)
            if bound is None:
                return None
            bound.apply_defaults()
            asked = dict(bound.arguments)
        body = typed.identity(asked)
        return driver, Request(METHOD, f"call:{self.name}", (), body, FUNCTIONS, tool=True, ttl=self._ttl)

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments | None:
        """The arguments by name. None: the function itself says what is wrong with them."""
        try:
            return self._signature.bind(*args, **kwargs)
        except TypeError:
            return None

    # --- live

    def result(self, value: Any) -> bytes | None:
        """A result, or an item, to be kept. None: it cannot be, which `unkept` says."""
        try:
            return typed.dump(value)
        except typed.UntypedError as error:
            self.unkept = f"the result of {self.name} cannot be recorded: {error}"
            guard.warn_once(f"tool {self.name}", self.unkept)
            return None

    def fault(self, error: BaseException, phase: str) -> tuple[Ending, Fault | None]:
        """How an exception ended a call."""
        with guard.swallow("an exception of a function"):
            return self._errors.to_fault(error, phase)
        return faults.to_fault(error, phase)

    # --- served

    def values(self, call: ServedCall) -> list[Any]:
        """A recorded result again, or all items that a generator gave.

        Raises:
            UntypedError: one of them cannot be read, by the classes that the program has now.
        """
        recording = call.recording
        if recording.head is None:
            return []
        parts = [data for _, data in Playback(recording, 0)] if self._gives_items else [recording.body]
        return [typed.load(data, self._reach.names, self._reach.allows) for data in parts]

    def error(self, call: ServedCall) -> BaseException | None:
        """What a recorded call raises at its end, or None."""
        fault = call.recording.fault
        if fault is not None:
            return self._errors.revived(fault)
        return call.beyond() if call.playback().truncated else None


def begun(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call to be told, or served, or None, and what a served one gives: the pauses of it.

    What was recorded is read before any of it is given: if it cannot be, the function can still run instead.
    """
    begun = function.begin(args, kwargs)
    if begun is None:
        return None, []
    driver, request = begun
    call: Any = yield from driver.begin(request)
    if not hasattr(call, "playback"):
        return call, []
    try:
        return call, function.values(call)
    except typed.UntypedError as error:
        call.end()
        why = f"the recorded result of {function.name} cannot be served: {error}"
    call = yield from driver.begin(replace(request, unreadable=why))
    guard.warn_once(f"served {function.name}", f"{why}; the function runs")
    return call, []
