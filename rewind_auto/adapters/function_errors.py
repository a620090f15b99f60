"""What a program's own functions raise, as data and as exceptions again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple
from inspect import ismemberdescriptor
from typing import Any

from rewind_auto.core import faults, typed
from rewind_auto.core.model import Ending, Fault
from rewind_auto.core.reach import Reach

_DEEPEST = 20  # causes of causes, and groups in groups
_LARGEST = 1 << 20  # bytes of one attribute: what is kept of a step beside its body is read whole
_NOTES = "__notes__"

# What they keep apart from `args`, though no attribute of a class of the program's.
_KEYWORDED = (ImportError, AttributeError, NameError)


class Errors:
    """The exceptions of one function.

    Args:
        reach: which classes it can be expected to raise.
        module: the name of its module, where a class may be whose own module is called something else now.
    """

    def __init__(self, reach: Reach, module: str) -> None:
        self._reach = reach
        self._module = module

    def to_fault(
        self, error: BaseException, phase: str, above: tuple[BaseException, ...] = ()
    ) -> tuple[Ending, Fault | None]:
        """How an exception ended a call. ``above``: those that it is a part or the cause of."""
        ending, fault = faults.to_fault(error, phase)
        if isinstance(error, SystemExit):  # what the function does, unlike an interruption from outside
            ending, fault = Ending.FAULT, Fault("builtins", "SystemExit", str(error), phase)
        if fault is None:
            return ending, None
        above = (*above, error)
        if isinstance(error, ExceptionGroup):
            below = [self._below(one, phase, above) for one in error.exceptions]
            fault.facts["group"] = [error.message, [one for one in below if one is not None]]
        else:
            args = _written(_args(error))
            if args is not None:
                fault.facts["args"] = args
        written = [_written({name: value}) for name, value in _attributes(error)]
        if attributes := [one for one in written if one is not None and len(one) <= _LARGEST]:
            fault.facts["attributes"] = attributes
        if error.__cause__ is not None or error.__suppress_context__:
            fault.facts["from"] = [self._below(error.__cause__, phase, above), error.__suppress_context__]
        return ending, fault

    def _below(
        self, error: BaseException | None, phase: str, above: tuple[BaseException, ...]
    ) -> tuple[Any, ...] | None:
        if error is None or any(error is one for one in above) or len(above) > _DEEPEST:
            return None
        fault = self.to_fault(error, phase, above)[1]
        return None if fault is None else astuple(fault)

    def revived(self, fault: Fault) -> BaseException:
        """A recorded exception again."""
        modules = (sys.modules.get(fault.module), sys.modules.get(self._module))
        cls = faults.known_class(
            fault, [module for module in modules if module is not None], (Exception, SystemExit)
        )
        if cls is None:
            error: BaseException = RuntimeError(f"{fault.module}.{fault.name}: {fault.message}")
        elif cls.__module__ != "builtins" and not self._reach.allows(cls):
            error = faults.unmade(cls, fault)
            _dict(error).update((name, value) for name, value in self._kept(fault) if name == _NOTES)
        else:
            error = self._made(cls, fault)
        cause, hidden = self._from(fault)
        object.__setattr__(error, "__cause__", cause)
        object.__setattr__(error, "__suppress_context__", hidden)
        return error

    def _from(self, fault: Fault) -> tuple[BaseException | None, bool]:
        """Its cause, and whether what it was raised beside is not to be shown."""
        try:
            cause, hidden = fault.facts.get("from", (None, False))
            return None if cause is None else self.revived(Fault(*cause)), bool(hidden)
        except Exception:  # noqa: BLE001 - a store may say anything here
            return None, False

    def _made(self, cls: Any, fault: Fault) -> BaseException:
        """An exception of a class that is to be expected: as it would be made, or else as it was found."""
        for make in (self._called, self._filled):
            try:
                error = make(cls, fault)
                self._restore(error, fault)
                if str(error) == fault.message:
                    return error
            except Exception:  # noqa: BLE001, S112 - its constructor is the program's, and may want something else
                continue
        error = faults.revive(cls, fault)
        self._restore(error, fault)
        return error

    def _called(self, cls: Any, fault: Fault) -> BaseException:
        if "group" in fault.facts:
            message, below = fault.facts["group"]
            group: BaseException = cls(message, [self.revived(Fault(*one)) for one in below])
            return group
        error: BaseException = cls(*self._read(fault.facts["args"]))
        return error

    def _filled(self, cls: Any, fault: Fault) -> BaseException:
        error = faults.unmade(cls, fault)
        object.__setattr__(error, "args", self._read(fault.facts["args"]))
        return error

    def _restore(self, error: BaseException, fault: Fault) -> None:
        """Set its attributes, as data: no code of the class has a say."""
        members = dict(_members(type(error)))
        for name, value in self._kept(fault):
            with suppress(AttributeError, TypeError):  # written in C, it may be for reading only
                if name in members:
                    members[name].__set__(error, value)
                else:
                    _dict(error)[name] = value

    def _kept(self, fault: Fault) -> Iterator[tuple[str, Any]]:
        """The attributes that can be read: not those of a class that is gone, or that a store made up."""
        written = fault.facts.get("attributes")
        for one in written if isinstance(written, list) else ():
            try:
                kept = dict(self._read(one))
            except Exception:  # noqa: BLE001, S112
                continue
            yield from kept.items()

    def _read(self, written: str) -> Any:
        data = written.encode("utf-8", "surrogatepass")
        return typed.load(data, self._reach.names, self._reach.allows)


def _written(value: Any) -> str | None:
    try:
        return typed.dump(value).decode("utf-8", "surrogatepass")
    except typed.UntypedError:
        return None


def _args(error: BaseException) -> tuple[Any, ...]:
    """What it is made of."""
    if isinstance(error, OSError) and error.filename is not None:  # names of files are kept apart
        more = (error.filename,) if error.filename2 is None else (error.filename, None, error.filename2)
        return (*error.args[:2], *more)
    return error.args


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    # A slot may never have been set, or be of another class; `__dict__` may be code of the program's.
    with suppress(Exception):
        yield from list(_dict(error).items())
    for name, member in _members(type(error)):
        with suppress(Exception):
            yield name, member.__get__(error)


def _dict(error: BaseException) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(error, "__dict__")
    return found


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Attributes of its objects that are not in their ``__dict__``."""
    for base in cls.__mro__:
        if base.__module__ != "builtins" or base in _KEYWORDED:
            yield from ((name, one) for name, one in vars(base).items() if ismemberdescriptor(one))
