"""Decides what the offline model answers, whatever the wire shape it is asked in.

Two answers are never equal (a running number and a random draw are in each), so a replay can be told
from a live call; and an answer quotes what was asked, so swapped answers show.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

DIRECTIVE = re.compile(r"\[(\w+)=([\w.]+)\]")
_CITIES = re.compile(r"\b(Berlin|Cairo|Delhi|Lima|London|Madrid|Oslo|Paris|Rome|Tokyo)\b")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
_FILLER = (
    "so",
    "it",
    "goes",
    "with",
    "one",
    "more",
    "word",
    "after",
    "another",
    "until",
    "enough",
    "is",
    "said",
)


@dataclass(frozen=True)
class Message:
    """One entry of a conversation. ``role`` is user, assistant, tool or system."""

    role: str
    text: str
    called: tuple[str, ...] = ()  # names of the tools that an assistant's message calls


@dataclass(frozen=True)
class Tool:
    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    """A request for an answer, out of its wire shape."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    stream: bool = False
    include_usage: bool = True

    @cached_property
    def question(self) -> str:
        """Text of the last message of the user, directives included."""
        return next((m.text for m in reversed(self.messages) if m.role == "user" and m.text), "")

    @cached_property
    def _since_question(self) -> tuple[Message, ...]:
        asked = [i for i, m in enumerate(self.messages) if m.role == "user" and m.text]
        return self.messages[asked[-1] + 1 :] if asked else ()

    @property
    def results(self) -> tuple[str, ...]:
        """What tools gave back since the question."""
        return tuple(m.text for m in self._since_question if m.role == "tool")

    @property
    def next_tool(self) -> Tool | None:
        """The first tool on offer that was not called since the question."""
        used = {name for m in self._since_question for name in m.called}
        return next((tool for tool in self.tools if tool.name not in used), None)

    @property
    def input_tokens(self) -> int:
        return sum(3 + len(m.text.split()) for m in self.messages)


@dataclass(frozen=True)
class Call:
    """A tool call. ``key`` is a fresh random id without the prefix of any wire shape."""

    key: str
    name: str
    arguments: Mapping[str, Any]

    @cached_property
    def json(self) -> str:
        return json.dumps(self.arguments, ensure_ascii=False)

    @property
    def pieces(self) -> list[str]:
        return [self.json[i : i + 8] for i in range(0, len(self.json), 8)]


@dataclass(frozen=True)
class Answer:
    """Either ``text`` or ``calls``. ``key`` is a fresh random id."""

    key: str
    text: str = ""
    calls: tuple[Call, ...] = ()
    input_tokens: int = 0

    @property
    def pieces(self) -> list[str]:
        """The text as a stream delivers it."""
        return re.findall(r"\S+\s*", self.text)

    @property
    def output_tokens(self) -> int:
        return len(self.pieces) + sum(len(call.pieces) for call in self.calls)


def think(turn: Turn, number: int, words: int = 0) -> Answer:
    """Answer ``turn``: call the next tool while there is one, then say something.

    Args:
        turn: what was asked.
        number: running number of the answer, quoted in it.
        words: least length of a text, in words.
    """
    key = secrets.token_hex(12)
    tool = turn.next_tool
    if tool is not None:
        calls = tuple(Call(secrets.token_hex(12), tool.name, given) for given in _arguments(tool, turn))
        return Answer(key, calls=calls, input_tokens=turn.input_tokens)
    asked = DIRECTIVE.sub("", turn.question).strip()
    text = f"You asked: “{asked[:400]}” "
    if turn.results:
        text += f"The tools say: {'; '.join(turn.results)}. "
    text += f"That is answer {number}, draw {secrets.randbelow(900_000) + 100_000}."
    missing = words - len(text.split())
    text += "".join(f" {_FILLER[i % len(_FILLER)]}" for i in range(missing))
    return Answer(key, text=text, input_tokens=turn.input_tokens)


def _arguments(tool: Tool, turn: Turn) -> list[dict[str, Any]]:
    """Arguments of one call, or of several parallel ones when the question names several cities."""
    properties: Mapping[str, Mapping[str, Any]] = tool.schema.get("properties", {})
    base = {name: _value(name, schema, turn) for name, schema in properties.items()}
    place = next((name for name in properties if name in ("city", "location")), None)
    if place is None:
        return [base]
    cities = dict.fromkeys(_CITIES.findall(turn.question)) or {"Paris": None}
    return [{**base, place: city} for city in cities]


def _value(name: str, schema: Mapping[str, Any], turn: Turn) -> Any:
    numbers = _NUMBERS.findall(" ".join(turn.results) or turn.question) or ["1"]
    if "enum" in schema:
        return schema["enum"][0]
    if name == "expression":
        difference = "difference" in turn.question
        return " - ".join(numbers[:2]) if difference else f"({' + '.join(numbers)}) / {len(numbers)}"
    match str(schema.get("type", "string")).lower():
        case "integer" | "number":
            return float(numbers[0]) if "." in numbers[0] else int(numbers[0])
        case "boolean":
            return True
        case "array":
            return []
        case "object":
            return {}
        case _:
            return DIRECTIVE.sub("", turn.question).strip()[-60:]
