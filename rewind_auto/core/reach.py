"""Which classes a function can be expected to give: what a store names is made of these and of no other.

A store is data, and may come from somebody else. A class that it names is looked up among what the program
has loaded, but making an object runs the class's own code: validators of a model, one of which imports
whatever it is told to. So it has to be a class that the function declares, one that those are made of, or one
of a package that the function or its module uses; those of the standard library are plain data.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, ModuleType
from typing import Any


class Reach:
    """What one function can be expected to give.

    Args:
        function: any callable.

    Attributes:
        names: the global names of the function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = inspect.unwrap(function)
        self.names: Mapping[str, Any] = getattr(self._function, "__globals__", {})
        self._packages: frozenset[str] | None = None
        self._declared: set[Any] = set()

    def allows(self, cls: type) -> bool:
        """Whether an object of this class may be made."""
        if self._packages is None:
            self._packages = sys.stdlib_module_names | set(map(_package, self._used()))
            self._declare(_hints(self._function).get("return"))
        allowed = cls in self._declared or _package(cls.__module__) in self._packages
        if allowed:
            self._declare(cls)
        return allowed

    def _used(self) -> Iterator[str]:
        """The modules that the function and its module use."""
        yield str(getattr(self._function, "__module__", ""))
        cells = inspect.getclosurevars(self._function).nonlocals if inspect.isfunction(self._function) else {}
        for value in (*self.names.values(), *cells.values()):
            owner = value if isinstance(value, type) or callable(value) else type(value)
            name = value.__name__ if isinstance(value, ModuleType) else getattr(owner, "__module__", None)
            if isinstance(name, str):
                yield name
        yield from _imported(getattr(self._function, "__code__", None))

    def _declare(self, kind: Any) -> None:
        """Add a class, and those that the types of its fields name."""
        waiting = [kind]
        while waiting:
            one = waiting.pop()
            waiting += typing.get_args(one)
            if isinstance(one, type) and one not in self._declared and _package(one.__module__) != "builtins":
                self._declared.add(one)
                waiting += _hints(one).values()


def _imported(code: CodeType | None) -> Iterator[str]:
    """Names of modules that are imported inside a function: they stand among all names that it uses."""
    if code is not None:
        yield from (name for name in code.co_names if name in sys.modules)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _imported(constant)


def _package(module: str) -> str:
    return module.partition(".")[0]


def _hints(of: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(of)
    except Exception:  # noqa: BLE001 - annotations are expressions of the program's own, and may not hold here
        return {}
