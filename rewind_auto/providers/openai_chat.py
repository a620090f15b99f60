"""OpenAI Chat Completions and the older Completions, as OpenAI and the many that speak like it send them.

A stream is folded into the document that the same call would have returned in one piece; everything here
reads documents. What every call is asked for (model, usage, finish reasons) stands in a few chunks of a
stream, so only those are parsed until somebody wants the messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

from rewind_auto.core import sse
from rewind_auto.providers import parts
from rewind_auto.providers.chat_stream import fold
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

_FINISH_REASONS = {
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "model_length": "length",  # Mistral
    "eos": "stop",  # Together
    "insufficient_system_resource": "error",  # DeepSeek
}

# With include_usage OpenAI puts "usage":null into every chunk, and a finish_reason of null as well.
_TELLING_CHUNK = re.compile(rb'"(?:usage|finish_reason|error|x_groq)"\s*:\s*[^\sn]')
_STREAMS = ("/chat_stream", ":streamRawPredict")  # of watsonx.ai, and of Mistral on Vertex AI
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")


class ChatRequest(RequestContent):
    """A request for a chat, or for the completion of a prompt."""

    __slots__ = ()

    def input_messages(self) -> list[Message]:
        """The chat history, system messages included; or the prompt, as one message of the user."""
        if "messages" not in self.document and "prompt" in self.document:
            prompt = self.document["prompt"]
            return [parts.message("user", [part for one in texts(prompt) for part in parts.said(one)])]
        return [
            parts.message(message.get("role"), _input_parts(message), message.get("name"))
            for message in objects(self.document.get("messages"))
        ]

    def tool_definitions(self) -> list[ToolDefinition]:
        """The tools offered, and what was offered as functions before there were tools."""
        tools = objects(self.document.get("tools"))
        functions = objects(self.document.get("functions"))
        return [made for tool in tools for made in tool_definition(tool)] + [
            _function(one) for one in functions
        ]


def request_info(path: str, body: bytes) -> RequestInfo:
    """Read the body of a request. The path names the model where a deployment of Azure's stands for it."""
    document = obj(parse(body))
    return RequestInfo(
        # An agent of Mistral's has its model from elsewhere. The last is watsonx.ai's.
        model=text(pick(document, "model", "agent_id", "model_id")) or deployment_of(path),
        stream=document.get("stream") is True or path.partition("?")[0].endswith(_STREAMS),
        temperature=number(document.get("temperature")),
        top_p=number(document.get("top_p")),
        top_k=integer(document.get("top_k")),
        max_tokens=integer(pick(document, "max_completion_tokens", "max_tokens")),
        frequency_penalty=number(document.get("frequency_penalty")),
        presence_penalty=number(document.get("presence_penalty")),
        choice_count=integer(document.get("n")),
        seed=integer(pick(document, "seed", "random_seed")),  # the second is Mistral's
        stop_sequences=texts(document.get("stop")),
        output_type=_output_type(document),
        reasoning_level=text(pick(document, "reasoning_effort")) or _reasoning_effort(document),
        service_tier=text(document.get("service_tier")),
        content=ChatRequest(document),
    )


def deployment_of(path: str) -> str | None:
    """The deployment of Azure's that a path names."""
    named = _DEPLOYMENT.search(path)
    return unquote(named[1]) if named else None


def response_info(body: bytes) -> ResponseInfo:
    """Read the body of an answer: one JSON document, or a stream as far as it came."""
    document = _document(body, _TELLING_CHUNK)
    choices = objects(document.get("choices"))
    if not (choices and all(choice.get("finish_reason") for choice in choices)):
        # Cut before its end: chunks that tell nothing may be all there is of a choice.
        document = _document(body)
        choices = objects(document.get("choices"))
    return ResponseInfo(
        model=text(pick(document, "model", "model_id")),
        id=text(document.get("id")),
        finish_reasons=tuple(_finish_reason(choice) for choice in choices),
        usage=read_usage(obj(document.get("usage"))),
        error=error_code(document),
        service_tier=text(document.get("service_tier")),
        system_fingerprint=text(document.get("system_fingerprint")),
        messages=partial(_output_messages, body),
    )


def read_usage(counts: dict[str, Any]) -> dict[str, int]:
    """Translate token counts in OpenAI's spelling, Chat's or Responses'."""
    read = pick(counts, "prompt_tokens", "input_tokens")
    written = pick(counts, "completion_tokens", "output_tokens")
    read_details = obj(pick(counts, "prompt_tokens_details", "input_tokens_details"))
    written_details = obj(pick(counts, "completion_tokens_details", "output_tokens_details"))
    reasoning = pick({**counts, **written_details}, "reasoning_tokens")
    cached = pick(read_details, "cached_tokens") or pick(counts, "prompt_cache_hit_tokens", "cached_tokens")
    thought, said = integer(reasoning) or 0, integer(written) or 0
    if thought > said or (thought and counts.get("total_tokens") == total(read, said, thought)):
        written = said + thought  # Perplexity and xAI count reasoning beside the completion
    return usage(
        {
            "input_tokens": read,
            "output_tokens": written,
            "cache_read_input_tokens": cached,
            "cache_write_input_tokens": read_details.get("cache_write_tokens"),
            "reasoning_output_tokens": reasoning,
            **_by_modality("input", read_details),
            **_by_modality("output", written_details),
        }
    )


def _by_modality(side: str, details: dict[str, Any]) -> dict[str, Any]:
    """What of the tokens of one side was text, image or audio. Most answers say 0 of what they had not."""
    return {f"{kind}_{side}_tokens": details.get(f"{kind}_tokens") or None for kind in MODALITIES}


def _document(body: bytes, telling: re.Pattern[bytes] | None = None) -> dict[str, Any]:
    """The answer as one document, from all chunks of a stream or only from the first and the telling ones."""
    if is_json(body):
        return next(iter(documents(body)), {})
    return fold(_chunks(body, telling))


def _chunks(body: bytes, telling: re.Pattern[bytes] | None) -> Iterator[dict[str, Any]]:
    first = True
    for _, data in sse.events(body):
        if first or telling is None or telling.search(data):
            chunk = parse(data)
            if isinstance(chunk, dict):
                first = False
                yield chunk


def _finish_reason(choice: dict[str, Any]) -> str:
    reason = text(pick(choice, "finish_reason", "stop_reason"))  # the second is Mistral's on Bedrock
    return "error" if reason is None else _FINISH_REASONS.get(reason, reason)


def _output_messages(body: bytes) -> list[Message]:
    return [_output_message(choice) for choice in objects(_document(body).get("choices"))]


def _output_message(choice: dict[str, Any]) -> Message:
    answer = obj(choice.get("message"))
    made = parts.message(
        answer.get("role") or "assistant", parts.said(choice.get("text")) + _answer_parts(answer)
    )
    made["finish_reason"] = _finish_reason(choice)
    return made


def _answer_parts(answer: dict[str, Any]) -> list[Part]:
    """The parts of a message of the assistant's: what it thought, said and asked for."""
    made = parts.thought(pick(answer, "reasoning_content", "reasoning"))
    made += content_parts(answer.get("content"))
    made += content_parts(answer.get("images"))  # OpenRouter
    made += parts.said(answer.get("refusal"))
    audio = obj(answer.get("audio"))
    for sound in parts.blob(None, audio.get("data"), "audio"):
        transcript = text(audio.get("transcript"))
        made.append({**sound, "transcript": transcript} if transcript else sound)
    for call in objects(answer.get("tool_calls")):
        told = obj(call.get("function") or call.get("custom"))
        made.append(parts.called(call.get("id"), told.get("name"), pick(told, "arguments", "input")))
    function = obj(answer.get("function_call"))
    if function:
        made.append(parts.called(None, function.get("name"), function.get("arguments")))
    return made


def _input_parts(message: dict[str, Any]) -> list[Part]:
    if message.get("role") in ("tool", "function"):
        return [parts.answered(message.get("tool_call_id"), message.get("content"))]
    return _answer_parts(message)


def content_parts(content: Any) -> list[Part]:
    """The parts of a content: a string, or blocks of OpenAI's and Mistral's."""
    made: list[Part] = []
    for block in parts.content_list(content):
        kind = block.get("type")
        if kind == "text":
            made += parts.said(block.get("text"))
        elif kind == "refusal":
            made += parts.said(block.get("refusal"))
        elif kind == "thinking":
            made += parts.thought(merged_text(one.get("text") for one in objects(block.get("thinking"))))
        elif kind == "image_url":
            image = block.get("image_url")
            made += parts.linked(image if isinstance(image, str) else obj(image).get("url"), modality="image")
        elif kind == "document_url":
            made += parts.linked(block.get("document_url"), modality="document")
        elif kind == "input_audio" and isinstance(block.get("input_audio"), str):
            made += _sound(block["input_audio"])
        elif kind == "input_audio":
            audio = obj(block.get("input_audio"))
            made += parts.blob(f"audio/{audio.get('format')}", audio.get("data"))
        elif kind == "file":
            file = obj(block.get("file")) or block
            made += parts.linked(file.get("file_data")) or parts.stored(file.get("file_id"), "document")
        else:
            made += parts.other(block)
    return made


def _sound(given: str) -> list[Part]:
    """Mistral's audio: a URL, or the data itself."""
    linked = given.startswith(("http://", "https://", "data:"))
    return parts.linked(given, modality="audio") if linked else parts.blob(None, given, "audio")


def tool_definition(tool: dict[str, Any]) -> list[ToolDefinition]:
    """A tool as it is offered: a function, or one of the provider's own."""
    if isinstance(tool.get("function"), dict):
        return [_function(tool["function"])]
    return parts.builtin_tool(tool.get("type"), pick(tool, "name") or obj(tool.get("custom")).get("name"))


def _function(function: dict[str, Any]) -> ToolDefinition:
    return parts.tool(function.get("name"), function.get("description"), function.get("parameters"))


def _output_type(document: dict[str, Any]) -> str | None:
    if "audio" in texts(document.get("modalities")):
        return "speech"
    kind = text(obj(document.get("response_format")).get("type"))
    return "json" if kind in ("json_object", "json_schema") else kind


def _reasoning_effort(document: dict[str, Any]) -> str | None:
    return text(obj(document.get("reasoning")).get("effort"))  # OpenRouter
