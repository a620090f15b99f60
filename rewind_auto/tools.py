"""``@rewind_auto.cached_call``: a program's own functions, recorded and replayed as its LLM calls are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from rewind_auto import driver, values
from rewind_auto.adapters.function_wrappers import wrapped
from rewind_auto.adapters.functions import Function
from rewind_auto.boot import tripwire
from rewind_auto.driver import ProcessDriver

F = TypeVar("F", bound=Callable[..., Any])


@overload
def cached_call(function: F, /) -> F: ...
@overload
def cached_call(
    *, name: str | None = None, key: Callable[..., Any] | None = None, ttl: float | str | None = None
) -> Callable[[F], F]: ...
def cached_call(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    key: Callable[..., Any] | None = None,
    ttl: float | str | None = None,
) -> F | Callable[[F], F]:
    """Make each call of a function a step of kind ``tool``: a local model, a search, a look-up.

    For plain and ``async`` functions, generators and asynchronous generators; with or without arguments of
    its own. In record mode the function runs as always and its result is kept; in a replay, in a fork before
    its cut, and in cache mode it is served, as it was and with its type, or raises what it raised, and the
    function does not run. Calls that it makes itself are part of it. Where the agent is not installed,
    nothing is changed.

    Results can be JSON values, dataclasses, pydantic models, and what has these in it; also tuples, sets,
    bytes, dates, enums and the like. Another result is passed on and said once not to be recorded; a replay
    that asks for it stops there.

    Args:
        function: what is decorated.
        name: of the tool; by default the function's qualified name.
        key: called with the arguments; gives what tells one call from another. By default all arguments
            count, those of other kinds than a result may have by their class alone; a cache serves no call
            that has one of these.
        ttl: how long cache mode may serve a result: seconds, or a text such as ``"12h"``.

    Raises:
        ValueError: a malformed ``ttl``.
        TypeError: what is decorated cannot be called.
    """
    seconds = None if ttl is None else values.read_seconds(str(ttl))

    def decorate(function: F) -> F:
        if not callable(function):
            raise TypeError(f"cached_call decorates functions, not {function!r}")
        called = name or str(getattr(function, "__qualname__", type(function).__qualname__))
        kept = Function(function, _driver, name=called, key=key, ttl=seconds)
        return wrapped(kept)  # type: ignore[return-value]  # of the same kind and signature

    return decorate if function is None else decorate(function)


def _driver() -> ProcessDriver | None:
    return driver.current() if tripwire.is_armed() else None
