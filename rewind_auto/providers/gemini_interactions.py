"""Gemini's interactions: steps of the user, of the model and of tools, which Google may keep and go on from.

Source: `CreateModelInteraction`, `Interaction` and `InteractionSSEEvent` of google-genai 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from typing import Any

from rewind_auto.providers import parts
from rewind_auto.providers.info import (
    Message,
    Part,
    RequestContent,
    RequestInfo,
    ResponseInfo,
    ToolDefinition,
)
from rewind_auto.providers.reading import (
    error_code,
    integer,
    merged_text,
    number,
    obj,
    objects,
    parse,
    pick,
    pieces,
    text,
    texts,
    total,
    usage,
)

_TELLING_EVENT = re.compile(rb'"(?:interaction\.\w+|error)"')
_FINISH_REASONS = {
    "completed": "stop",
    "idle": "stop",
    "requires_action": "tool_call",
    "incomplete": "length",
    "budget_exceeded": "length",
}
_UNDER_WAY = ("queued", "in_progress")
_CONTENT = ("text", "image", "audio", "video", "document")
_ROLES = {"user_input": "user", "function_result": "tool"}
_OUTPUT_TYPES = {"image": "image", "audio": "speech"}


class InteractionRequest(RequestContent):
    """A request for an interaction."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """The steps before, one message each; or what the user says, as one message."""
        given = self.document.get("input")
        steps = objects(given)
        if any(text(step.get("type")) not in _CONTENT for step in steps):
            return [parts.message(_role(step), _step_parts(step)) for step in steps]
        made = _content_parts(given)
        return [parts.message("user", made)] if made else []

    def system_instructions(self) -> list[Part]:
        """What stands in ``system_instruction``."""
        return parts.said(self.document.get("system_instruction"))

    def tool_definitions(self) -> list[ToolDefinition]:
        """The functions offered and the tools of Google's own that were switched on."""
        made: list[ToolDefinition] = []
        for tool in objects(self.document.get("tools")):
            if tool.get("type") == "function":
                made.append(parts.tool(tool.get("name"), tool.get("description"), tool.get("parameters")))
            else:
                made += parts.builtin_tool(tool.get("type"), tool.get("name"))
        return made


def request_info(path: str, body: bytes) -> RequestInfo:  # noqa: ARG001 - one signature for all shapes
    """Read the body of a request. An agent stands for its model."""
    document = obj(parse(body))
    config = obj(document.get("generation_config"))
    return RequestInfo(
        model=text(pick(document, "model", "agent")),
        stream=document.get("stream") is True,
        temperature=number(config.get("temperature")),
        top_p=number(config.get("top_p")),
        max_tokens=integer(config.get("max_output_tokens")),
        seed=integer(config.get("seed")),
        stop_sequences=texts(config.get("stop_sequences")),
        output_type=_output_type(document),
        reasoning_level=text(config.get("thinking_level")),
        previous_response_id=text(document.get("previous_interaction_id")),
        content=InteractionRequest(document),
    )


def response_info(body: bytes) -> ResponseInfo:
    """Read the body of an answer: one JSON document, or a stream as far as it came."""
    document = _fold(pieces(body, _TELLING_EVENT))
    reason = _finish_reason(document)
    errors = objects(document.get("errors"))
    return ResponseInfo(
        model=text(document.get("model")),
        id=text(document.get("id")),
        finish_reasons=(reason,) if reason else (),
        usage=_usage(obj(document.get("usage"))),
        error=error_code(document) or (error_code({"error": errors[0]}) if errors else None),
        messages=partial(_output_messages, body),
    )


def _output_messages(body: bytes) -> list[Message]:
    """One message: the steps of an interaction belong to one generation."""
    document = _fold(pieces(body))
    steps = [step for step in objects(document.get("steps")) if _role(step) == "assistant"]
    if not steps:
        return []
    made = parts.message("assistant", [part for step in steps for part in _step_parts(step)])
    return [{**made, "finish_reason": _finish_reason(document) or "error"}]


def _usage(counts: dict[str, Any]) -> dict[str, int]:
    thoughts = counts.get("total_thought_tokens")
    return usage(
        {
            "input_tokens": total(counts.get("total_input_tokens"), counts.get("total_tool_use_tokens")),
            "output_tokens": total(counts.get("total_output_tokens"), thoughts),
            "cache_read_input_tokens": counts.get("total_cached_tokens"),
            "reasoning_output_tokens": thoughts,
        }
    )


def _fold(answers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put the events of a stream together. An answer in one piece is left as it is."""
    whole: dict[str, Any] = {}
    steps: dict[int, _Step] = {}
    for event in answers:
        kind = text(event.get("event_type"))
        if kind is None:
            return event
        index = integer(event.get("index")) or 0
        if kind == "step.start":
            steps[index] = _Step(obj(event.get("step")))
        elif kind == "step.delta" and index in steps:
            steps[index].add(obj(event.get("delta")))
        elif kind == "interaction.status_update":
            whole["status"] = event.get("status")
        elif kind == "error":
            whole.update(error=event.get("error") or "error", status="failed")
        else:
            whole.update(obj(event.get("interaction")))
    if not (whole or steps):
        return {}
    if not whole.get("steps"):
        whole["steps"] = [steps[index].document() for index in sorted(steps)]
    if whole.get("status") in (None, *_UNDER_WAY):
        whole["status"] = "cut"
    return whole


class _Step:
    """A step while it grows."""

    __slots__ = ("arguments", "begun", "blocks")

    def __init__(self, begun: dict[str, Any]) -> None:
        self.begun = dict(begun)
        self.blocks: dict[str, list[dict[str, Any]]] = {
            name: objects(begun.get(name)) for name in ("content", "summary")
        }
        self.arguments: list[Any] = []

    def add(self, delta: dict[str, Any]) -> None:
        kind = text(delta.get("type")) or ""
        if kind in _CONTENT:
            self.blocks["content"].append(delta)
        elif kind == "thought_summary":
            self.blocks["summary"].append(obj(delta.get("content")))
        elif kind == "arguments_delta":
            self.arguments.append(delta.get("arguments"))
        elif kind.endswith(("_call", "_result")):
            self.begun.update(delta)

    def document(self) -> dict[str, Any]:
        grown = {name: _run_together(blocks) for name, blocks in self.blocks.items() if blocks}
        arguments = {"arguments": merged_text(self.arguments)} if self.arguments else {}
        return {**self.begun, **grown, **arguments}


def _run_together(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One block where the stream cut a text into several."""
    whole: list[dict[str, Any]] = []
    for is_text, run in groupby(blocks, key=lambda block: block.get("type") == "text"):
        if is_text:
            whole.append({"type": "text", "text": merged_text(block.get("text") for block in run)})
        else:
            whole.extend(run)
    return whole


def _finish_reason(document: dict[str, Any]) -> str | None:
    status = text(document.get("status"))
    if status in ("failed", "cancelled", "cut"):
        return "error"
    if status is None or status in _UNDER_WAY:
        return None  # in the background: nothing was generated yet
    return _FINISH_REASONS.get(status, status)


def _output_type(document: dict[str, Any]) -> str | None:
    formats = document.get("response_format")
    asked = objects(formats if isinstance(formats, list) else [formats])
    kinds = [*texts(document.get("response_modalities")), *(text(one.get("type")) for one in asked)]
    for kind in kinds:
        if kind in _OUTPUT_TYPES:
            return _OUTPUT_TYPES[kind]
    mime_types = [document.get("response_mime_type"), *(one.get("mime_type") for one in asked)]
    return "json" if "application/json" in mime_types or any("schema" in one for one in asked) else None


def _role(step: dict[str, Any]) -> str:
    return _ROLES.get(text(step.get("type")) or "", "assistant")


def _step_parts(step: dict[str, Any]) -> list[Part]:
    kind = text(step.get("type")) or ""
    if kind == "thought":
        return parts.thought(merged_text(block.get("text") for block in objects(step.get("summary"))))
    if kind == "function_call":
        return [parts.called(step.get("id"), step.get("name"), step.get("arguments"))]
    if kind == "function_result":
        made = parts.answered(step.get("call_id"), step.get("result"))
        return [{**made, "is_error": True} if step.get("is_error") is True else made]
    if kind.endswith("_call"):
        name = text(step.get("name")) or kind.removesuffix("_call")
        return [parts.ran(step.get("id"), name, {"arguments": step.get("arguments")})]
    if kind.endswith("_result"):
        name = text(step.get("name")) or kind.removesuffix("_result")
        return [parts.returned(step.get("call_id"), name, {"result": step.get("result")})]
    return _content_parts(step.get("content"))


def _content_parts(content: Any) -> list[Part]:
    made: list[Part] = []
    for block in parts.content_list(content):
        kind = text(block.get("type"))
        if kind == "text":
            made += parts.said(block.get("text"))
        elif kind in _CONTENT and "data" in block:
            made += parts.blob(block.get("mime_type"), block.get("data"), kind)
        elif kind in _CONTENT:
            made += parts.linked(block.get("uri"), block.get("mime_type"), kind)
        else:
            made += parts.other(block)
    return made
