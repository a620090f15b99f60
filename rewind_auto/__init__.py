"""Record every LLM call of a Python program, replay the run byte for byte, trace it with OpenTelemetry.

Imported at the start of every Python process of a run, so the names below are loaded when they are asked for.
"""

TYPE_CHECKING = False  # the type checkers' name, without importing typing
if TYPE_CHECKING:
    from rewind_auto.api import install, is_installed, uninstall
    from rewind_auto.core.errors import RewindReplayDivergenceError
    from rewind_auto.predicates import DefaultPredicates, LLMRequest, Predicates
    from rewind_auto.saved import SavingsSnapshot, savings
    from rewind_auto.sessions import session
    from rewind_auto.tools import cached_call

__version__ = "0.1.0"

# Our variables as this process was started with them: programs clear their environment, and an operator who
# asked for a replay is not to get live calls for it. Here, since every process has this module.
_launched: dict[str, str] = {}

__all__ = [
    "DefaultPredicates",
    "LLMRequest",
    "Predicates",
    "RewindReplayDivergenceError",
    "SavingsSnapshot",
    "__version__",
    "cached_call",
    "install",
    "is_installed",
    "savings",
    "session",
    "uninstall",
]

_HOME = {
    "DefaultPredicates": "rewind_auto.predicates",
    "LLMRequest": "rewind_auto.predicates",
    "Predicates": "rewind_auto.predicates",
    "RewindReplayDivergenceError": "rewind_auto.core.errors",
    "SavingsSnapshot": "rewind_auto.saved",
    "cached_call": "rewind_auto.tools",
    "install": "rewind_auto.api",
    "is_installed": "rewind_auto.api",
    "savings": "rewind_auto.saved",
    "session": "rewind_auto.sessions",
    "uninstall": "rewind_auto.api",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
