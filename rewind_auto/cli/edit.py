"""``rewind-auto edit``: a new fork in which a recorded answer is another one."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rewind_auto.cli import output
from rewind_auto.cli.source import patiently
from rewind_auto.core.decode import decode
from rewind_auto.core.edit import edited
from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import MAX_BODY, Decision, Fingerprint, Match, Mode, Recording, Session, Step
from rewind_auto.providers import rewrite
from rewind_auto.values import read_name

if TYPE_CHECKING:
    from rewind_auto.store.contract import Store

_STATUSES = range(100, 600)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Make a fork of a session in which one recorded answer is another: what if the model had said this?"
        " It has the steps up to that one; `rewind-run --fork` goes on from there with live calls."
    )
    parser.add_argument("ref", metavar="REF", help="a session, as `rewind-auto show` takes it")
    parser.add_argument("--step", metavar="N", type=_number, required=True, help="the step to change")
    answer = parser.add_mutually_exclusive_group()
    answer.add_argument("--text", metavar="TEXT", help="what the model says instead")
    answer.add_argument("--body", metavar="FILE", help="the whole body of the answer; - for standard input")
    parser.add_argument("--status", metavar="CODE", type=_status, help="another HTTP status")
    parser.add_argument(
        "--name", metavar="NAME", type=_name, help="of the new session (default: REF's, edited)"
    )
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Make the fork. Without an answer given, an editor is opened on the recorded one.

    Raises:
        UnknownReferenceError: no session, or more than one, answers to the REF.
        RewindError: the session has no such step, or the step no such answer. Nothing was made.
        StoreError: the store cannot be used.
    """
    with closing(output.existing_store(options)) as store:
        source = store.resolve(options.ref)
        steps = {step.step: step for step in store.steps(source.id)}
        step, recording = steps.get(options.step), store.recording(source.id, options.step)
        if step is None or recording is None or step.decision is Decision.BLOCKED:
            raise RewindError(f"session {source.name} has no recorded answer at step {options.step}")
        if step.inside is not None:  # a fork serves that one whole, and this would not be asked for
            raise RewindError(f"step {options.step} is part of step {step.inside}: edit what that one gave")
        changed = edited(recording, _body(recording, options), status=options.status)
        name = options.name or f"{source.name} edited"
        made = _fork(store, source, list(steps.values()), step, changed, name)
    command = f"rewind-run --fork {made.id[:12]} {shlex.join(source.command) or 'COMMAND'}"
    if options.json:
        output.print_json(
            {"id": made.id, "name": name, "parent": source.id, "fork_step": step.step, "command": command}
        )
    else:
        console = output.console()
        made_of = f"{output.short(made.id)} {output.one_line(name)}"
        console.print(f"made {made_of}, which says something else at step {step.step}")
        console.print(f"to go on from there: {output.printable(command)}", soft_wrap=True)
    return 0


def _body(recording: Recording, options: argparse.Namespace) -> bytes:
    body = decode(recording.head, recording.body, MAX_BODY) if recording.head else b""
    if options.text is not None:
        changed = rewrite.with_text(body, options.text)
        if changed is None:
            raise RewindError("this answer has no text of the model's to replace: give its --body")
        return changed
    if options.body == "-":
        return sys.stdin.buffer.read()
    if options.body is not None:
        try:
            return Path(options.body).read_bytes()
        except OSError as error:
            raise RewindError(f"cannot read {options.body}: {error.strerror}") from None
    return body if options.status is not None else _in_editor(body)


def _in_editor(body: bytes) -> bytes:
    """What the user makes of a body in an editor.

    Raises:
        RewindError: there is none, it failed, or nothing was changed.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise RewindError("say what is answered instead: --text, --body, --status, or set EDITOR")
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(body)
        file.flush()
        try:
            done = subprocess.run([*shlex.split(editor), file.name], check=False)
        except OSError as error:
            raise RewindError(f"cannot run {editor}: {error.strerror}") from None
        if done.returncode:
            raise RewindError(f"{editor} ended with {done.returncode}: nothing was changed")
        changed = Path(file.name).read_bytes()
    if changed == body:
        raise RewindError("nothing was changed")
    return changed


def _fork(
    store: Store, source: Session, steps: list[Step], step: Step, recording: Recording, name: str
) -> Session:
    """A session with the steps before this one as they were, and this one anew."""
    now = time.time()
    made = Session(
        os.urandom(16).hex(), name, Mode.FORK, parent=source.id, fork_step=step.step, started_at=now,
        command=source.command, llm_hosts=source.llm_hosts, tool_hosts=source.tool_hosts,
        session_by=source.session_by, pid=os.getpid(),
    )  # fmt: skip
    patiently(lambda: store.begin(made))
    for earlier in steps:
        if earlier.step >= step.step:
            break
        fingerprint = earlier.fingerprint or Fingerprint(b"", b"")
        hit = replace(
            earlier, session=made.id, step=0, source=None, note=None, detail={}, fingerprint=fingerprint
        )
        claim = partial(store.claim_step, hit, source.id, earlier.step, Match.EXACT)
        if patiently(claim) is None:
            raise RewindError(f"step {earlier.step} of {source.name} keeps no answer")
    anew = replace(
        step,
        session=made.id,
        step=0,
        decision=Decision.RECORD,
        match=None,
        source=None,
        status=recording.head.status if recording.head else None,
        error=None,
        complete=True,
        chunks=len(recording.cuts),
        usage=None,
        trace_id=None,
        span_id=None,
        started_at=now,
        note=f"edited: step {step.step} of {source.name}",
        detail={},
    )
    patiently(store.prepare(anew, recording))
    patiently(lambda: store.finish(made.id, "completed"))
    return made


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a step")
    return int(text)


def _status(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) in _STATUSES):
        raise argparse.ArgumentTypeError(f"{text!r} is not an HTTP status")
    return int(text)


def _name(text: str) -> str:
    try:
        return read_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
