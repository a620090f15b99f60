"""``rewind-auto diff``: two runs side by side, aligned by what they ask."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rewind_auto.cli import output
from rewind_auto.cli.comparison import Compared, Comparison
from rewind_auto.core.align import Pair, volatile
from rewind_auto.core.canonical import Canonicalizer
from rewind_auto.core.diff import Change, differences
from rewind_auto.core.model import Session
from rewind_auto.describe import host_class

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"same": "dim", "changed": "yellow", "only_a": "red", "only_b": "green"}
_SAID = {"same": "same", "changed": "changed", "only_a": "only in A", "only_b": "only in B"}


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
        canonicalizer = Canonicalizer(output.ignored(), host_class)
        with output.progress(f"comparing {a.steps + b.steps:,} steps", enough=a.steps + b.steps) as advance:
            found = list(Comparison(store, canonicalizer, advance).of(a, b))
    first = _first(found)
    if options.suggest_ignore:
        _suggest([pair for compared in found for pair in compared.pairs], as_json=options.json)
    elif options.json:
        output.print_json(
            {
                "a": a.id,
                "b": b.id,
                "first_divergence": first[1] if first else None,
                "first_divergence_in": first[0].id if first else None,
                "steps": (_pair_json(compared, pair) for compared in found for pair in compared.pairs),
            }
        )
    else:
        _show(found, everything=options.all)
    return 0


def _changes(pair: Pair) -> list[tuple[str, Change]]:
    """What differs, each with the side of the exchange it is on."""
    changes = [("request", change) for change in pair.changes]
    if pair.a is not None and pair.b is not None:
        changes += [("response", change) for change in differences(pair.a.outcome, pair.b.outcome)]
    return changes


def _first(found: Sequence[Compared]) -> tuple[Session, int] | None:
    """The first step that differs, of A if it has one, and its session."""
    for compared in found:
        for pair in compared.pairs:
            if pair.state != "same":
                session, call = (compared.a, pair.a) if pair.a else (compared.b, pair.b)
                return (session, call.number) if session and call else None
    return None


def _pair_json(compared: Compared, pair: Pair) -> dict[str, Any]:
    return {
        "session_a": compared.a.id if compared.a else None,
        "session_b": compared.b.id if compared.b else None,
        "step_a": pair.a.number if pair.a else None,
        "step_b": pair.b.number if pair.b else None,
        "state": pair.state,
        "changes": [
            {**change.as_dict(), "path": f"{side}.{change.path}" if change.path else side}
            for side, change in _changes(pair)
        ],
    }


def _show(found: Sequence[Compared], *, everything: bool) -> None:
    console = output.console()
    same = 0
    for compared in found:
        pairs = [pair for pair in compared.pairs if everything or pair.state != "same"]
        same += sum(pair.state == "same" for pair in compared.pairs)
        if pairs or compared is found[0]:
            _show_sessions(console, compared)
        for pair in pairs:
            _show_pair(console, pair)
    if same and not everything:
        total = sum(len(compared.pairs) for compared in found)
        console.print(f"{same} of {output.count(total, 'call')} are the same", style="dim")
    first = _first(found)
    if first is None:
        console.print("the runs are the same")
    else:
        session, number = first
        where = "" if session in (found[0].a, found[0].b) else f" of {output.one_line(session.name)}"
        console.print(f"first difference: step {number}{where}", markup=False)


def _show_sessions(console: Console, compared: Compared) -> None:
    from rich.text import Text

    for name, session in (("A", compared.a), ("B", compared.b)):
        if session is not None:
            inside = "  inside" if session.outer else ""
            said = f"  {output.one_line(session.name)}{inside}"
            console.print(Text.assemble((f"{name}  ", "bold"), (output.short(session.id), "yellow"), said))
    console.print()


def _show_pair(console: Console, pair: Pair) -> None:
    from rich.text import Text

    numbers = f"{pair.a.number if pair.a else '-':>5} {pair.b.number if pair.b else '-':>5}  "
    call = pair.a or pair.b
    what = f"{call.request.method} {call.request.url}" if call and pair.state != "changed" else ""
    state = Text.assemble((_SAID[pair.state], _STYLES[pair.state]), f"  {output.printable(what)}")
    output.hang(console, Text(numbers), state)
    for side, change in _changes(pair):
        output.hang(console, Text(" " * 13), Text(f"{side} {output.printable(str(change))}"))


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
