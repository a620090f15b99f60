"""``rewind-auto show``: a session and its steps."""

from __future__ import annotations

import argparse
import base64
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rewind_auto.cli import output
from rewind_auto.core import trace_id
from rewind_auto.core.decode import decode, is_cut
from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import Headers, Recording, Session, Step

if TYPE_CHECKING:
    from rewind_auto.pricing import Prices
    from rewind_auto.store.contract import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "ref", metavar="REF", help="session id, a prefix of one, name, last, or trace:<trace id>"
    )
    parser.add_argument("--json", action="store_true", help="print an object for programs")
    parser.add_argument("--content", action="store_true", help="with headers and bodies in full")
    parser.add_argument("--step", metavar="N", type=_number, help="this step alone, in full")


def run(options: argparse.Namespace) -> int:
    """Print the session.

    Raises:
        StoreError: the store cannot be read.
        UnknownReferenceError: no session, or more than one, answers to the REF.
        RewindError: the session has no such step.
        SettingsError: the user's prices cannot be read.
    """
    prices = output.prices()
    with closing(output.existing_store(options)) as store:
        session = store.resolve(options.ref)
        steps = store.steps(session.id)
        if options.step is not None:
            steps = [_pick(session, steps, options.step)]
        if options.json:
            described = (_described(store, step, prices, content=options.content) for step in steps)
            output.print_json({"session": output.session_json(session), "steps": described})
        elif options.content or options.step is not None:
            from rewind_auto.cli import in_full

            console = output.console()
            for step in steps:
                in_full.show(console, session, step, store.recording(session.id, step.step), prices)
        else:
            from rewind_auto.cli import trace

            console = output.console()
            trace.show(console, store, session, steps, prices)
            if note := _in_trace(options.ref, steps):
                console.print(note, style="dim", highlight=False)
    return 0


def step_json(step: Step, prices: Prices) -> dict[str, Any]:
    """A step as ``--json`` prints it."""
    source = step.source
    return {
        "step": step.step,
        "kind": step.kind,
        "decision": step.decision,
        "match": step.match,
        "source": {"session": source.session, "step": source.step} if source else None,
        "library": step.library,
        "provider": step.provider,
        "operation": step.operation,
        "model": step.model,
        "method": step.method,
        "url": step.url,
        "status": step.status,
        "error": step.error,
        "stream": step.stream,
        "complete": step.complete,
        "chunks": step.chunks,
        "usage": step.usage,
        "cost_usd": prices.of_step(step),
        "started_at": output.iso(step.started_at),
        "duration_ms": step.duration_ms,
        "first_chunk_ms": step.first_chunk_ms,
        "trace_id": step.trace_id,
        "span_id": step.span_id,
        "fingerprint": str(step.fingerprint) if step.fingerprint else None,
        "call_site": step.call_site,
        "lane": step.lane,
        "note": step.note,
        "detail": step.detail,
    }


def content_json(recording: Recording | None) -> dict[str, Any]:
    """Headers and bodies as ``--json --content`` adds them; the response as the program read it."""
    request = recording.request if recording else None
    head = recording.head if recording else None
    body = decode(head, recording.body) if recording and head else None
    return {
        "request_headers": _headers(request.headers) if request else None,
        **_body("request", request.body if request else None),
        "response_headers": _headers(head.headers) if head else None,
        **_body("response", body),
        **({"response_cut": True} if head and body and is_cut(head, body) else {}),
    }


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a step")
    return int(text)


def _pick(session: Session, steps: Sequence[Step], number: int) -> Step:
    for step in steps:
        if step.step == number:
            return step
    there = f"they go up to {steps[-1].step}" if steps else "it has none"
    raise RewindError(f"session {output.short(session.id)} has no step {number}: {there}")


def _in_trace(ref: str, steps: Sequence[Step]) -> str:
    """Which steps a ``trace:`` REF is about, where those are not all: a server's session has many traces."""
    if not ref.startswith("trace:"):
        return ""
    wanted = trace_id.parse(ref.removeprefix("trace:"))
    numbers = [str(step.step) for step in steps if step.trace_id == wanted]
    if len(numbers) == len(steps):
        return ""
    return f"in this trace: step{'' if len(numbers) == 1 else 's'} {', '.join(numbers)}"


def _described(store: Store, step: Step, prices: Prices, *, content: bool) -> dict[str, Any]:
    described = step_json(step, prices)
    if content:
        described |= content_json(store.recording(step.session, step.step))
    return described


def _headers(headers: Headers) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


def _body(name: str, body: bytes | None) -> dict[str, str | None]:
    if body is None:
        return {name: None, f"{name}_encoding": None}
    try:
        return {name: body.decode(), f"{name}_encoding": "utf-8"}
    except UnicodeDecodeError:
        return {name: base64.b64encode(body).decode("ascii"), f"{name}_encoding": "base64"}
