"""What a request asked for and a response gave, in the words of the GenAI semantic conventions.

Messages, parts and tool definitions are plain dictionaries in the JSON schema of those conventions. They
are worked out at every access, from what was kept of the body: a call that nobody looks into pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

Part = dict[str, Any]
Message = dict[str, Any]
ToolDefinition = dict[str, Any]

_REQUEST_ATTRIBUTES = (
    ("stream", "gen_ai.request.stream"),
    ("temperature", "gen_ai.request.temperature"),
    ("top_p", "gen_ai.request.top_p"),
    ("top_k", "gen_ai.request.top_k"),
    ("max_tokens", "gen_ai.request.max_tokens"),
    ("frequency_penalty", "gen_ai.request.frequency_penalty"),
    ("presence_penalty", "gen_ai.request.presence_penalty"),
    ("choice_count", "gen_ai.request.choice.count"),
    ("seed", "gen_ai.request.seed"),
    ("stop_sequences", "gen_ai.request.stop_sequences"),
    ("output_type", "gen_ai.output.type"),
    ("reasoning_level", "gen_ai.request.reasoning.level"),
    ("service_tier", "openai.request.service_tier"),
    ("conversation_id", "gen_ai.conversation.id"),
    ("previous_response_id", "gen_ai.request.previous_response.id"),
    ("prompt_name", "gen_ai.prompt.name"),
    ("prompt_version", "gen_ai.prompt.version"),
    ("compacted", "gen_ai.conversation.compacted"),
    ("guardrail_id", "aws.bedrock.guardrail.id"),
    ("dimension_count", "gen_ai.embeddings.dimension.count"),
    ("encoding_formats", "gen_ai.request.encoding_formats"),
)
_RESPONSE_ATTRIBUTES = (
    ("model", "gen_ai.response.model"),
    ("id", "gen_ai.response.id"),
    ("finish_reasons", "gen_ai.response.finish_reasons"),
    ("service_tier", "openai.response.service_tier"),
    ("system_fingerprint", "openai.response.system_fingerprint"),
    ("conversation_id", "gen_ai.conversation.id"),
)
# What the conventions want left out: these are what is meant when nothing is said.
_UNSAID = {"gen_ai.request.choice.count": 1, "openai.request.service_tier": "auto"}


def _reader(pairs: tuple[tuple[str, str], ...]) -> Callable[[Any], dict[str, Any]]:
    """What turns an info into attributes, told the fields and their names."""
    values_of = attrgetter(*(attribute for attribute, _ in pairs))
    names = tuple(name for _, name in pairs)

    def read(info: Any) -> dict[str, Any]:
        return {
            name: value
            for name, value in zip(names, values_of(info), strict=True)
            if value is not None and value is not False and value != () and value != _UNSAID.get(name)
        }

    return read


_asked = _reader(_REQUEST_ATTRIBUTES)
_answered = _reader(_RESPONSE_ATTRIBUTES)


class RequestContent:
    """What a request says to the model. Each wire shape has a subclass that reads its documents."""

    __slots__ = ("document",)

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def input_messages(self) -> list[Message]:
        """The chat history, oldest first: ``{"role", "parts"}``."""
        return []

    def system_instructions(self) -> list[Part]:
        """Instructions that the provider's format keeps apart from the chat history."""
        return []

    def tool_definitions(self) -> list[ToolDefinition]:
        """The tools offered to the model: ``{"type", "name"}`` and what was said about them."""
        return []


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What a request asks for. None or empty: not said, or not understood.

    Attributes:
        output_type: "text", "json", "image" or "speech".
        conversation_id: the provider's own name for a conversation it keeps.
        prompt_name: of a prompt template that the provider keeps; ``prompt_version``: which one of it.
        compacted: whether an earlier part of the conversation is there in a compacted form.
        guardrail_id: of what Bedrock is to check the messages with.
        dimension_count: size of the embeddings asked for.
    """

    model: str | None = None
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    choice_count: int | None = None
    seed: int | None = None
    stop_sequences: tuple[str, ...] = ()
    output_type: str | None = None
    reasoning_level: str | None = None
    service_tier: str | None = None
    conversation_id: str | None = None
    previous_response_id: str | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None
    compacted: bool = False
    guardrail_id: str | None = None
    dimension_count: int | None = None
    encoding_formats: tuple[str, ...] = ()
    content: RequestContent = field(default=RequestContent({}), repr=False, compare=False)

    def attributes(self) -> dict[str, Any]:
        """Span attributes by name, without the model, the messages and whatever was not said."""
        return _asked(self)

    @property
    def input_messages(self) -> list[Message]:
        """The chat history, oldest first: ``{"role", "parts"}``."""
        return self.content.input_messages()

    @property
    def system_instructions(self) -> list[Part]:
        """Instructions that the provider's format keeps apart from the chat history."""
        return self.content.system_instructions()

    @property
    def tool_definitions(self) -> list[ToolDefinition]:
        """The tools offered to the model: ``{"type", "name"}`` and what was said about them."""
        return self.content.tool_definitions()


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """What a response gave. None or empty: not said, or not understood.

    Attributes:
        finish_reasons: one for each choice: "stop", "length", "tool_call", "content_filter", "compaction",
            "error" (also for a generation that never got to its end), or the provider's own word.
        usage: tokens by ``input_tokens`` (cached ones included), ``output_tokens`` (reasoning included),
            ``cache_read_input_tokens``, ``cache_write_input_tokens``, ``reasoning_output_tokens``; only those
            that were reported. What of them was text, image or audio: ``text_input_tokens``,
            ``text_cache_read_input_tokens``, ``text_output_tokens`` and so on; only where there was some.
        error: the provider's code for what went wrong, also when it came in the middle of a stream.
    """

    model: str | None = None
    id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    usage: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    conversation_id: str | None = None
    messages: Callable[[], list[Message]] = field(default=list, repr=False, compare=False)

    def attributes(self) -> dict[str, Any]:
        """Span attributes by name, without the usage and the messages."""
        return _answered(self)

    @property
    def output_messages(self) -> list[Message]:
        """One message for each choice: ``{"role", "parts", "finish_reason"}``."""
        return self.messages()

    @property
    def text(self) -> str:
        """The assistant's text, of the first choice."""
        return "".join(
            part["content"]
            for message in self.output_messages[:1]
            for part in message["parts"]
            if part["type"] == "text"
        )

    @property
    def tool_calls(self) -> list[Part]:
        """The tool calls of all choices: ``{"type": "tool_call", "id", "name", "arguments"}``."""
        return [
            part
            for message in self.output_messages
            for part in message["parts"]
            if part["type"] == "tool_call"
        ]
