"""Whether another instrumentation reports the same call already, so that ours would make two of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rewind_auto.telemetry.otel import GENAI_KEYS

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

# Where the SDK's providers of meters and of loggers keep what they handed out, under the scope it is for.
METERS: Final = "_meters"
LOGGERS: Final = "_logger_cache"


def report_to(provider: object, handed_out: str, current: Context, outer: Span | None) -> bool:
    """Whether the instrumentation that this call happens in reports it to ``provider`` itself.

    Those built on opentelemetry-util-genai do, whether their span is sampled or not. Of any other we know the
    scope of its LLM span, and who has a meter under that name measures: OpenLLMetry does, while OpenInference
    and Anthropic's own SDK make spans and nothing else. Where it cannot be seen it counts as reported: better
    a call that a dashboard lacks than one that is there twice.

    Args:
        provider: of the program.
        handed_out: `METERS` or `LOGGERS`.
        current: the context of the call.
        outer: the LLM span that it happens in, if it has one.
    """
    if any(current.get(key) is not None for key in GENAI_KEYS):
        return True
    if outer is None:
        return False
    scope = getattr(getattr(outer, "instrumentation_scope", None), "name", None)
    known = getattr(provider, handed_out, None)
    if scope is None or not isinstance(known, dict):
        return True
    return any(scope == (key[0] if isinstance(key, tuple) else key.name) for key in list(known))
