"""What the JSON schemas of the GenAI semantic conventions ask of messages.

Backends drop a list that breaks them.
"""

from __future__ import annotations

import json
from typing import Any

REQUIRED: dict[str, dict[str, type]] = {
    "text": {"content": str},
    "reasoning": {"content": str},
    "tool_call": {"name": str},
    "tool_call_response": {"response": object},
    "server_tool_call": {"name": str, "server_tool_call": dict},
    "server_tool_call_response": {"server_tool_call_response": dict},
    "blob": {"modality": str, "content": str},
    "file": {"modality": str, "file_id": str},
    "uri": {"modality": str, "uri": str},
    "compaction": {},
}


def check_parts(parts: list[Any]) -> None:
    for part in parts:
        assert isinstance(part["type"], str)
        for name, kind in REQUIRED.get(part["type"], {}).items():
            assert isinstance(part[name], kind), part
        for name in ("server_tool_call", "server_tool_call_response"):
            if name in part and part["type"] == name:
                assert isinstance(part[name]["type"], str)
        for name in ("id", "mime_type", "transcript"):
            if part["type"] in REQUIRED:
                assert isinstance(part.get(name), str | None), part


def check_messages(messages: list[Any], *, output: bool = False) -> None:
    json.dumps(messages)
    for message in messages:
        assert isinstance(message["role"], str)
        assert isinstance(message.get("name"), str | None)
        check_parts(message["parts"])
        if output:  # Phoenix drops an output message without one
            assert isinstance(message["finish_reason"], str)


def check_tools(tools: list[Any]) -> None:
    json.dumps(tools)
    for tool in tools:
        assert isinstance(tool["type"], str)
        assert isinstance(tool["name"], str)
        if tool["type"] == "function":
            assert isinstance(tool.get("parameters", {}), dict)
            assert isinstance(tool.get("description", ""), str)
