"""Two sessions and those inside them, put side by side: what ``rewind-auto diff`` shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rewind_auto.cli import answers
from rewind_auto.core.align import Call, Pair, align
from rewind_auto.core.canonical import Canonicalizer
from rewind_auto.core.decode import decode
from rewind_auto.core.model import Recording, Session, StepRef

if TYPE_CHECKING:
    from rewind_auto.store.contract import Store

_HTTP_OK = range(200, 300)
# Minted anew for each answer.
_VOLATILE = ("id", "created", "created_at", "system_fingerprint", "responseId", "createTime")


@dataclass(frozen=True)
class Compared:
    """The calls of two sessions, or of one that has no counterpart."""

    a: Session | None
    b: Session | None
    pairs: Sequence[Pair]


class Comparison:
    """Reads two runs and aligns their calls by what they ask, never across sessions.

    Args:
        store: that has both.
        canonicalizer: says which requests are the same.
        advance: called once for each call read.
    """

    def __init__(self, store: Store, canonicalizer: Canonicalizer, advance: Callable[[], None]) -> None:
        self._store = store
        self._canonicalizer = canonicalizer
        self._advance = advance
        self._read: dict[str, list[Call]] = {}

    def of(self, a: Session | None, b: Session | None) -> Iterator[Compared]:
        """These two, then those inside them: with the one of the same name that asks most of the same."""
        yield Compared(a, b, align(self._calls(a), self._calls(b)))
        left = self._inner(b)
        for session in self._inner(a):
            fitting = [one for one in left if one.name == session.name]
            found = max(fitting, key=lambda one: self._in_common(session, one), default=None)
            if found is not None:
                left.remove(found)
            yield from self.of(session, found)
        for session in left:
            yield from self.of(None, session)

    def _inner(self, session: Session | None) -> list[Session]:
        return list(self._store.inner(session.id)) if session is not None else []

    def _in_common(self, a: Session, b: Session) -> int:
        keys = [Counter(call.key for call in self._calls(session)) for session in (a, b)]
        return (keys[0] & keys[1]).total()

    def _calls(self, session: Session | None) -> list[Call]:
        if session is None:
            return []
        if session.id not in self._read:
            calls = self._read[session.id] = []
            for step in self._store.steps(session.id):
                recording = self._store.recording(session.id, step.step)
                self._advance()
                if recording is not None:
                    key = self._canonicalizer.canonical(recording.request)
                    origin = step.source or StepRef(session.id, step.step)
                    calls.append(Call(step.step, key, recording.request, _outcome(recording), origin))
        return self._read[session.id]


def _outcome(recording: Recording) -> Any:
    """What came of a call, less what is minted anew for each answer."""
    head, fault = recording.head, recording.fault
    outcome: dict[str, Any] = {}
    if fault is not None:
        outcome["error"] = f"{fault.name}: {fault.message}"
    if head is None:
        return outcome
    outcome["status"] = head.status
    if not recording.complete and fault is None:
        outcome["complete"] = False
    answered = answers.read(recording)
    if head.status in _HTTP_OK and answered.output_messages:
        outcome["messages"] = [
            {
                **message,
                "parts": [{**part, "id": None} if "id" in part else part for part in message["parts"]],
            }
            for message in answered.output_messages
        ]
        return outcome
    body = decode(head, recording.body)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {**outcome, "body": body.decode("utf-8", "backslashreplace")}
    if isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name not in _VOLATILE}
    return {**outcome, "body": value}
