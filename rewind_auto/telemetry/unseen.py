"""LLM spans that are there, or will be, and that the context does not tell of.

Of OpenLLMetry's instrumentations, that of Anthropic keeps its span in a variable without making it current,
and that of OpenAI's Responses starts its own, dated back, when the call is over. Their functions are on the
stack of the call. Nobody who does not use them pays for the look.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

from opentelemetry.trace import Span

from rewind_auto.telemetry import otel

_PACKAGE: Final = "opentelemetry.instrumentation"
_ANTHROPIC: Final = frozenset({f"{_PACKAGE}.anthropic", f"{_PACKAGE}.anthropic.streaming"})
_MODULES: Final = _ANTHROPIC | {f"{_PACKAGE}.openai.v1.responses_wrappers"}


def look() -> tuple[bool, Span | None]:
    """Whether there is such an instrumentation around this call, and its span if that was started already."""
    frame = _around(_MODULES)
    if frame is None:
        return False, None
    # Where a stream is opened by a context manager, that has it.
    held = frame.f_locals.get("span") or getattr(frame.f_locals.get("self"), "_span", None)
    return True, held if isinstance(held, Span) and otel.is_llm(held) else None


def measured() -> bool:
    """Whether metrics of this call are recorded there: of Anthropic's are, of OpenAI's Responses are not.

    Whatever span is current: Anthropic's own SDK makes one in between.
    """
    return _around(_ANTHROPIC) is not None


def _around(modules: frozenset[str]) -> FrameType | None:
    """The innermost frame of a function of one of these modules."""
    if sys.modules.keys().isdisjoint(modules):  # this way round it asks for the few, not for the thousand
        return None
    frame: FrameType | None = sys._getframe()  # noqa: SLF001
    while frame is not None and frame.f_globals.get("__name__") not in modules:
        frame = frame.f_back
    return frame
