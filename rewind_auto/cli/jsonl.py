"""Sessions as JSON Lines, whole: what ``export`` writes and ``import`` reads.

The first line says what the file is; then each session is a line, followed by its steps, each a line. Bodies
are text where they are UTF-8, else base64. Nothing in a file is ever more than data.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from rewind_auto.core import redact
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
from rewind_auto.core.valid import (
    STATUSES,
    STEP_FIELDS,
    checked,
    natural,
    object_of,
    positive,
    session_id,
    text,
)
from rewind_auto.providers.hosts import parse_host
from rewind_auto.values import ALL_HOSTS, read_session_by

FORMAT, VERSION = "rewind-auto", 1

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


def read(given: Iterable[bytes]) -> Iterator[Entry]:
    """The sessions of a file, one after the other.

    Raises:
        FormatError: a line is not what it should be.
    """
    session: Session | None = None
    steps: list[tuple[Step, Recording | None]] = []
    numbers: set[int] = set()
    for number, line in enumerate(given, start=1):
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
        raise FormatError(f"line 1: version {value.get('version')!r}: this release reads version {VERSION}")


def _said(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())


def _session_out(session: Session) -> dict[str, Any]:
    return {
        **{name: getattr(session, name) for name in _SESSION},
        "name": redact.text(session.name),
        "mode": session.mode,
        "command": list(redact.command(session.command)),
        "llm_hosts": list(session.llm_hosts),
        "tool_hosts": list(session.tool_hosts),
        "session_by": session.session_by,
    }


def _session_in(value: dict[str, Any]) -> Session:
    session = Session(session_id(value["id"]), mode=Mode(value["mode"]))
    session.name, session.status = text(value["name"]), text(value["status"])
    if session.status not in STATUSES:
        raise ValueError(f"{session.status!r} is no status of a session")
    for name in _SESSION[3:]:
        setattr(session, name, checked(name, value.get(name)))
    session.command = tuple(map(text, value["command"]))
    session.llm_hosts, session.tool_hosts = (
        tuple(map(read, value.get(name, ())))
        for name, read in (("llm_hosts", _host), ("tool_hosts", _tool_host))
    )
    session.session_by = read_session_by(text(value.get("session_by", "")) or "process")
    return session


def _step_out(step: Step, recording: Recording | None) -> dict[str, Any]:
    out = {name: getattr(step, name) for name in STEP_FIELDS}
    out |= {"kind": step.kind, "decision": step.decision, "match": step.match}
    out["source"] = [step.source.session, step.source.step] if step.source else None
    out["fingerprint"] = (
        [step.fingerprint.exact.hex(), step.fingerprint.canonical.hex()] if step.fingerprint else None
    )
    if recording is not None and step.decision is not Decision.HIT:
        out["recording"] = _recording_out(recording)
    return {name: value for name, value in out.items() if value not in (None, {}, "")}


def _step_in(uid: str, value: dict[str, Any]) -> tuple[Step, Recording | None]:
    step = Step(uid, positive(value["step"]), kind=Kind(value["kind"]), decision=Decision(value["decision"]))
    step.match = Match(value["match"]) if "match" in value else None
    for name in STEP_FIELDS[1:]:
        if name in value:
            setattr(step, name, checked(name, value[name]))
    if "source" in value:
        session, number = value["source"]
        step.source = StepRef(session_id(session), natural(number))
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
            natural(answered["status"]),
            _headers_in(answered["headers"]),
            None if reason is None else text(reason).encode("latin-1"),
            text(answered["http_version"]),
            wire=answered["wire"] is True,
            whole=answered["whole"] is True,
        )
    body = _body_in(answered) if answered is not None else b""
    cuts = tuple((natural(length), natural(offset)) for length, offset in value["cuts"])
    if sum(length for length, _ in cuts) != len(body):
        raise ValueError("the chunks of a body are not as long as the body")
    return Recording(
        request,
        head,
        body,
        cuts,
        head_us=natural(value["head_us"]),
        end_us=natural(value["end_us"]),
        ending=Ending(value["ending"]),
        fault=_fault_in(fault) if fault is not None else None,
        open_cuts=tuple(map(natural, value.get("open_cuts", ()))),
    )


def _fault_in(value: list[Any]) -> Fault:
    module, name, message, phase, facts = value
    return Fault(text(module), text(name), text(message), text(phase), object_of(facts))


def _headers_out(headers: Headers) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


def _headers_in(pairs: Iterable[Iterable[str]]) -> Headers:
    return tuple((text(name).encode("latin-1"), text(value).encode("latin-1")) for name, value in pairs)


def _body_out(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _body_in(value: dict[str, Any]) -> bytes:
    if "base64" in value:
        return base64.b64decode(text(value["base64"]), validate=True)
    return text(value["body"]).encode()


def _host(value: Any) -> str:
    parse_host(text(value))
    return str(value)


def _tool_host(value: Any) -> str:
    return ALL_HOSTS if value == ALL_HOSTS else _host(value)


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
