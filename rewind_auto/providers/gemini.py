"""Gemini's generateContent, streamGenerateContent and embeddings, as Google AI and Vertex AI serve them.

A stream comes as events, or as one JSON array that grows; each element is a whole answer with a piece of the
content. Requests mix camelCase and snake_case: google-genai 3 itself sends both.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import groupby
from typing import Any
from urllib.parse import unquote

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
from rewind_auto.providers.reading import (
    MODALITIES,
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
    texts,
    total,
    usage,
)

_MODEL_IN_PATH = re.compile(r"/([^/]+):\w+$")
_CONTENT_FILTER = (
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "JAILBREAK",
    "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
)  # fmt: skip
_FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "FINISH_REASON_UNSPECIFIED": "error",
    "OTHER": "error",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    **dict.fromkeys(_CONTENT_FILTER, "content_filter"),
}
_OUTPUT_TYPES = {"IMAGE": "image", "AUDIO": "speech"}


class GenerateRequest(RequestContent):
    """A request for content."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """The contents. Gemini's "model" is the assistant."""
        contents = self.document.get("contents")
        return [
            parts.message(_role(content), _content_parts(content))
            for content in objects([contents] if isinstance(contents, dict) else contents)
        ]

    def system_instructions(self) -> list[Part]:
        """What stands in ``systemInstruction``."""
        return _content_parts(obj(pick(self.document, "systemInstruction", "system_instruction")))

    def tool_definitions(self) -> list[ToolDefinition]:
        """The functions declared and the tools of Google's own that were switched on."""
        made: list[ToolDefinition] = []
        for tool in objects(self.document.get("tools")):
            for name, value in tool.items():
                if name in ("functionDeclarations", "function_declarations"):
                    made += [_function(declared) for declared in objects(value)]
                else:
                    made += parts.builtin_tool(name)
        return made


def request_info(path: str, body: bytes) -> RequestInfo:
    """Read a request for content. The path says the model, and whether the answer is streamed."""
    document = obj(parse(body))
    config = obj(pick(document, "generationConfig", "generation_config"))
    thinking = obj(pick(config, "thinkingConfig", "thinking_config"))
    level = text(pick(thinking, "thinkingLevel", "thinking_level"))
    path = path.partition("?")[0]
    return RequestInfo(
        model=model_in(path),
        stream=path.endswith(":streamGenerateContent"),
        temperature=number(config.get("temperature")),
        top_p=number(pick(config, "topP", "top_p")),
        top_k=integer(pick(config, "topK", "top_k")),
        max_tokens=integer(pick(config, "maxOutputTokens", "max_output_tokens")),
        frequency_penalty=number(pick(config, "frequencyPenalty", "frequency_penalty")),
        presence_penalty=number(pick(config, "presencePenalty", "presence_penalty")),
        choice_count=integer(pick(config, "candidateCount", "candidate_count")),
        seed=integer(config.get("seed")),
        stop_sequences=texts(pick(config, "stopSequences", "stop_sequences")),
        output_type=_output_type(config),
        reasoning_level=level,
        content=GenerateRequest(document),
    )


def embeddings_request(path: str, body: bytes) -> RequestInfo:
    """Read a request for the embedding of one content or of several."""
    document = obj(parse(body))
    first = next(iter(objects(document.get("requests"))), document)
    config = {**first, **obj(first.get("embedContentConfig"))}  # the latter is Vertex AI's
    size = pick(config, "outputDimensionality", "output_dimensionality")
    return RequestInfo(model=model_in(path.partition("?")[0]), dimension_count=integer(size))


def response_info(body: bytes) -> ResponseInfo:
    """Read the body of an answer: one JSON document, an array of them, or a stream as far as it came."""
    document = _fold(_answers(body))
    candidates = objects(document.get("candidates"))
    reasons = tuple(_finish_reason(candidate) for candidate in candidates)
    blocked = text(obj(document.get("promptFeedback")).get("blockReason"))
    if blocked and not reasons:
        reasons = (_FINISH_REASONS.get(blocked, blocked.lower()),)
    return ResponseInfo(
        model=text(document.get("modelVersion")),
        id=text(document.get("responseId")),
        finish_reasons=reasons,
        usage=_usage(obj(document.get("usageMetadata"))),
        error=error_code(document),
        messages=partial(_output_messages, candidates),
    )


def _output_messages(candidates: list[dict[str, Any]]) -> list[Message]:
    made: list[Message] = []
    for candidate in candidates:
        message = parts.message("assistant", _content_parts(obj(candidate.get("content"))))
        made.append({**message, "finish_reason": _finish_reason(candidate)})
    return made


def _answers(body: bytes) -> list[dict[str, Any]]:
    """The answers in a body, one for each step of a stream."""
    if is_json(body):
        return documents(body)
    return [answer for answer in (parse(data) for _, data in sse.events(body)) if isinstance(answer, dict)]


def _usage(counts: dict[str, Any]) -> dict[str, int]:
    thoughts = counts.get("thoughtsTokenCount")
    return usage(
        {
            "input_tokens": total(counts.get("promptTokenCount"), counts.get("toolUsePromptTokenCount")),
            "output_tokens": total(counts.get("candidatesTokenCount"), thoughts),
            "cache_read_input_tokens": counts.get("cachedContentTokenCount"),
            "reasoning_output_tokens": thoughts,
            **_by_modality("input", counts.get("promptTokensDetails")),
            **_by_modality("cache_read_input", counts.get("cacheTokensDetails")),
            **_by_modality("output", counts.get("candidatesTokensDetails")),
        }
    )


def _by_modality(side: str, details: Any) -> dict[str, Any]:
    counted = ((str(one.get("modality")).lower(), one.get("tokenCount")) for one in objects(details))
    return {f"{kind}_{side}_tokens": count or None for kind, count in counted if kind in MODALITIES}


def _fold(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the answers of a stream together into one."""
    whole: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    for step in steps:
        whole.update((name, value) for name, value in step.items() if value)
        counts.update(obj(step.get("usageMetadata")))  # a running total
        for position, candidate in enumerate(objects(step.get("candidates"))):
            index = integer(candidate.get("index"))
            grown = candidates.setdefault(position if index is None else index, {"content": {"parts": []}})
            grown["content"]["parts"] += objects(obj(candidate.get("content")).get("parts"))
            grown["finishReason"] = candidate.get("finishReason") or grown.get("finishReason")
    if len(steps) > 1:
        for grown in candidates.values():
            grown["content"]["parts"] = _run_together(grown["content"]["parts"])
    whole["candidates"] = [candidates[index] for index in sorted(candidates)]
    whole["usageMetadata"] = counts
    return whole


def _run_together(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One part where the stream cut a text, or a thought, into several."""
    whole: list[dict[str, Any]] = []
    for (is_text, thought), run in groupby(pieces, key=lambda raw: ("text" in raw, bool(raw.get("thought")))):
        if is_text:
            whole.append({"text": merged_text(raw["text"] for raw in run), "thought": thought})
        else:
            whole += run
    return whole


def model_in(path: str) -> str | None:
    """The model that a path without its query names, as in ``/models/gemini-x:verb``."""
    named = _MODEL_IN_PATH.search(path)
    return unquote(named[1]) if named else None


def _output_type(config: dict[str, Any]) -> str | None:
    for modality in texts(pick(config, "responseModalities", "response_modalities")):
        if modality.upper() in _OUTPUT_TYPES:
            return _OUTPUT_TYPES[modality.upper()]
    mime_type = text(pick(config, "responseMimeType", "response_mime_type"))
    return {"application/json": "json", "text/plain": "text"}.get(mime_type or "")


def _finish_reason(candidate: dict[str, Any]) -> str:
    reason = text(candidate.get("finishReason"))
    return "error" if reason is None else _FINISH_REASONS.get(reason, reason.lower())


def _role(content: dict[str, Any]) -> str:
    role = text(content.get("role")) or "user"
    return "assistant" if role == "model" else role


def _function(declared: dict[str, Any]) -> ToolDefinition:
    schema = pick(declared, "parametersJsonSchema", "parameters_json_schema", "parameters")
    return parts.tool(declared.get("name"), declared.get("description"), schema)


def _content_parts(content: dict[str, Any]) -> list[Part]:
    given = content.get("parts")
    return [part for raw in objects([given] if isinstance(given, dict) else given) for part in _parts(raw)]


def _parts(raw: dict[str, Any]) -> list[Part]:
    if "text" in raw:
        return parts.thought(raw["text"]) if raw.get("thought") else parts.said(raw["text"])
    call = pick(raw, "functionCall", "function_call")
    if isinstance(call, dict):
        return [parts.called(call.get("id"), call.get("name"), pick(call, "args", "partialArgs"))]
    response = pick(raw, "functionResponse", "function_response")
    if isinstance(response, dict):
        return [parts.answered(response.get("id"), response.get("response"))]
    data = pick(raw, "inlineData", "inline_data")
    if isinstance(data, dict):
        return parts.blob(pick(data, "mimeType", "mime_type"), data.get("data"))
    file = pick(raw, "fileData", "file_data")
    if isinstance(file, dict):
        return parts.linked(pick(file, "fileUri", "file_uri"), pick(file, "mimeType", "mime_type"))
    return _server_tool_parts(raw)


def _server_tool_parts(raw: dict[str, Any]) -> list[Part]:
    code = pick(raw, "executableCode", "executable_code")
    if isinstance(code, dict):
        return [parts.ran(code.get("id"), "code_execution", code)]
    result = pick(raw, "codeExecutionResult", "code_execution_result")
    if isinstance(result, dict):
        return [parts.returned(result.get("id"), "code_execution", result)]
    call = pick(raw, "toolCall", "tool_call")
    if isinstance(call, dict):
        return [parts.ran(call.get("id"), _tool_type(call), obj(call.get("args")))]
    response = pick(raw, "toolResponse", "tool_response")
    if isinstance(response, dict):
        return [parts.returned(response.get("id"), _tool_type(response), obj(response.get("response")))]
    return []


def _tool_type(call: dict[str, Any]) -> str:
    return (text(pick(call, "toolType", "tool_type")) or "tool").lower()
