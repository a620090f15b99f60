"""Amazon Bedrock's Converse and ConverseStream, and the messages of Amazon's Nova, which look the same.

Read as the service model of botocore describes them (``botocore/data/bedrock-runtime``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

from rewind_auto.core.event_stream import frames
from rewind_auto.providers import parts
from rewind_auto.providers.bedrock_stream import fold
from rewind_auto.providers.info import (
    Message,
    Part,
    RequestContent,
    RequestInfo,
    ResponseInfo,
    ToolDefinition,
)
from rewind_auto.providers.reading import (
    arguments,
    documents,
    error_code,
    integer,
    is_json,
    number,
    obj,
    objects,
    parse,
    pick,
    text,
    texts,
    total,
    usage,
)

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
# A model is named by its id or by an ARN, whose slashes are not always escaped.
_PATH = re.compile(r"/model/(.+)/(?:converse|invoke|count)(?:-\w+)*$")
_COUNTS = {
    b"x-amzn-bedrock-input-token-count": "inputTokenCount",
    b"x-amzn-bedrock-output-token-count": "outputTokenCount",
    b"x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    b"x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}
_DOCUMENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "html": "text/html",
    "md": "text/markdown",
    "txt": "text/plain",
}
_MEDIA = ("image", "video", "audio", "document")


class ConverseRequest(RequestContent):
    """A request for a message."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """The chat history."""
        return [
            parts.message(message.get("role"), _content_parts(message.get("content")))
            for message in objects(self.document.get("messages"))
        ]

    def system_instructions(self) -> list[Part]:
        """What stands in ``system``."""
        return _content_parts(self.document.get("system"))

    def tool_definitions(self) -> list[ToolDefinition]:
        """The tools offered, and those of the model's own that were switched on."""
        made: list[ToolDefinition] = []
        for tool in objects(obj(self.document.get("toolConfig")).get("tools")):
            told = obj(tool.get("toolSpec"))
            if told:
                schema = obj(told.get("inputSchema")).get("json")
                made.append(parts.tool(told.get("name"), told.get("description"), schema))
            elif "systemTool" in tool:
                made += parts.builtin_tool("systemTool", obj(tool["systemTool"]).get("name"))
        return made


def model_of(path: str) -> str | None:
    """The model that a path of Bedrock's names: an id, an inference profile or an ARN."""
    named = _PATH.search(path.partition("?")[0])
    return unquote(named[1]) if named else None


def asks_for_stream(path: str) -> bool:
    """Whether a path of Bedrock's asks for an answer in frames."""
    return path.partition("?")[0].endswith("-stream")


def request_info(path: str, body: bytes) -> RequestInfo:
    """Read the body of a request. The path says the model, and whether the answer is streamed."""
    document = obj(parse(body))
    config = obj(document.get("inferenceConfig"))
    further = obj(document.get("additionalModelRequestFields"))  # in the spelling of the model's maker
    nova = obj(further.get("inferenceConfig"))
    output = obj(document.get("outputConfig"))
    return RequestInfo(
        model=model_of(path),
        stream=asks_for_stream(path),
        temperature=number(config.get("temperature")),
        top_p=number(pick(config, "topP", "top_p")),
        top_k=integer(pick({**nova, **further, **config}, "top_k", "topK", "k")),
        max_tokens=integer(pick(config, "maxTokens", "max_new_tokens")),
        stop_sequences=texts(config.get("stopSequences")),
        output_type="json" if output.get("textFormat") else None,
        guardrail_id=text(obj(document.get("guardrailConfig")).get("guardrailIdentifier")),
        reasoning_level=text(pick(output, "effort") or further.get("reasoning_effort")),
        content=ConverseRequest(document),
    )


def response_info(body: bytes) -> ResponseInfo:
    """Read the body of an answer: one JSON document, or frames as far as they came."""
    return read(_document(body, content=False), partial(_output_messages, body))


def read(document: dict[str, Any], messages: Callable[[], list[Message]]) -> ResponseInfo:
    """Say what an answer's document gives; ``messages`` makes its messages when they are asked for."""
    routed = obj(obj(document.get("trace")).get("promptRouter"))
    return ResponseInfo(
        model=text(routed.get("invokedModelId")),
        finish_reasons=(_finish_reason(document),) if "output" in document else (),
        usage=read_usage(obj(document.get("usage"))),
        error=error_of(document),
        messages=messages,
    )


def read_usage(counts: dict[str, Any]) -> dict[str, int]:
    """Translate Bedrock's token counts, in the spelling of Converse, of Nova or of metrics."""
    read = pick(counts, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = pick(counts, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    return usage(
        {
            # What went through the cache is counted apart (Bedrock User Guide, "Prompt caching").
            "input_tokens": total(pick(counts, "inputTokens", "inputTokenCount"), read, written),
            "output_tokens": pick(counts, "outputTokens", "outputTokenCount"),
            "cache_read_input_tokens": read,
            "cache_write_input_tokens": written,
        }
    )


def counted(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, int]:
    """The token counts in the headers of an answer of InvokeModel's, which has them for every model."""
    told = {_COUNTS.get(name.lower(), ""): value for name, value in headers}
    return read_usage({name: parse(value) for name, value in told.items()})


def error_of(document: dict[str, Any]) -> str | None:
    """The code of an error. Over HTTP a header has it, and the body as a rule nothing but a message."""
    code = error_code(document) or text(document.get("__type"))
    if code is None and isinstance(pick(document, "message", "Message"), str):
        return "error"
    return code.rpartition("#")[2] if code else None


def _document(body: bytes, *, content: bool = True) -> dict[str, Any]:
    """The answer, from all frames of a stream or from those that are not about its content."""
    if is_json(body):
        return next(iter(documents(body)), {})
    return fold(_events(body, content=content))


def _events(body: bytes, *, content: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    for frame in frames(body):
        if frame.error:
            yield "error", {"code": frame.error}
        elif content or not frame.event.startswith("contentBlock"):
            yield frame.event, obj(parse(frame.payload))


def _finish_reason(document: dict[str, Any]) -> str:
    reason = text(document.get("stopReason"))
    return "error" if reason is None else _FINISH_REASONS.get(reason, reason)


def _output_messages(body: bytes) -> list[Message]:
    return output_messages(_document(body))


def output_messages(document: dict[str, Any]) -> list[Message]:
    """The message of an answer's document, or none."""
    message = obj(obj(document.get("output")).get("message"))
    if not message:
        return []
    made = parts.message("assistant", _content_parts(message.get("content")))
    return [{**made, "finish_reason": _finish_reason(document)}]


def _content_parts(content: Any) -> list[Part]:
    return [part for block in parts.content_list(content) for part in _block_parts(block)]


def _block_parts(block: dict[str, Any]) -> list[Part]:
    """The parts of a block, which is an object with one field: its kind."""
    if "text" in block:
        return parts.said(block["text"])
    kind = next(iter(block), "")
    told = obj(block.get(kind))
    if kind == "reasoningContent":
        hidden = parts.other({**told, "type": kind}) if "redactedContent" in told else []
        return hidden or parts.thought(obj(told.get("reasoningText")).get("text"))
    if kind == "toolUse":
        return [_call(told)]
    if kind == "toolResult":
        return [_result(told)]
    if kind == "guardContent":
        return parts.said(obj(told.get("text")).get("text")) or _content_parts([told])
    if kind == "citationsContent":
        return _content_parts(told.get("content"))
    if kind in _MEDIA:
        return _media_parts(kind, told)
    if kind == "cachePoint":
        return []
    return parts.other({**told, "type": kind})


def _call(told: dict[str, Any]) -> Part:
    if told.get("type") == "server_tool_use":
        name = text(told.get("name")) or "tool"
        return parts.ran(told.get("toolUseId"), name, {"input": arguments(told.get("input"))})
    return parts.called(told.get("toolUseId"), told.get("name"), told.get("input"))


def _result(told: dict[str, Any]) -> Part:
    kind = text(told.get("type"))  # such as "nova_code_interpreter_result"
    if kind:
        return parts.returned(told.get("toolUseId"), kind, {"content": told.get("content")})
    made = parts.answered(told.get("toolUseId"), told.get("content"))
    return {**made, "is_error": True} if told.get("status") == "error" else made


def _media_parts(kind: str, told: dict[str, Any]) -> list[Part]:
    form, source = text(told.get("format")), obj(told.get("source"))
    mime_type = _DOCUMENT_TYPES.get(form or "") if kind == "document" else f"{kind}/{form}" if form else None
    if "bytes" in source:
        return parts.blob(mime_type, source["bytes"], kind)
    if "s3Location" in source:
        return parts.linked(obj(source["s3Location"]).get("uri"), mime_type, kind)
    return parts.said(source.get("text")) or _content_parts(source.get("content"))
