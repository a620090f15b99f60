"""OpenAI Responses. The event that ends a stream repeats the whole response, so that is the one to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from rewind_auto.core import sse
from rewind_auto.providers import parts
from rewind_auto.providers.info import (
    Message,
    Part,
    RequestContent,
    RequestInfo,
    ResponseInfo,
    ToolDefinition,
)
from rewind_auto.providers.openai_chat import read_usage
from rewind_auto.providers.reading import (
    documents,
    error_code,
    integer,
    is_json,
    merged_text,
    number,
    obj,
    objects,
    parse,
    pick,
    text,
)

_TELLING_EVENT = re.compile(
    rb'"type"\s*:\s*"(?:response\.(?:created|completed|failed|incomplete)|error)"|"error"\s*:\s*\{'
)
_INCOMPLETE = {"max_output_tokens": "length"}
_UNFINISHED = ("queued", "in_progress")
_ASKED_OF_THE_PROGRAM = frozenset(
    (
        "function_call",
        "custom_tool_call",
        "computer_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
    )
)


class ResponsesRequest(RequestContent):
    """A request for a response."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """One message for each input item."""
        given = self.document.get("input")
        if isinstance(given, str):
            return [parts.message("user", parts.said(given))]
        return [parts.message(_role(item), _item_parts(item)) for item in objects(given)]

    def system_instructions(self) -> list[Part]:
        """What stands in ``instructions``; system messages among the input stay there."""
        return parts.said(self.document.get("instructions"))

    def tool_definitions(self) -> list[ToolDefinition]:
        """The tools offered."""
        made: list[ToolDefinition] = []
        for tool in objects(self.document.get("tools")):
            if tool.get("type") == "function":
                made.append(parts.tool(tool.get("name"), tool.get("description"), tool.get("parameters")))
            else:
                made += parts.builtin_tool(tool.get("type"), pick(tool, "name", "server_label"))
        return made


def request_info(path: str, body: bytes) -> RequestInfo:  # noqa: ARG001 - one signature for all shapes
    """Read the body of a request."""
    document = obj(parse(body))
    conversation, prompt = document.get("conversation"), obj(document.get("prompt"))
    format_ = text(obj(obj(document.get("text")).get("format")).get("type"))
    return RequestInfo(
        model=text(document.get("model")),
        stream=document.get("stream") is True,
        temperature=number(document.get("temperature")),
        top_p=number(document.get("top_p")),
        max_tokens=integer(document.get("max_output_tokens")),
        output_type="json" if format_ in ("json_object", "json_schema") else format_,
        reasoning_level=text(obj(document.get("reasoning")).get("effort")),
        service_tier=text(document.get("service_tier")),
        conversation_id=text(conversation) or text(obj(conversation).get("id")),
        previous_response_id=text(document.get("previous_response_id")),
        prompt_name=text(prompt.get("id")),
        prompt_version=text(prompt.get("version")),
        compacted=any(item.get("type") == "compaction" for item in objects(document.get("input"))),
        content=ResponsesRequest(document),
    )


def response_info(body: bytes) -> ResponseInfo:
    """Read the body of an answer: one JSON document, or a stream as far as it came."""
    document = _document(body, _TELLING_EVENT)
    if not document.get("output") and not is_json(body):
        # Cut before its end, or from a gateway that leaves the output out of the last event.
        document = _document(body)
    finish_reason = _finish_reason(document)
    return ResponseInfo(
        model=text(document.get("model")),
        id=text(document.get("id")),
        finish_reasons=(finish_reason,) if finish_reason else (),
        usage=read_usage(obj(document.get("usage"))),
        error=error_code(document),
        service_tier=text(document.get("service_tier")),
        conversation_id=text(obj(document.get("conversation")).get("id")),
        messages=partial(_output_messages, body),
    )


def _output_messages(body: bytes) -> list[Message]:
    """One message: the items of a response belong to one generation."""
    document = _document(body)
    items = objects(document.get("output"))
    if not items:
        return []
    made = parts.message("assistant", [part for item in items for part in _item_parts(item)])
    return [{**made, "finish_reason": _finish_reason(document) or "error"}]


def _document(body: bytes, telling: re.Pattern[bytes] | None = None) -> dict[str, Any]:
    """The response, from all events of a stream or only from those that carry a whole one."""
    if is_json(body):
        return next(iter(documents(body)), {})
    return _fold(_events(body, telling))


def _events(body: bytes, telling: re.Pattern[bytes] | None) -> Iterator[dict[str, Any]]:
    for _, data in sse.events(body):
        if telling is None or telling.search(data):
            event = parse(data)
            if isinstance(event, dict):
                yield event


def _fold(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put the events together: the response as last told, and the items as far as they came."""
    whole: dict[str, Any] = {}
    items: dict[int, dict[str, Any]] = {}
    deltas: dict[int, list[Any]] = {}
    for event in events:
        kind = event.get("type")
        index = integer(event.get("output_index")) or 0
        if kind == "error" or isinstance(event.get("error"), dict):
            whole["error"] = event.get("error") or event
            whole["status"] = "failed"
        elif isinstance(event.get("response"), dict):
            whole.update(event["response"])
        elif kind in ("response.output_item.added", "response.output_item.done"):
            items[index] = obj(event.get("item"))
            deltas.pop(index, None)
        elif isinstance(kind, str) and kind.endswith(".delta"):
            deltas.setdefault(index, []).append(event.get("delta"))
    if not whole.get("output"):
        whole["output"] = [_grown(items[index], deltas.get(index, [])) for index in sorted(items)]
    if whole.get("status") in _UNFINISHED:
        whole["status"] = "cut"
    return whole


def _grown(item: dict[str, Any], deltas: list[Any]) -> dict[str, Any]:
    """An item that a cut stream left unfinished, with what had come of it."""
    if not deltas:
        return item
    came = merged_text(deltas)
    kind = item.get("type")
    if kind == "message":
        return {**item, "content": [{"type": "output_text", "text": came}]}
    if kind == "reasoning":
        return {**item, "summary": [{"type": "summary_text", "text": came}]}
    return {**item, ("input" if kind == "custom_tool_call" else "arguments"): came}


def _finish_reason(document: dict[str, Any]) -> str | None:
    status = document.get("status")
    if status in ("failed", "cancelled", "cut"):
        return "error"
    if status == "incomplete":
        reason = text(obj(document.get("incomplete_details")).get("reason")) or "incomplete"
        return _INCOMPLETE.get(reason, reason)
    if status != "completed":
        return None  # a background response: nothing was generated yet
    asked = any(text(item.get("type")) in _ASKED_OF_THE_PROGRAM for item in objects(document.get("output")))
    return "tool_call" if asked else "stop"


def _role(item: dict[str, Any]) -> str:
    role = text(item.get("role"))
    if role:
        return role
    return "tool" if str(item.get("type")).endswith("_output") else "assistant"


def _item_parts(item: dict[str, Any]) -> list[Part]:
    kind = text(item.get("type")) or "message"
    if kind == "message":
        return [part for block in parts.content_list(item.get("content")) for part in _block_parts(block)]
    if kind == "reasoning":
        told = objects(item.get("summary")) + objects(item.get("content"))
        return [part for one in told for part in parts.thought(one.get("text"))]
    if kind in _ASKED_OF_THE_PROGRAM:
        name = item.get("name") or kind.removesuffix("_call")
        given = pick(item, "arguments", "input", "action", "operation")
        return [parts.called(pick(item, "call_id", "id"), name, given)]
    if kind.endswith("_output"):
        return [parts.answered(item.get("call_id"), pick(item, "output", "result"))]
    if kind == "compaction":
        return [{"type": "compaction", "id": text(item.get("id"))}]
    if kind.endswith("_call"):
        details = {name: value for name, value in item.items() if name not in ("id", "type", "status")}
        return [parts.ran(item.get("id"), text(item.get("name")) or kind.removesuffix("_call"), details)]
    return parts.other(item)


def _block_parts(block: dict[str, Any]) -> list[Part]:
    kind = block.get("type")
    if kind in ("text", "input_text", "output_text"):
        return parts.said(block.get("text"))
    if kind == "refusal":
        return parts.said(block.get("refusal"))
    if kind == "input_image":
        return parts.linked(block.get("image_url"), modality="image") or parts.stored(
            block.get("file_id"), "image"
        )
    if kind == "input_file":
        return parts.linked(pick(block, "file_url", "file_data")) or parts.stored(
            block.get("file_id"), "document"
        )
    return parts.other(block)
