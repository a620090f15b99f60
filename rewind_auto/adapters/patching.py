"""Puts a wrapper in the place of a method, takes it out again, and gets along with others who do the same.

Other tools wrap the same attributes, before us or after us, and take their wrappers off in any order, most of
them by putting back what they once found. So a wrapper of ours

- is known by identity: ``functools.wraps`` and wrapt hand our marks on to theirs;
- that is below another is switched off where it is, and leaves when the other one is gone;
- that somebody dropped, with the attribute that he put back, is put in again while it is wanted;
- that somebody kept is the one that is used again.

The only strong reference to a wrapper that is ours is the attribute itself: that is how it shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import WRAPPER_ASSIGNMENTS
from types import FunctionType, ModuleType
from typing import Any
from weakref import ref

from rewind_auto.core import guard
from rewind_auto.core.seam import Driver

_MARK = "_rewind"
_WRAPPED = "__wrapped__"
_DEPTH = 50  # wrappers on top of one another that are looked through

# Originals that others keep from when they were imported, and call instead of the attribute.
_KEPT = (("vcr.patch", "_AiohttpClientSessionRequest"),)

_Owner = type | ModuleType

_put: list[Patch] = []  # all whose wrapper somebody has


class Patch:
    """One method of one class, or one function of a module, wrapped.

    Attributes:
        driver: the one to ask, or None while the wrapper is switched off.
        original: what was there, to be called with the instance as first argument.
    """

    __slots__ = ("_attribute", "_cls", "_cover", "_found", "_make", "_wrapper", "driver", "original")

    def __init__(self, cls: _Owner, attribute: str, driver: Driver, make: Callable[[Patch], Any]) -> None:
        self._cls = cls
        self._attribute = attribute
        self._found = cls.__dict__[attribute]
        self._make = make
        self._cover: Any = None
        self.driver: Driver | None = driver
        self.original: Callable[..., Any] = _callable(self._found)
        wrapper = _like(self._found, make(self))
        setattr(wrapper, _MARK, self)
        self._wrapper = ref(wrapper, self._dropped)
        _put.append(self)
        self._put_in(wrapper)

    def take_out(self, *_: Any) -> None:
        """Give the attribute its value back: now, or when the wrapper that somebody put on top is gone."""
        wrapper = self._wrapper()
        top = self._cls.__dict__.get(self._attribute)
        if self.driver is not None or wrapper is None:
            return
        _exchange(wrapper, self._found)
        if top is wrapper:
            setattr(self._cls, self._attribute, self._found)
        elif top is not self._found:
            with suppress(TypeError):  # not everything can be watched
                self._cover = ref(top, self.take_out)

    def put_back(self) -> bool:
        """Put the wrapper in again where it was taken out. False: there is something else now."""
        wrapper = self._wrapper()
        if wrapper is None or self._cls.__dict__.get(self._attribute) is not self._found:
            return False
        self._put_in(wrapper)
        return True

    def is_in(self, cls: _Owner | None, attribute: str) -> bool:
        """Whether this is the patch of that method."""
        return self._cls is cls and self._attribute == attribute

    def place(self) -> tuple[_Owner, str, Any]:
        """The class, the name of the method, and what was found there."""
        return self._cls, self._attribute, self._found

    def is_wrapper(self, candidate: Any) -> bool:
        """Whether ``candidate`` is the very wrapper that was put in."""
        return candidate is self._wrapper()

    def _put_in(self, wrapper: Any) -> None:
        setattr(self._cls, self._attribute, wrapper)
        _exchange(self._found, wrapper)

    # By its default: when the interpreter ends, the names here may be gone before the wrapper elsewhere.
    def _dropped(self, _: Any, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        """Nobody has the wrapper any more."""
        if is_finalizing():
            return
        _put.remove(self)
        if self.driver is not None:
            with guard.swallow("hook"):
                wrap(self._cls, self._attribute, self.driver, self._make)


def wrap(cls: _Owner, attribute: str, driver: Driver, make: Callable[[Patch], Any]) -> bool:
    """Have ``cls.attribute`` wrapped by what ``make`` gives. Twice is once.

    Returns:
        Whether there is such an attribute.
    """
    if attribute not in cls.__dict__:
        return False
    patches = _patches(cls, attribute)
    for patch in patches:
        # All of them, wherever they are: the first one that a call meets is the one that sees it.
        if patch.driver is None:
            patch.driver = driver
    if not _is_below(cls.__dict__[attribute]) and not any(patch.put_back() for patch in patches):
        Patch(cls, attribute, driver, make)
    return True


def unwrap(cls: type, attribute: str) -> None:
    """Undo `wrap`."""
    _take_out(_patches(cls, attribute))


def unwrap_all() -> bool:
    """Undo every `wrap`. Returns whether a wrapper was at work."""
    at_work = any(patch.driver is not None for patch in _put)
    _take_out([*_put])
    return at_work


def is_wrapped(cls: type | None, attribute: str) -> bool:
    """Whether a wrapper of ours is at work there."""
    return any(patch.driver is not None for patch in _patches(cls, attribute))


def at_work() -> list[tuple[type, str, Any]]:
    """The methods whose calls come to us: class, name, and what our wrapper was put around."""
    places = [patch.place() for patch in _put if patch.driver is not None]
    return [(cls, attribute, found) for cls, attribute, found in places if isinstance(cls, type)]


def _patches(cls: _Owner | None, attribute: str) -> list[Patch]:
    return [patch for patch in _put if patch.is_in(cls, attribute)]


def _take_out(patches: list[Patch]) -> None:
    for patch in patches:
        patch.driver = None
    for patch in reversed(patches):  # the uppermost first
        patch.take_out()


def _is_below(current: Any) -> bool:
    """Whether ``current`` is a wrapper of ours, or has one below it."""
    for _ in range(_DEPTH):
        patch = getattr(current, _MARK, None)
        if type(patch) is Patch and patch.is_wrapper(current):
            return True
        current = getattr(current, _WRAPPED, None)
        if current is None:
            break
    return False


def _like(found: Any, wrapper: Any) -> Any:
    """``functools.update_wrapper``, whatever is in the method's place: a mock's name may be a mock."""
    for name in WRAPPER_ASSIGNMENTS:
        with suppress(AttributeError, TypeError):
            setattr(wrapper, name, getattr(found, name))
    with suppress(AttributeError, TypeError):
        vars(wrapper).update(vars(found))
    # ddtrace takes off what it put on by this, whosever wrapper it meets: it gets what it would without us.
    setattr(wrapper, _WRAPPED, getattr(found, _WRAPPED, found))
    return wrapper


def _exchange(old: Any, new: Any) -> None:
    for name, attribute in _KEPT:
        module = sys.modules.get(name)
        if getattr(module, attribute, None) is old:
            setattr(module, attribute, new)


def _callable(found: Any) -> Callable[..., Any]:
    """``found`` as a function of the instance: what others put in may bind differently, or not at all."""
    if type(found) is FunctionType:  # what wrapt makes is an instance of it too
        return found

    def bound(instance: Any, *args: Any, **options: Any) -> Any:
        bind = getattr(type(found), "__get__", None)
        return (bind(found, instance, type(instance)) if bind else found)(*args, **options)

    return bound
