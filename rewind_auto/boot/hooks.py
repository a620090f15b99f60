"""What happens when a watched library has been loaded. The adapter is all that is imported here."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from rewind_auto import driver

ADAPTERS = {
    "httpx": "rewind_auto.adapters.httpx",
    "httpx2": "rewind_auto.adapters.httpx",
    "requests": "rewind_auto.adapters.requests",
    "aiohttp": "rewind_auto.adapters.aiohttp",
}


def patched(module: ModuleType) -> None:
    """Install the adapter into ``module``. Does nothing for a class that has it.

    Raises:
        RewindReplayDivergenceError: the environment asks for a replay in a way that cannot be read.
    """
    # Not by the name it was imported as: httpx2.alias_httpx() makes "httpx" another name of httpx2, and a
    # test suite may have put an object of its own in the library's place.
    adapter = ADAPTERS.get(getattr(module, "__name__", ""))
    process = driver.current() if adapter is not None else None
    if adapter is not None and process is not None:
        import_module(adapter).install(module, process)


def unpatched() -> None:
    """Give every loaded library its own attributes back."""
    for name, adapter in ADAPTERS.items():
        module = sys.modules.get(name)
        if module is not None and adapter in sys.modules:
            sys.modules[adapter].uninstall(module)
