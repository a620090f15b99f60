"""Puts a wrapper in the place of a method, takes it out again, and gets along with others who do the same.

Other tools wrap the same attributes, before us or after us, and take their wrappers off in any order. So a
wrapper is known by identity (``functools.wraps`` and wrapt hand our marks on to theirs), one that cannot be
taken out because another is on top of it is switched off where it is, and one that is found below others is
switched on again instead of being put in twice.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from rewind_auto.core.seam import Driver

_MARK = "_rewind"
_WRAPPED = "__wrapped__"
_DEPTH = 50  # wrappers on top of one another that are looked through

_put: list[Patch] = []


class Patch:
    """One method of one class, wrapped.

    Attributes:
        driver: the one to ask, or None while the wrapper is switched off.
        original: what was there, to be called with the instance as first argument.
    """

    __slots__ = ("_attribute", "_cls", "_found", "_wrapper", "driver", "original")

    def __init__(self, cls: type, attribute: str, driver: Driver) -> None:
        self._cls = cls
        self._attribute = attribute
        self._found = cls.__dict__[attribute]
        self._wrapper: Any = None
        self.driver: Driver | None = driver
        self.original: Callable[..., Any] = _callable(self._found)

    def put(self, wrapper: Any) -> None:
        """Set ``wrapper`` in the method's place."""
        found = self._found
        for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
            if hasattr(found, name):
                setattr(wrapper, name, getattr(found, name))
        setattr(wrapper, _WRAPPED, found)
        setattr(wrapper, _MARK, self)
        self._wrapper = wrapper
        setattr(self._cls, self._attribute, wrapper)
        _put.append(self)

    def take_out(self) -> None:
        """Give the attribute its value back, or switch the wrapper off if it is below another."""
        self.driver = None
        if self._cls.__dict__.get(self._attribute) is self._wrapper:
            setattr(self._cls, self._attribute, self._found)
            _put.remove(self)

    def is_in(self, cls: type | None, attribute: str) -> bool:
        """Whether this is the patch of that method."""
        return self._cls is cls and self._attribute == attribute

    def is_wrapper(self, candidate: Any) -> bool:
        """Whether ``candidate`` is the very wrapper that was put in."""
        return candidate is self._wrapper


def wrap(cls: type, attribute: str, driver: Driver, make: Callable[[Patch], Any]) -> bool:
    """Have ``cls.attribute`` wrapped by what ``make`` gives. Twice is once.

    Returns:
        Whether there is such an attribute.
    """
    if attribute not in cls.__dict__:
        return False
    patch = _below(cls.__dict__[attribute])
    if patch is None:
        patch = Patch(cls, attribute, driver)
        patch.put(make(patch))
    elif patch.driver is None:
        patch.driver = driver
    return True


def unwrap(cls: type, attribute: str) -> None:
    """Undo `wrap`."""
    for patch in [patch for patch in _put if patch.is_in(cls, attribute)]:
        patch.take_out()


def is_wrapped(cls: type | None, attribute: str) -> bool:
    """Whether a wrapper of ours is at work there."""
    return any(patch.driver is not None for patch in _put if patch.is_in(cls, attribute))


def _below(current: Any) -> Patch | None:
    """The patch whose wrapper is ``current``, or is somewhere below it."""
    for _ in range(_DEPTH):
        patch = getattr(current, _MARK, None)
        if isinstance(patch, Patch) and patch.is_wrapper(current):
            return patch
        current = getattr(current, _WRAPPED, None)
        if current is None:
            break
    return None


def _callable(found: Any) -> Callable[..., Any]:
    """``found`` as a function of the instance: wrappers of others may be descriptors of another kind."""
    if isinstance(found, FunctionType):
        return found

    def bound(instance: Any, *args: Any, **options: Any) -> Any:
        return found.__get__(instance, type(instance))(*args, **options)

    return bound
