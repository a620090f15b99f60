"""Which line of the program made a call."""

from __future__ import annotations

import os
import sys
import sysconfig

_LIBRARIES = tuple(
    {
        os.path.realpath(p) + os.sep
        for p in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
        if p
    }
)
_OURS = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep
_own: dict[str, bool] = {}  # file name as code objects spell it -> whether it is the program's
_DEPTH = 80


def call_site() -> str | None:
    """``file:line`` of the innermost frame that is neither a library's nor ours, or None."""
    frame = sys._getframe(1)  # noqa: SLF001 - inspect.stack reads source files
    for _ in range(_DEPTH):
        name = frame.f_code.co_filename
        own = _own.get(name)
        if own is None:
            own = _own[name] = _is_own(name)
        if own:
            return f"{name}:{frame.f_lineno}"
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _is_own(name: str) -> bool:
    if name.startswith("<"):
        return name in ("<stdin>", "<string>")
    if "site-packages" in name or "dist-packages" in name:
        return False
    path = os.path.realpath(name)
    return not path.startswith((_OURS, *_LIBRARIES))
