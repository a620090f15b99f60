"""Sessions as JSON Lines, whole: what ``export`` writes and ``import`` reads.

The first line says what the file is; then each session is a line, followed by its steps, each a line. Bodies
are text where they are UTF-8, else base64. Nothing in a file is ever more than data.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import (
    Decision,
    Ending,
    Fault,
    Fingerprint,
    Head,
    Headers,
    Kind,
    Match,
    Mode,
    Recording,
    Request,
    Session,
    Step,
    StepRef,
)
from rewind_auto.providers.hosts import parse_host
from rewind_auto.values import ALL_HOSTS

FORMAT, VERSION = "rewind-auto", 1

_STATUSES = ("running", "completed", "interrupted", "diverged")
_YEAR_10000 = 253_402_300_800  # seconds since the epoch: what comes then has no date in Python

_STEP = (
    *(
        "step",
        "lane",
        "method",
        "url",
        "status",
        "error",
        "library",
        "provider",
        "operation",
        "model",
        "stream",
    ),
    *("complete", "chunks", "usage", "started_at", "duration_ms", "first_chunk_ms", "trace_id", "span_id"),
    *("call_site", "note", "detail", "inside"),
)
_SESSION = ("id", "name", "status", "parent", "fork_step", "outer", "started_at", "ended_at")

Entry = tuple[Session, list[tuple[Step, Recording | None]]]


class FormatError(RewindError):
    """A file is not what it should be. One line, with the number of the line in it."""


def lines(entries: Iterable[Entry]) -> Iterator[str]:
    """The lines of a file."""
    yield _dump({"format": FORMAT, "version": VERSION})
    for session, steps in entries:
        yield _dump({"session": _session_out(session)})
        for step, recording in steps:
            yield _dump({"step": _step_out(step, recording)})


def read(text: Iterable[bytes]) -> Iterator[Entry]:
    """The sessions of a file, one after the other.

    Raises:
        FormatError: a line is not what it should be.
    """
    session: Session | None = None
    steps: list[tuple[Step, Recording | None]] = []
    numbers: set[int] = set()
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if number == 1:
                _check(value)
            elif "session" in value:
                if session is not None:
                    yield session, steps
                session, steps, numbers = _session_in(value["session"]), [], set()
            elif session is None:
                raise ValueError("a step before any session")
            else:
                steps.append(_another(numbers, *_step_in(session.id, value["step"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, RewindError):
                raise
            raise FormatError(f"line {number}: {_said(error)}") from None
    if session is not None:
        yield session, steps


def _another(numbers: set[int], step: Step, recording: Recording | None) -> tuple[Step, Recording | None]:
    if step.step in numbers:
        raise ValueError(f"step {step.step} is there twice")
    numbers.add(step.step)
    return step, recording


def _check(value: Any) -> None:
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise FormatError("line 1: not an export of rewind-auto")
    if value.get("version") != VERSION:
        raise FormatError(f"line 1: version {value.get('version')}: this release reads version {VERSION}")


def _said(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())


def _session_out(session: Session) -> dict[str, Any]:
    return {
        **{name: getattr(session, name) for name in _SESSION},
        "mode": session.mode,
        "command": list(session.command),
        "llm_hosts": list(session.llm_hosts),
        "tool_hosts": list(session.tool_hosts),
    }


def _session_in(value: dict[str, Any]) -> Session:
    session = Session(_hex(value["id"]), mode=Mode(value["mode"]))
    session.name, session.status = _text(value["name"]), _text(value["status"])
    if session.status not in _STATUSES:
        raise ValueError(f"{session.status!r} is no status of a session")
    for name in _SESSION[3:]:
        setattr(session, name, _checked(name, value.get(name)))
    session.command = tuple(map(_text, value["command"]))
    session.llm_hosts, session.tool_hosts = (
        tuple(map(read, value.get(name, ())))
        for name, read in (("llm_hosts", _host), ("tool_hosts", _tool_host))
    )
    return session


def _step_out(step: Step, recording: Recording | None) -> dict[str, Any]:
    out = {name: getattr(step, name) for name in _STEP}
    out |= {"kind": step.kind, "decision": step.decision, "match": step.match}
    out["source"] = [step.source.session, step.source.step] if step.source else None
    out["fingerprint"] = (
        [step.fingerprint.exact.hex(), step.fingerprint.canonical.hex()] if step.fingerprint else None
    )
    if recording is not None and step.decision is not Decision.HIT:
        out["recording"] = _recording_out(recording)
    return {name: value for name, value in out.items() if value not in (None, {}, "")}


def _step_in(session_id: str, value: dict[str, Any]) -> tuple[Step, Recording | None]:
    step = Step(
        session_id, _positive(value["step"]), kind=Kind(value["kind"]), decision=Decision(value["decision"])
    )
    step.match = Match(value["match"]) if "match" in value else None
    for name in _STEP[1:]:
        if name in value:
            setattr(step, name, _checked(name, value[name]))
    if "source" in value:
        session, number = value["source"]
        step.source = StepRef(_hex(session), _natural(number))
    if "fingerprint" in value:
        exact, canonical = value["fingerprint"]
        step.fingerprint = Fingerprint(bytes.fromhex(exact), bytes.fromhex(canonical))
    return step, _recording_in(value["recording"], step) if "recording" in value else None


def _recording_out(recording: Recording) -> dict[str, Any]:
    head, fault = recording.head, recording.fault
    return {
        "request": {"headers": _headers_out(recording.request.headers), **_body_out(recording.request.body)},
        "response": None
        if head is None
        else {
            "status": head.status,
            "reason": None if head.reason is None else head.reason.decode("latin-1"),
            "http_version": head.http_version,
            "wire": head.wire,
            "whole": head.whole,
            "headers": _headers_out(head.headers),
            **_body_out(recording.body),
        },
        "cuts": [list(cut) for cut in recording.cuts],
        "open_cuts": list(recording.open_cuts),
        "head_us": recording.head_us,
        "end_us": recording.end_us,
        "ending": recording.ending,
        "fault": None
        if fault is None
        else [fault.module, fault.name, fault.message, fault.phase, fault.facts],
    }


def _recording_in(value: dict[str, Any], step: Step) -> Recording:
    asked, answered, fault = value["request"], value.get("response"), value.get("fault")
    request = Request(step.method, step.url, _headers_in(asked["headers"]), _body_in(asked), step.library)
    head = None
    if answered is not None:
        reason = answered["reason"]
        head = Head(
            _natural(answered["status"]),
            _headers_in(answered["headers"]),
            None if reason is None else _text(reason).encode("latin-1"),
            _text(answered["http_version"]),
            wire=answered["wire"] is True,
            whole=answered["whole"] is True,
        )
    body = _body_in(answered) if answered is not None else b""
    cuts = tuple((_natural(length), _natural(offset)) for length, offset in value["cuts"])
    if sum(length for length, _ in cuts) != len(body):
        raise ValueError("the chunks of a body are not as long as the body")
    return Recording(
        request,
        head,
        body,
        cuts,
        head_us=_natural(value["head_us"]),
        end_us=_natural(value["end_us"]),
        ending=Ending(value["ending"]),
        fault=_fault_in(fault) if fault is not None else None,
        open_cuts=tuple(map(_natural, value.get("open_cuts", ()))),
    )


def _fault_in(value: list[Any]) -> Fault:
    module, name, message, phase, facts = value
    return Fault(_text(module), _text(name), _text(message), _text(phase), _object(facts))


def _headers_out(headers: Headers) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


def _headers_in(pairs: Iterable[Iterable[str]]) -> Headers:
    return tuple((_text(name).encode("latin-1"), _text(value).encode("latin-1")) for name, value in pairs)


def _body_out(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _body_in(value: dict[str, Any]) -> bytes:
    if "base64" in value:
        return base64.b64decode(_text(value["base64"]), validate=True)
    return _text(value["body"]).encode()


def _checked(name: str, value: Any) -> Any:
    """A field of its own kind, or None."""
    kind: Callable[[Any], Any] = _KINDS.get(name, _text)
    return None if value is None else kind(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")  # noqa: TRY004 - the file is wrong, not the caller
    return value


def _url(value: Any) -> str:
    _text(value).encode()  # no half of a character, which nothing could print
    return str(value)


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"{value!r} is no count")
    return value


def _positive(value: Any) -> int:
    if _natural(value) < 1:
        raise ValueError(f"{value!r} is no number of a step")
    return int(value)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or value - value != 0:
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _time(value: Any) -> float:
    if not 0 <= _number(value) < _YEAR_10000:
        raise ValueError(f"{value!r} is no time")
    return float(value)


def _usage(value: Any) -> dict[str, int]:
    return {name: _natural(count) for name, count in _object(value).items()}


def _host(value: Any) -> str:
    parse_host(_text(value))
    return str(value)


def _tool_host(value: Any) -> str:
    return ALL_HOSTS if value == ALL_HOSTS else _host(value)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no object")  # noqa: TRY004
    return value


def _hex(value: Any) -> str:
    if not (isinstance(value, str) and value.isascii() and value.isalnum()):
        raise ValueError(f"{value!r} is no session id")
    return value


_KINDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("status", "fork_step", "chunks", "inside"), _natural),
    **dict.fromkeys(("started_at", "ended_at"), _time),
    **dict.fromkeys(("duration_ms", "first_chunk_ms"), _number),
    "url": _url,
    "usage": _usage,
    "detail": _object,
    **dict.fromkeys(("stream", "complete"), bool),
    **dict.fromkeys(("parent", "outer"), _hex),
}


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
