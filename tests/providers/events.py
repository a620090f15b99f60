"""Streams as the providers send them, built from the SDKs' own models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel


def dumped(model: BaseModel) -> bytes:
    """The JSON of a model as its provider would send it: only what was set, by its wire name."""
    return model.model_dump_json(by_alias=True, exclude_unset=True).encode()


def checked(kind: type[BaseModel], document: dict[str, Any]) -> bytes:
    """The JSON of a document, after the SDK's model has found nothing to object to in it."""
    return dumped(kind.model_validate(document, strict=False))


def sse(events: Iterable[BaseModel | dict[str, Any] | str], *, named: bool = False, end: str = "\n") -> bytes:
    """A stream of events; ``named`` gives each the name of its type, as Anthropic and Responses do."""
    lines: list[str] = []
    for event in events:
        data = event if isinstance(event, str) else _json(event)
        if named and not isinstance(event, str):
            told = json.loads(data)
            lines.append(f"event: {told.get('type') or told['event_type']}")
        lines += [f"data: {data}", ""]
    return end.join([*lines, ""]).encode()


def lines(objects: Iterable[dict[str, Any]]) -> bytes:
    """An object on each line, as Ollama streams them and version 1 of Cohere."""
    return "".join(f"{json.dumps(one)}\n" for one in objects).encode()


def _json(event: BaseModel | dict[str, Any]) -> str:
    return dumped(event).decode() if isinstance(event, BaseModel) else json.dumps(event)
