"""From a request to a reply: which wire shape it is in, and what the offline model says to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from offline import anthropic_messages, gemini, openai_chat, openai_responses
from offline.brain import Answer, Turn, think
from offline.delivery import Knobs


class Wire(Protocol):
    """What the module of a wire shape offers."""

    def parse(self, path: str, body: Mapping[str, Any], /) -> Turn: ...
    def whole(self, turn: Turn, answer: Answer, /) -> dict[str, Any]: ...
    def frames(self, turn: Turn, answer: Answer, /) -> Iterator[str]: ...
    def failure(self, status: int, message: str, /) -> dict[str, Any]: ...
    def headers(self, elapsed_ms: int, /) -> list[tuple[str, str]]: ...


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to send. ``frames`` is the stream that takes the place of ``whole``, when one was asked for."""

    wire: Wire
    knobs: Knobs
    status: int
    whole: dict[str, Any]
    frames: Iterator[str] | None = None
    retry_after: float | None = None


_TURNS: tuple[tuple[re.Pattern[str], Wire], ...] = (
    (re.compile(r"(/v1)?/chat/completions"), openai_chat),
    (re.compile(r"(/v1)?/responses"), openai_responses),
    (re.compile(r"/v1/messages"), anthropic_messages),
    (re.compile(r"/v1(beta)?/models/[^/]+:(streamG|g)enerateContent"), gemini),
)
_PLAIN: tuple[tuple[str, re.Pattern[str], Callable[[str, Any], dict[str, Any]]], ...] = (
    ("POST", re.compile(r"(/v1)?/embeddings"), lambda _, body: openai_chat.embeddings(body)),
    ("POST", re.compile(r"/v1/messages/count_tokens"), lambda _, body: anthropic_messages.count_tokens(body)),
    ("POST", re.compile(r"/v1(beta)?/models/[^/]+:countTokens"), gemini.count_tokens),
)


def reply_to(seen: Seen, knobs: Knobs, next_number: Callable[[], int], times_seen: int) -> Reply:
    """Answer a request.

    Args:
        seen: the request.
        knobs: the provider's, before the directives of the prompt.
        next_number: gives the running number of an answer.
        times_seen: how often this body has come, this time included.
    """
    path = seen.path.partition("?")[0]
    claude = any(name.lower() == "anthropic-version" for name, _ in seen.headers)
    wire = _wire(path, claude=claude)
    if seen.method == "GET" and path in ("/v1/models", "/models"):
        models = anthropic_messages.models() if claude else openai_chat.models()
        return _unless_failing(Reply(wire, knobs, 200, models), times_seen)
    try:
        plain = next((f for method, p, f in _PLAIN if method == seen.method and p.fullmatch(path)), None)
        if plain:
            return _unless_failing(Reply(wire, knobs, 200, plain(path, seen.json)), times_seen)
        if seen.method != "POST" or not any(pattern.fullmatch(path) for pattern, _ in _TURNS):
            return Reply(wire, knobs, 404, wire.failure(404, f"Unknown request URL: {seen.method} {path}."))
        turn = wire.parse(path, seen.json)
        knobs = knobs.with_directives(turn.question)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Reply(wire, knobs, 400, wire.failure(400, f"Malformed: {type(error).__name__}: {error}"))
    answer = think(turn, next_number(), knobs.words)
    frames = wire.frames(turn, answer) if turn.stream else None
    return _unless_failing(Reply(wire, knobs, 200, wire.whole(turn, answer), frames), times_seen)


def _unless_failing(reply: Reply, times_seen: int) -> Reply:
    wire, knobs = reply.wire, reply.knobs
    if times_seen <= knobs.fail:
        whole = wire.failure(429, "Rate limit reached, try again later.")
        return Reply(wire, knobs, 429, whole, retry_after=knobs.retry_after)
    if knobs.status != reply.status:
        return Reply(wire, knobs, knobs.status, wire.failure(knobs.status, "As the prompt wished."))
    return reply


def _wire(path: str, *, claude: bool) -> Wire:
    """The shape that this path has; where it is in none, the one its host would report errors in."""
    found = next((wire for pattern, wire in _TURNS if pattern.fullmatch(path)), None)
    if found is not None:
        return found
    if path.startswith("/v1beta/") or re.search(r"/models/[^/]+:", path):
        return gemini
    return anthropic_messages if claude or path.startswith("/v1/messages/") else openai_chat
