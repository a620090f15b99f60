"""What happens when a watched library has been loaded. The adapter is all that is imported here."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from rewind_auto import driver
from rewind_auto.boot.tripwire import POOLS

ADAPTERS = {
    "httpx": "rewind_auto.adapters.httpx",
    "httpx2": "rewind_auto.adapters.httpx",
    "requests": "rewind_auto.adapters.requests",
    "aiohttp": "rewind_auto.adapters.aiohttp",
}
_POOLS = dict.fromkeys(POOLS, "rewind_auto.adapters.pools")


def patched(module: ModuleType) -> None:
    """Install the adapter into ``module``. Does nothing for a class that has it.

    Raises:
        RewindReplayDivergenceError: the environment asks for a replay in a way that cannot be read.
    """
    # Not by the name it was imported as: httpx2.alias_httpx() makes "httpx" another name of httpx2, and a
    # test suite may have put an object of its own in the library's place.
    name = getattr(module, "__name__", "")
    adapter = ADAPTERS.get(name) or _POOLS.get(name)
    process = driver.current() if adapter is not None else None
    if adapter is not None and process is not None:
        import_module(adapter).install(module, process)


def unpatched() -> bool:
    """Give every library its own attributes back, those that are not in ``sys.modules`` any more too.

    Returns:
        Whether one of them was hooked.
    """
    # By what was done, not by what is loaded: others hold on to classes of a library that was imported anew.
    patching = sys.modules.get("rewind_auto.adapters.patching")
    return patching is not None and bool(patching.unwrap_all())
