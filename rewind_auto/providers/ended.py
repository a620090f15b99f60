"""Whether a stream came to its provider's last event, though nobody waited for the end of the body."""

from __future__ import annotations

from typing import Any

from rewind_auto.core import sse
from rewind_auto.core.event_stream import last_frame
from rewind_auto.providers.reading import documents, is_json, obj, objects, parse, pick, text

_DONE = b"[DONE]"
_LAST_TYPES = {
    "openai-responses": ("response.completed", "response.failed", "response.incomplete", "error"),
    "openai-images": ("image_generation.completed", "image_edit.completed", "error"),
    "openai-audio": ("speech.audio.done", "transcript.text.done", "transcription.done", "error"),
    "anthropic": ("message_stop", "error"),
    "cohere": ("message-end", "stream-end", "stream-error"),
    "gemini-interactions": ("interaction.completed", "interaction.cancelled", "error"),
    "mistral-conversations": ("conversation.response.done", "conversation.response.error"),
}
_EVENTS = (*_LAST_TYPES, "openai-chat", "openai-completions", "gemini")


def ended(shape: str, body: bytes) -> bool:
    """Whether the decoded body of a stream holds the event that ends it.

    A provider's error counts: nothing comes after it. Only the end of the body is read, event by event, so
    the same words inside a message do not count. False for a shape that nobody knows.
    """
    if shape == "ollama" or (shape == "cohere" and is_json(body)):  # an object on each line
        return _is_last_answer(shape, obj(parse(body.rstrip().rpartition(b"\n")[2])))
    if shape == "gemini" and is_json(body):
        return _is_last_answer(shape, next(reversed(documents(body)), {}))
    if shape.startswith("bedrock-"):
        from rewind_auto.providers.bedrock_invoke import is_last

        frame = last_frame(body)
        return frame is not None and is_last(frame)
    if shape not in _EVENTS:
        return False
    for _, data in reversed(sse.last_events(body)):
        if data.startswith(_DONE):
            return True
        event = parse(data)
        if isinstance(event, dict) and _tells(shape, event):
            return _is_last_answer(shape, event)
    return False


def _tells(shape: str, event: dict[str, Any]) -> bool:
    """Whether the end can be told from this event, rather than from the one before it."""
    if shape == "gemini":
        return "candidates" in event or "promptFeedback" in event or "error" in event
    return event.get("type") != "ping"


def _is_last_answer(shape: str, event: dict[str, Any]) -> bool:
    if event.get("error"):
        return True
    if shape == "ollama":
        return event.get("done") is True
    if shape == "gemini":
        candidates = objects(event.get("candidates"))
        blocked = obj(event.get("promptFeedback")).get("blockReason")
        return bool(blocked) or any(text(candidate.get("finishReason")) for candidate in candidates)
    return pick(event, "type", "event_type") in _LAST_TYPES.get(shape, ())
