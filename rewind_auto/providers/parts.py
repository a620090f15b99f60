"""The parts of a message, in the JSON schema of the GenAI semantic conventions."""

from __future__ import annotations

from typing import Any

from rewind_auto.providers.info import Message, Part, ToolDefinition
from rewind_auto.providers.reading import arguments, clean, obj, text

# A part of one of these types owes the schema more than its type.
_SCHEMA_TYPES = frozenset(
    (
        "text", "reasoning", "compaction", "blob", "file", "uri",
        "tool_call", "tool_call_response", "server_tool_call", "server_tool_call_response",
    )
)  # fmt: skip


def said(content: Any) -> list[Part]:
    """A text part, or nothing for what is no text or empty."""
    return [{"type": "text", "content": clean(content)}] if isinstance(content, str) and content else []


def thought(content: Any) -> list[Part]:
    """A reasoning part, or nothing for what is no text or empty."""
    return [{"type": "reasoning", "content": clean(content)}] if isinstance(content, str) and content else []


def called(call_id: Any, name: Any, given: Any) -> Part:
    """A tool call that the model asks the program for."""
    told = call_id_of({"id": call_id})
    return {"type": "tool_call", "id": told, "name": text(name) or "", "arguments": arguments(given)}


def call_id_of(call: dict[str, Any]) -> str | None:
    """The id of a tool call. Where Mistral has none, it says "null" (`ToolCall.id` of its SDK)."""
    call_id = text(call.get("id"))
    return None if call_id == "null" else call_id


def answered(call_id: Any, response: Any) -> Part:
    """The program's answer to a tool call."""
    return {"type": "tool_call_response", "id": text(call_id), "response": response}


def ran(call_id: Any, name: str, details: dict[str, Any]) -> Part:
    """A tool call that the provider carries out by itself."""
    return {
        "type": "server_tool_call",
        "id": text(call_id),
        "name": name,
        "server_tool_call": {**details, "type": name},
    }


def returned(call_id: Any, name: str, details: dict[str, Any]) -> Part:
    """What came out of a tool call of the provider's own."""
    return {
        "type": "server_tool_call_response",
        "id": text(call_id),
        "server_tool_call_response": {**details, "type": name},
    }


def blob(mime_type: Any, content: Any, modality: str | None = None) -> list[Part]:
    """Data inside the message, base64."""
    if not isinstance(content, str):
        return []
    return [{"type": "blob", **_media(mime_type, modality), "content": content}]


def linked(uri: Any, mime_type: Any = None, modality: str | None = None) -> list[Part]:
    """Data somewhere else; a ``data:`` URL is data inside the message."""
    if not isinstance(uri, str):
        return []
    if uri.startswith("data:"):
        head, comma, content = uri[5:].partition(",")
        if comma:
            return blob(head.partition(";")[0] or mime_type, content)
    return [{"type": "uri", **_media(mime_type, modality), "uri": clean(uri)}]


def stored(file_id: Any, modality: str, mime_type: Any = None) -> list[Part]:
    """Data that was uploaded to the provider before."""
    if not isinstance(file_id, str):
        return []
    return [{"type": "file", **_media(mime_type, modality), "file_id": clean(file_id)}]


def other(raw: dict[str, Any]) -> list[Part]:
    """A part that the schema has no word for, as it is."""
    kind = text(raw.get("type"))
    return [{**raw, "type": kind}] if kind and kind not in _SCHEMA_TYPES else []


def message(role: Any, parts: list[Part], name: Any = None) -> Message:
    """One message of the chat history."""
    made: Message = {"role": text(role) or "user", "parts": parts}
    if text(name):
        made["name"] = text(name)
    return made


def tool(name: Any, description: Any, parameters: Any) -> ToolDefinition:
    """A tool that the program offers."""
    made: ToolDefinition = {"type": "function", "name": text(name) or ""}
    if text(description):
        made["description"] = text(description)
    if isinstance(parameters, dict):
        made["parameters"] = parameters
    return made


def builtin_tool(kind: Any, name: Any = None) -> list[ToolDefinition]:
    """A tool of the provider's own. Most have no name but their type."""
    kind = text(kind)
    return [{"type": kind, "name": text(name) or kind}] if kind else []


def _media(mime_type: Any, modality: str | None = None) -> dict[str, Any]:
    mime_type = text(mime_type)
    family = (mime_type or "").partition("/")[0]
    if modality is None:
        modality = family if family in ("image", "audio", "video") else "document"
    return {"modality": modality} if mime_type is None else {"mime_type": mime_type, "modality": modality}


def content_list(content: Any) -> list[dict[str, Any]]:
    """The blocks of a content that may be a string, one block, or a list of either."""
    blocks = content if isinstance(content, list) else [content]
    return [{"type": "text", "text": block} if isinstance(block, str) else obj(block) for block in blocks]
