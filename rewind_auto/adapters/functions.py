"""Calls of a program's own functions, as exchanges: arguments are the request, the result is the answer."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any

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
        ending, fault = faults.to_fault(error, phase)
        if isinstance(error, SystemExit):  # what the function does, unlike an interruption from outside
            ending, fault = Ending.FAULT, Fault("builtins", "SystemExit", str(error), phase)
        if fault is not None and isinstance(error, ExceptionGroup):
            below = [self.fault(one, phase)[1] for one in error.exceptions]
            fault.facts["group"] = [error.message, [astuple(one) for one in below if one is not None]]
        elif fault is not None:
            args = error.args
            if isinstance(error, OSError) and error.filename is not None:
                args = (*args[:2], error.filename)  # which it keeps apart
            try:
                fault.facts["args"] = typed.dump(args).decode("utf-8", "surrogatepass")
            except typed.UntypedError:
                return ending, fault
        return ending, fault

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
            return self._revived(fault)
        return call.beyond() if call.playback().truncated else None

    def _revived(self, fault: Fault) -> BaseException:
        modules = (sys.modules.get(fault.module), sys.modules.get(self.function.__module__))
        cls = faults.known_class(
            fault, [module for module in modules if module is not None], (Exception, SystemExit)
        )
        if cls is None:
            return RuntimeError(f"{fault.module}.{fault.name}: {fault.message}")
        if cls.__module__ != "builtins" and not self._reach.allows(cls):
            return faults.unmade(cls, fault)
        try:
            if "group" in fault.facts:
                message, below = fault.facts["group"]
                group: BaseException = cls(message, [self._revived(Fault(*one)) for one in below])
                return group
            stored = fault.facts["args"].encode("utf-8", "surrogatepass")
            args = typed.load(stored, self._reach.names, self._reach.allows)
            error: BaseException = cls(*args)
        except Exception:  # noqa: BLE001 - its constructor is the program's own, and may take something else
            return faults.revive(cls, fault)
        return error if str(error) == fault.message else faults.revive(cls, fault)


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
