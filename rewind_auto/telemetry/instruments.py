"""What is measured of a call.

The conventions' client metrics are about calls that were made: `record`, `miss`, `bypass`. A call that was
served from a recording, or blocked, took no provider's time and no tokens; a dashboard of latency, of calls
or of spending must not see it. It is counted in ``rewind.calls``, as every call is, by its decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rewind_auto.telemetry import names
from rewind_auto.telemetry.values import AttributeValue, cleaned

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter

    from rewind_auto.telemetry.spans import SpanEnd, SpanStart

# The boundaries that the conventions ask for.
_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS: Final = tuple(4**power for power in range(14))

_MADE: Final = frozenset({"record", "miss", "bypass"})
_TOKEN_TYPES: Final = (("input_tokens", "input"), ("output_tokens", "output"))


class Instruments:
    """The instruments of one meter.

    Args:
        meter: the program's, or a private one.
        recorded: told after each call.
    """

    def __init__(self, meter: Meter, recorded: Callable[[], None] = lambda: None) -> None:
        self._recorded = recorded
        self._duration = _histogram(
            meter, names.GEN_AI_CLIENT_OPERATION_DURATION, "s", "GenAI operation duration.", _SECONDS
        )
        self._first_chunk = _histogram(
            meter,
            names.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK,
            "s",
            "Time from the request to the first chunk of a stream.",
            _SECONDS,
        )
        self._tokens = _histogram(
            meter,
            names.GEN_AI_CLIENT_TOKEN_USAGE,
            "{token}",
            "Number of input and output tokens used.",
            _TOKENS,
        )
        self._calls = meter.create_counter(
            names.REWIND_CALLS,
            "{call}",
            "LLM calls by what was decided: made, served from a recording, blocked.",
        )

    def record(self, start: SpanStart, outcome: SpanEnd, context: Context, *, counted: bool) -> None:
        """Measure one call.

        Args:
            start: what was known before.
            outcome: how it went.
            context: has the call's span, for exemplars.
            counted: whether another instrumentation records the conventions' metrics of it.
        """
        call = cleaned(
            (
                (names.GEN_AI_OPERATION_NAME, start.operation),
                (names.GEN_AI_PROVIDER_NAME, start.provider),
                (names.GEN_AI_REQUEST_MODEL, start.model),
            )
        )
        self._calls.add(1, {**call, names.REWIND_CACHE_DECISION: outcome.decision}, context)
        if outcome.decision in _MADE and not counted:
            answered = cleaned(
                (
                    (names.SERVER_ADDRESS, start.server_address),
                    (names.SERVER_PORT, start.server_port if start.server_address else None),
                    (
                        names.GEN_AI_RESPONSE_MODEL,
                        outcome.response_attributes.get(names.GEN_AI_RESPONSE_MODEL),
                    ),
                )
            )
            self._record_made(outcome, {**call, **answered}, context)
        self._recorded()

    def _record_made(
        self, outcome: SpanEnd, attributes: Mapping[str, AttributeValue], context: Context
    ) -> None:
        if outcome.duration is not None:
            failed = {names.ERROR_TYPE: outcome.failure} if outcome.failure else {}
            self._duration.record(outcome.duration, {**attributes, **failed}, context)
        if outcome.time_to_first_chunk is not None:
            self._first_chunk.record(outcome.time_to_first_chunk, attributes, context)
        for key, kind in _TOKEN_TYPES:
            count = (outcome.usage or {}).get(key)
            if count is not None:
                self._tokens.record(count, {**attributes, names.GEN_AI_TOKEN_TYPE: kind}, context)


def _histogram(
    meter: Meter, name: str, unit: str, description: str, boundaries: Sequence[float]
) -> Histogram:
    try:
        return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=boundaries)
    except TypeError:  # before 1.30 a meter took no advice
        return meter.create_histogram(name, unit, description)
