"""The attributes of a call: those known before it is sent, and those of its end.

Each has a value of its convention's type: the readers of the providers' formats see to that, and their tests
to them. To look at every value once more would be a fifth of what a span costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rewind_auto.telemetry import names
from rewind_auto.telemetry.values import text

if TYPE_CHECKING:
    from rewind_auto.telemetry.content import ContentSource
    from rewind_auto.telemetry.spans import SpanEnd, SpanStart

Attributes: TypeAlias = dict[str, Any]

_HIT: Final = "hit"
_MESSAGE_LIMIT: Final = 1000

_SPENT: Final[Mapping[str, str]] = {
    "input_tokens": names.GEN_AI_USAGE_INPUT_TOKENS,
    "output_tokens": names.GEN_AI_USAGE_OUTPUT_TOKENS,
    "cache_read_input_tokens": names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "cache_write_input_tokens": names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "reasoning_output_tokens": names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "text_input_tokens": names.GEN_AI_USAGE_TEXT_INPUT_TOKENS,
    "image_input_tokens": names.GEN_AI_USAGE_IMAGE_INPUT_TOKENS,
    "audio_input_tokens": names.GEN_AI_USAGE_AUDIO_INPUT_TOKENS,
    "text_cache_read_input_tokens": names.GEN_AI_USAGE_TEXT_CACHE_READ_INPUT_TOKENS,
    "image_cache_read_input_tokens": names.GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS,
    "audio_cache_read_input_tokens": names.GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS,
    "text_output_tokens": names.GEN_AI_USAGE_TEXT_OUTPUT_TOKENS,
    "image_output_tokens": names.GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS,
    "audio_output_tokens": names.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS,
}
_RECORDED: Final[Mapping[str, str]] = {
    "input_tokens": names.REWIND_RECORDED_USAGE_INPUT_TOKENS,
    "output_tokens": names.REWIND_RECORDED_USAGE_OUTPUT_TOKENS,
    "cache_read_input_tokens": names.REWIND_RECORDED_USAGE_CACHE_READ_INPUT_TOKENS,
    "cache_write_input_tokens": names.REWIND_RECORDED_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "reasoning_output_tokens": names.REWIND_RECORDED_USAGE_REASONING_OUTPUT_TOKENS,
}


_DIVERGENCE: Final[Mapping[str, str]] = {
    "paths": names.REWIND_DIVERGENCE_PATHS,
    "source_step": names.REWIND_DIVERGENCE_SOURCE_STEP,
    "cause": names.REWIND_DIVERGENCE_CAUSE_STEP,
    "drift": names.REWIND_DRIFT_STEP,
}


def ours(start: SpanStart) -> Attributes:
    """What goes on a span of someone else too."""
    known: Attributes = {}
    _add_ours(known, start)
    return known


def of_start(start: SpanStart) -> Attributes:
    """All that is known before the call is sent."""
    known = {**start.request_attributes}
    known[names.GEN_AI_OPERATION_NAME] = start.operation
    known[names.GEN_AI_PROVIDER_NAME] = start.provider
    if start.model:
        known[names.GEN_AI_REQUEST_MODEL] = text(start.model)
    if start.server_address:
        known[names.SERVER_ADDRESS] = start.server_address
        known[names.SERVER_PORT] = start.server_port
    _add_ours(known, start)
    return known


def _add_ours(known: Attributes, start: SpanStart) -> None:
    known[names.REWIND_MODE] = start.mode
    known[names.REWIND_SESSION_ID] = text(start.session_id)
    if start.step:
        known[names.REWIND_STEP] = start.step
    if start.fingerprint:
        known[names.REWIND_FINGERPRINT] = start.fingerprint


def of_tool(start: SpanStart) -> Attributes:
    """All that is known of a call of one of the program's functions before it runs."""
    known: Attributes = {
        names.GEN_AI_OPERATION_NAME: start.operation,
        names.GEN_AI_TOOL_NAME: text(start.tool),
        names.GEN_AI_TOOL_TYPE: "function",
    }
    _add_ours(known, start)
    return known


def tool_content(outcome: SpanEnd) -> Iterator[tuple[str, Callable[[], str]]]:
    """Where to get what a tool was given and gave, as JSON, by attribute."""
    if outcome.tool_arguments is not None:
        yield names.GEN_AI_TOOL_CALL_ARGUMENTS, outcome.tool_arguments
    if outcome.tool_result is not None:
        yield names.GEN_AI_TOOL_CALL_RESULT, outcome.tool_result


def add_verdict(known: Attributes, start: SpanStart, outcome: SpanEnd) -> None:
    """What was decided, and what was not known at the start."""
    known[names.REWIND_CACHE_DECISION] = outcome.decision
    if outcome.match:
        known[names.REWIND_MATCH] = outcome.match
    if outcome.source_session:
        known[names.REWIND_SOURCE_SESSION_ID] = outcome.source_session
        known[names.REWIND_SOURCE_STEP] = outcome.source_step
    if outcome.step and outcome.step != start.step:
        known[names.REWIND_STEP] = outcome.step
    if outcome.fingerprint and outcome.fingerprint != start.fingerprint:
        known[names.REWIND_FINGERPRINT] = outcome.fingerprint
    if outcome.divergence:
        known |= {name: value for key, name in _DIVERGENCE.items() if (value := outcome.divergence.get(key))}


def add_usage(known: Attributes, outcome: SpanEnd) -> None:
    """The tokens. Nothing was spent on a hit, and backends price a span from ``gen_ai.usage.*``."""
    if outcome.usage:
        named = _RECORDED if outcome.decision == _HIT else _SPENT
        for key, count in outcome.usage.items():
            if key in named:
                known[named[key]] = count


def add_result(known: Attributes, outcome: SpanEnd) -> None:
    """What came back, without messages."""
    known.update(outcome.response_attributes)
    if outcome.time_to_first_chunk is not None:
        known[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = outcome.time_to_first_chunk
    if outcome.status is not None:
        known[names.HTTP_RESPONSE_STATUS_CODE] = outcome.status
    if failure := outcome.failure:
        known[names.ERROR_TYPE] = text(failure)


def whole(start: SpanStart, outcome: SpanEnd) -> Attributes:
    """All of them, without messages."""
    known = of_start(start)
    add_verdict(known, start, outcome)
    add_usage(known, outcome)
    add_result(known, outcome)
    return known


def complaint(outcome: SpanEnd) -> str | None:
    """What went wrong, in words, not too many."""
    return text((outcome.error_message or "")[:_MESSAGE_LIMIT]) or None


def messages(outcome: SpanEnd) -> tuple[tuple[str, ContentSource | None], ...]:
    """Where to get the messages of the call, by attribute."""
    return (
        (names.GEN_AI_SYSTEM_INSTRUCTIONS, outcome.system_instructions),
        (names.GEN_AI_INPUT_MESSAGES, outcome.input_messages),
        (names.GEN_AI_OUTPUT_MESSAGES, outcome.output_messages),
        (names.GEN_AI_TOOL_DEFINITIONS, outcome.tool_definitions),
    )
