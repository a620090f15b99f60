"""requests: the seam is `Session.get_adapter`, public and the same since requests 1.0.

A session asks it for each request, redirect hops included, which adapter to send it through. Retries by
urllib3 happen below, so they are part of the one call that the program made. Sessions made before this was
installed are covered, and adapters of the program's own, whatever they derive from.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rewind_auto.adapters import patching
from rewind_auto.core.forks import importing
from rewind_auto.core.seam import Driver

WITHOUT_SEAM = "its calls are not covered"

_SEAM = "get_adapter"
_ORIGINS_KEPT = 1024


def install(module: ModuleType, driver: Driver) -> bool:
    """Wrap the sessions of ``module``. Twice is once.

    Returns:
        True.

    Raises:
        AttributeError: the seam is not there.
    """
    if not patching.wrap(module.Session, _SEAM, driver, lambda patch: _seam(patch, module)):
        raise AttributeError(f"Session.{_SEAM} is not there: {WITHOUT_SEAM}")
    return True


def has_seam(module: ModuleType) -> bool:
    """Whether this release has what `install` looks for."""
    return hasattr(module.Session, _SEAM)


def uninstall(module: ModuleType) -> None:
    """Put the original attribute back."""
    patching.unwrap(module.Session, _SEAM)


def is_installed(module: ModuleType) -> bool:
    """Whether `install` has been done on this module."""
    return patching.is_wrapped(module.Session, _SEAM)


def _seam(patch: patching.Patch, module: ModuleType) -> Any:
    original = patch.original
    origins: dict[str, tuple[str, int | None]] = {}

    def get_adapter(self: Any, url: Any) -> Any:
        inner = original(self, url)
        driver = patch.driver
        if driver is None:
            return inner
        try:
            return _chosen(inner, driver, url)
        except Exception as error:  # noqa: BLE001 - the program must not see it
            driver.failed("choice of an adapter", error)
            return inner

    def _chosen(inner: Any, driver: Driver, url: Any) -> Any:
        # Parsing a URL takes longer than all the rest, and programs ask few origins for many URLs.
        key = "/".join(url.split("/", 3)[:3]) if type(url) is str else ""
        origin = origins.get(key)
        if origin is None:
            if len(origins) >= _ORIGINS_KEPT:
                origins.clear()
            origin = origins[key] = _origin(key)
        if not driver.wants(*origin):
            return inner
        with importing:
            from rewind_auto.adapters.requests_calls import Sending

        return Sending(inner, driver, module)

    return get_adapter


def _origin(url: str) -> tuple[str, int | None]:
    """Host and port of a URL's first three parts. Of what is no URL, a host that nobody has."""
    from urllib.parse import urlsplit

    from rewind_auto.core.address import port_of

    try:
        parts = urlsplit(url)
        return parts.hostname or "", port_of(parts)
    except ValueError:
        return "", None
