"""``rewind-auto diff``: two runs side by side, aligned by what they ask."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rewind_auto.cli import answers, output
from rewind_auto.core.align import Call, Pair, align, volatile
from rewind_auto.core.canonical import Canonicalizer
from rewind_auto.core.decode import decode
from rewind_auto.core.diff import Change, differences
from rewind_auto.core.model import Recording, Session
from rewind_auto.describe import host_class

if TYPE_CHECKING:
    from rewind_auto.store.contract import Store

_HTTP_OK = range(200, 300)
# Minted anew for each answer.
_VOLATILE = ("id", "created", "created_at", "system_fingerprint", "responseId", "createTime")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("a", metavar="A", help="a session, as `rewind-auto show` takes it")
    parser.add_argument("b", metavar="B", help="another one")
    parser.add_argument(
        "--suggest-ignore",
        action="store_true",
        help="of two recordings of one program: the REWIND_IGNORE that makes their requests the same",
    )
    parser.add_argument("--all", action="store_true", help="show calls that are the same as well")
    parser.add_argument("--json", action="store_true", help="print an object for programs")


def run(options: argparse.Namespace) -> int:
    """Print what differs.

    Raises:
        UnknownReferenceError: no session, or more than one, answers to a REF.
        StoreError: the store cannot be read.
        SettingsError: REWIND_IGNORE is malformed.
    """
    with closing(output.existing_store(options)) as store:
        a, b = store.resolve(options.a), store.resolve(options.b)
        inside = bool(store.inner(a.id) or store.inner(b.id))
        canonicalizer = Canonicalizer(output.ignored(), host_class)
        with output.progress(f"comparing {a.steps + b.steps:,} steps", enough=a.steps + b.steps) as advance:
            pairs = align(_calls(store, a, canonicalizer, advance), _calls(store, b, canonicalizer, advance))
    if options.suggest_ignore:
        _suggest(pairs, as_json=options.json)
    elif options.json:
        output.print_json(
            {
                "a": a.id,
                "b": b.id,
                "first_divergence": _first(pairs),
                "steps": (_pair_json(pair) for pair in pairs),
            }
        )
    else:
        _show(a, b, pairs, everything=options.all, inside=inside)
    return 0


def _calls(store: Store, session: Session, canonicalizer: Canonicalizer, advance: Any) -> list[Call]:
    calls = []
    for step in store.steps(session.id):
        recording = store.recording(session.id, step.step)
        advance()
        if recording is not None:
            key = canonicalizer.canonical(recording.request)
            calls.append(Call(step.step, key, recording.request, _outcome(recording)))
    return calls


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


def _changes(pair: Pair) -> list[tuple[str, Change]]:
    """What differs, each with the side of the exchange it is on."""
    changes = [("request", change) for change in pair.changes]
    if pair.a is not None and pair.b is not None:
        changes += [("response", change) for change in differences(pair.a.outcome, pair.b.outcome)]
    return changes


def _first(pairs: Sequence[Pair]) -> int | None:
    for pair in pairs:
        if pair.state != "same":
            call = pair.a or pair.b
            return call.number if call else None
    return None


def _pair_json(pair: Pair) -> dict[str, Any]:
    return {
        "step_a": pair.a.number if pair.a else None,
        "step_b": pair.b.number if pair.b else None,
        "state": pair.state,
        "changes": [
            {**change.as_dict(), "path": f"{side}.{change.path}" if change.path else side}
            for side, change in _changes(pair)
        ],
    }


def _show(a: Session, b: Session, pairs: Sequence[Pair], *, everything: bool, inside: bool) -> None:
    from rich.text import Text

    console = output.console()
    styles = {"same": "dim", "changed": "yellow", "only_a": "red", "only_b": "green"}
    said = {"same": "same", "changed": "changed", "only_a": "only in A", "only_b": "only in B"}
    for name, session in (("A", a), ("B", b)):
        console.print(
            Text.assemble(
                (f"{name}  ", "bold"),
                (output.short(session.id), "yellow"),
                f"  {output.one_line(session.name)}",
            )
        )
    console.print()
    same = 0
    for pair in pairs:
        if pair.state == "same" and not everything:
            same += 1
            continue
        numbers = f"{pair.a.number if pair.a else '-':>5} {pair.b.number if pair.b else '-':>5}  "
        call = pair.a or pair.b
        what = f"{call.request.method} {call.request.url}" if call and pair.state != "changed" else ""
        output.hang(
            console,
            Text(numbers),
            Text.assemble((said[pair.state], styles[pair.state]), f"  {output.printable(what)}"),
        )
        for side, change in _changes(pair):
            output.hang(console, Text(" " * 13), Text(f"{side} {output.printable(str(change))}"))
    if same:
        console.print(f"{same} of {len(pairs)} calls are the same", style="dim")
    first = _first(pairs)
    if inside:
        console.print("sessions inside of these are not compared: name them", style="dim")
    console.print("the runs are the same" if first is None else f"first difference: step {first}")


def _suggest(pairs: Sequence[Pair], *, as_json: bool) -> None:
    paths = volatile(pairs)
    rule = ",".join(path for path, _ in paths)
    by = Canonicalizer((*output.ignored(), *(path for path, _ in paths)), host_class)
    changed = [pair for pair in pairs if pair.changes and pair.a and pair.b]
    helped = sum(
        by.canonical(pair.a.request) == by.canonical(pair.b.request) for pair in changed if pair.a and pair.b
    )
    if as_json:
        output.print_json(
            {
                "ignore": rule,
                "paths": [{"path": path, "steps": count} for path, count in paths],
                "changed": len(changed),
                "same_with_it": helped,
            }
        )
        return
    console = output.console()
    for line in _suggestion(paths, rule, len(changed), helped):
        console.print(line, soft_wrap=True)


def _suggestion(paths: Sequence[tuple[str, int]], rule: str, changed: int, helped: int) -> Iterator[str]:
    if not changed:
        yield "nothing to ignore: every call that both made asks the same"
        return
    for path, count in paths:
        yield f"{output.printable(path)}  differs in {output.count(count, 'step')}"
    if rule:
        yield f"REWIND_IGNORE='{rule}'"
    yield f"with it {helped} of {output.count(changed, 'changed request')} would be the same"
