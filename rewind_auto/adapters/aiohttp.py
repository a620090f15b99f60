"""aiohttp: the seam is `ClientSession._request`, wrapped only to append a client middleware, innermost.

A middleware of ours at that place sees each request as it goes out, redirect hops included, with the base
URL, the parameters, the session's headers and cookies in it, and the library's redirects, cookie jar,
timeouts, traces and ``raise_for_status`` work above it, on live calls and on replay. Sessions made before
this was installed are covered, and the middlewares of a request replace the session's, not ours.

Middlewares came with aiohttp 3.12. In an older release nothing is touched while recording.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

from rewind_auto.adapters import patching
from rewind_auto.core import guard
from rewind_auto.core.forks import importing
from rewind_auto.core.seam import Driver, inside

WITHOUT_SEAM = "3.12 or newer is needed, its calls are not covered"

_SEAM = "_request"
_SESSIONS_OWN = "_middlewares"  # what a session was given; used by `_request` where a call names none
_SINCE = "ClientMiddlewareType"  # public, and there with the middlewares
_READING = ("auto_decompress", "read_bufsize")  # options of one call that a middleware cannot see

# Where older releases are refused in a strict replay: every hop of a redirect passes here, before its host is
# looked up.
_OLD_SEAM = "connect"

_NOTHING: Mapping[str, Any] = {}


def install(module: ModuleType, driver: Driver) -> bool:
    """Wrap the sessions of ``module``. Twice is once.

    Returns:
        Whether this release has middlewares; False: it is left alone.

    Raises:
        AttributeError: it has, and the seam is not there.
    """
    if has_seam(module):
        if not patching.wrap(module.ClientSession, _SEAM, driver, partial(_seam, module=module)):
            raise AttributeError(f"ClientSession.{_SEAM} is not there: {WITHOUT_SEAM}")
        return True
    guard.warn_once(
        "aiohttp", f"aiohttp {module.__version__} is too old to be recorded, 3.12 or newer is needed"
    )
    if driver.needs_body:
        patching.wrap(module.BaseConnector, _OLD_SEAM, driver, partial(_too_old, module=module))
    return False


def has_seam(module: ModuleType) -> bool:
    """Whether this release has what `install` looks for."""
    return hasattr(module, _SINCE)


def uninstall(module: ModuleType) -> None:
    """Put the original attribute back."""
    patching.unwrap(module.ClientSession, _SEAM)
    patching.unwrap(module.BaseConnector, _OLD_SEAM)


def is_installed(module: ModuleType) -> bool:
    """Whether `install` has been done on this module."""
    return patching.is_wrapped(module.ClientSession, _SEAM)


def _seam(patch: patching.Patch, *, module: ModuleType) -> Any:
    original = patch.original

    async def rewind(request: Any, handler: Any, *, asked: Mapping[str, Any] = _NOTHING) -> Any:
        driver = patch.driver
        if driver is None or inside.get():
            return await handler(request)
        intercept: Any = None
        try:
            if _wants(driver, request):
                with importing:
                    from rewind_auto.adapters.aiohttp_calls import intercept
        except Exception as error:  # noqa: BLE001 - the program must not see it
            driver.failed("choice of a request", error)
        if intercept is None:
            return await handler(request)
        return await intercept(module, driver, request, handler, asked)

    # Not a coroutine function: one more frame would shift the `stacklevel` of the library's warnings.
    def _request(self: Any, *args: Any, **options: Any) -> Any:
        if patch.driver is not None:
            chosen: Any = options.get("middlewares")
            if chosen is None:
                chosen = getattr(self, _SESSIONS_OWN, None) or ()
            asked = {name: options[name] for name in _READING if name in options}
            options["middlewares"] = (*chosen, partial(rewind, asked=asked) if asked else rewind)
        return original(self, *args, **options)

    return _like_a_coroutine_function(_request)


def _wants(driver: Driver, request: Any) -> bool:
    try:
        host, port = request.url.raw_host, request.url.port
    except Exception:  # noqa: BLE001 - tests put stand-ins in a request's place: nobody's URL is not ours
        return False
    return isinstance(host, str) and driver.wants(host, port)


def _like_a_coroutine_function(function: Any) -> Any:
    """Marked for `unittest.mock` and the like, which treat coroutine functions differently."""
    if hasattr(inspect, "markcoroutinefunction"):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001
    return function


def _too_old(patch: patching.Patch, *, module: ModuleType) -> Any:
    """In a strict replay nothing may go out to an LLM host, not even what cannot be answered."""
    original = patch.original

    async def connect(self: Any, req: Any, *args: Any, **options: Any) -> Any:
        driver = patch.driver
        if driver is not None and _wants(driver, req):
            from rewind_auto.core.errors import RewindReplayDivergenceError

            raise RewindReplayDivergenceError(
                f"strict replay: {req.method} {req.url}: aiohttp {module.__version__} cannot be replayed,"
                " 3.12 or newer is needed; nothing was sent"
            )
        return await original(self, req, *args, **options)

    return connect
