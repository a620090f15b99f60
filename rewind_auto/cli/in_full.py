"""One step in full, for people: what is known of it, what was sent, and what came back when."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.highlighter import JSONHighlighter
from rich.rule import Rule
from rich.text import Text

from rewind_auto.cli import answers, output
from rewind_auto.core.decode import content_encoding, decode
from rewind_auto.core.event_stream import frames
from rewind_auto.core.model import Decision, Headers, Recording, Session, Step

if TYPE_CHECKING:
    from rich.console import Console

    from rewind_auto.pricing import Prices

_LABEL = 13  # characters
_EVENTS, _FRAMES = "text/event-stream", "application/vnd.amazon.eventstream"


def show(console: Console, session: Session, step: Step, recording: Recording | None, prices: Prices) -> None:
    """Print a step. Nothing is cut: lines that are too long for the terminal are left to it."""
    title = Text.assemble(
        (f"step {step.step}", "bold"),
        f" of {output.one_line(session.name)} ",
        (output.short(session.id), "yellow"),
    )
    console.print(Rule(title, align="left", style="dim"))
    console.print(_facts(step, prices), soft_wrap=True)
    if recording is not None:
        for part in (*_request(recording), *_response(recording)):
            console.print(part, soft_wrap=True)
    console.print()


def _facts(step: Step, prices: Prices) -> Text:
    facts = Text()
    for name, value in _named(step, prices):
        if value:
            facts.append(name.ljust(_LABEL), "dim")
            facts.append(
                output.printable(value).replace("\n", "\n" + " " * _LABEL) + "\n", _style(name, step)
            )
    facts.rstrip()
    return facts


def _style(name: str, step: Step) -> str:
    return {"decision": output.COLOURS[step.decision], "error": "red", "note": "yellow"}.get(name, "")


def _named(step: Step, prices: Prices) -> Iterator[tuple[str, str]]:
    source = step.source
    yield "decision", f"{step.decision}, {step.match} match" if step.match else step.decision
    yield "source", f"step {source.step} of session {source.session}" if source else ""
    yield "call", " ".join(filter(None, (step.provider, step.operation, step.model)))
    yield "library", step.library
    yield "call site", step.call_site or ""
    yield "started", output.local_time(step.started_at)
    yield "time", _time(step)
    yield (
        "tokens",
        ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in (step.usage or {}).items()),
    )
    yield "saved" if step.decision is Decision.HIT else "cost", output.money(prices.of_step(step))
    yield "trace", f"{step.trace_id}, span {step.span_id}" if step.trace_id else ""
    yield "fingerprint", str(step.fingerprint or "")
    yield "error", step.error or ""
    yield "note", step.note or ""


def _time(step: Step) -> str:
    if step.duration_ms is None:
        return ""
    first = step.first_chunk_ms
    said = output.duration(step.duration_ms / 1000)
    if step.stream and first is not None:
        said += f", first of {output.count(step.chunks, 'chunk')} after {output.duration(first / 1000)}"
    return said


def _request(recording: Recording) -> Iterator[RenderableType]:
    request = recording.request
    yield _section("request")
    yield Text(output.printable(f"{request.method} {request.url}"), "bold")
    yield _headers(request.headers)
    yield from _body(request.body)


def _response(recording: Recording) -> Iterator[RenderableType]:
    yield _section("response")
    head = recording.head
    if head is None:
        yield Text("none", "dim")
        return
    reason = (head.reason or b"").decode("latin-1")
    yield Text(output.printable(f"{head.http_version} {head.status} {reason}".rstrip()), "bold")
    yield _headers(head.headers)
    body = decode(head, recording.body)
    if _is_stream(recording) and not content_encoding(head):
        yield from _chunks(recording)
    else:
        yield from _body(body)
    if _is_stream(recording):
        yield from _answer(recording)


def _section(name: str) -> RenderableType:
    return Group("", Text(name, "bold underline"))


def _headers(headers: Headers) -> Text:
    lines = (
        Text.assemble(
            (output.printable(name.decode("latin-1")), "dim"), ": ", output.printable(value.decode("latin-1"))
        )
        for name, value in headers
    )
    return Text("\n").join(lines)


def _body(body: bytes) -> Iterator[RenderableType]:
    if not body:
        return
    yield ""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        yield Text(f"{output.count(len(body), 'byte')}, not text: --json --content has them", "dim")
        return
    try:
        pretty = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        yield Text(output.printable(text))
    else:
        yield JSONHighlighter()(output.printable(pretty))


def _is_stream(recording: Recording) -> bool:
    return _content_type(recording).startswith((_EVENTS, _FRAMES))


def _content_type(recording: Recording) -> str:
    return "" if recording.head is None else answers.header(recording.head.headers, b"content-type")


def _chunks(recording: Recording) -> Iterator[RenderableType]:
    """The stream in the pieces it came in, each with its time since the request."""
    yield ""
    pieces = _frames if _content_type(recording).startswith(_FRAMES) else _lines
    for offset, piece in pieces(recording):
        shown = "\n          ".join(line for line in output.printable(piece).splitlines() if line)
        yield Text.assemble((f"{offset / 1000:7.1f} ms", "dim"), " ", shown)


def _lines(recording: Recording) -> Iterator[tuple[int, str]]:
    """The chunks of a text, each with its time in microseconds."""
    start = 0
    for length, offset in recording.cuts:
        yield offset, recording.body[start : start + length].decode("utf-8", "replace")
        start += length


def _frames(recording: Recording) -> Iterator[tuple[int, str]]:
    """The events in Amazon's binary frames, each with the time in microseconds when it was there."""
    came = list(accumulate(length for length, _ in recording.cuts))
    read = 0
    for frame in frames(recording.body):
        read = frame.end
        told = frame.chunk or frame.payload
        name = frame.error or frame.event
        yield recording.cuts[bisect_left(came, read)][1], f"{name} {told.decode('utf-8', 'replace')}"
    if read < len(recording.body):
        rest = output.count(len(recording.body) - read, "byte")
        yield recording.cuts[-1][1], f"{rest} of a frame that is cut or damaged"


def _answer(recording: Recording) -> Iterator[RenderableType]:
    """What the pieces add up to."""
    answered = answers.read(recording)
    calls = [answers.tool_call(part, cut=False) for part in answered.tool_calls]
    if answered.text or calls:
        yield _section("answer")
    if answered.text:
        yield Text(output.printable(answered.text))
    for call in calls:
        yield Text(call, "magenta")
