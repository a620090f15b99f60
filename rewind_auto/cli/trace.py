"""A session for people: a line for each step, and below it what came back or what went wrong."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from rewind_auto.cli import answers, output
from rewind_auto.core.address import parts_of
from rewind_auto.core.errors import UnknownReferenceError
from rewind_auto.core.model import Decision, Recording, Session, Step
from rewind_auto.spending import Balance

if TYPE_CHECKING:
    from rich.console import Console

    from rewind_auto.pricing import Prices
    from rewind_auto.store.contract import Store

_HTTP_ERROR = 400
_GAP = "  "
_NAMED = 44  # characters of an operation and its model, or of a method and path


class Cell(NamedTuple):
    """A piece of a step's line."""

    text: str
    style: str = ""


# (heading, whether it is set to the right)
_COLUMNS = (
    ("#", True),
    ("decision", False),
    ("call", False),
    ("tokens", True),
    ("cost", True),
    ("time", True),
    ("first chunk", True),
    ("status", False),
    ("", False),
)
_ALWAYS = ("#", "decision", "call")


def show(console: Console, store: Store, session: Session, steps: Sequence[Step], prices: Prices) -> None:
    """Print a session: where it comes from, its steps, and what they add up to."""
    for line in _heading(store, session):
        _print(console, line)
    if not steps:
        console.print("\nno steps", style="dim")
        return
    console.print()
    costs = [prices.of_step(step) for step in steps]
    table = [_cells(step, cost) for step, cost in zip(steps, costs, strict=True)]
    widths = [
        max(len(heading) if any(row[place].text for row in table) or heading in _ALWAYS else 0,
            *(len(row[place].text) for row in table))
        for place, (heading, _) in enumerate(_COLUMNS)
    ]  # fmt: skip
    _print(console, _line([Cell(heading, "dim") for heading, _ in _COLUMNS], widths))
    indent = widths[0] + widths[1] + 2 * len(_GAP)
    totals = _Totals()
    for step, cost, cells in zip(steps, costs, table, strict=True):
        recording = store.recording(session.id, step.step)
        totals.add(step, recording, cost)
        _print(console, _line(cells, widths))
        if recording is not None:
            _print(console, Text(" " * indent).append_text(_answer(step, recording)))
        for said, style in _remarks(step):
            output.hang(console, Text(" " * indent), Text(said, style))
    console.print()
    console.print(totals.text())
    output.advise_prices(console, prices)


def _print(console: Console, line: Text) -> None:
    """One line, cut to the width."""
    if line.plain.strip():
        console.print(line, no_wrap=True, overflow="ellipsis")


def _heading(store: Store, session: Session) -> Iterator[Text]:
    status = Text(session.status, output.STATUS_COLOURS.get(session.status, ""))
    title = [
        Text(output.one_line(session.name), "bold"),
        Text(output.short(session.id), "yellow"),
        Text(session.mode),
    ]
    if session.parent:
        title.append(Text.assemble("of ", _named(store, session.parent)))
        if session.fork_step:
            title.append(Text(f"from step {session.fork_step} on"))
    yield Text(_GAP).join([*title, status])
    when = [output.local_time(session.started_at), output.duration(output.elapsed(session))]
    yield Text(_GAP.join(filter(None, when)), "dim")
    if session.command:
        yield Text(f"$ {output.printable(shlex.join(session.command))}", "dim")


def _named(store: Store, session_id: str) -> Text:
    short = Text(output.short(session_id), "yellow")
    try:
        return Text.assemble(output.one_line(store.resolve(session_id).name), " ", short)
    except UnknownReferenceError:  # removed since
        return short


def _cells(step: Step, cost: float | None) -> tuple[Cell, ...]:
    usage = step.usage or {}
    read, written = usage.get("input_tokens"), usage.get("output_tokens")
    tokens = f"{'' if read is None else read} → {'' if written is None else written}".strip()
    bad = step.error or (step.status or 0) >= _HTTP_ERROR
    source = step.source
    return (
        Cell(str(step.step)),
        Cell(step.decision, output.COLOURS[step.decision]),
        Cell(output.clipped(_call(step), _NAMED), "bold"),
        Cell(tokens if tokens != "→" else ""),
        Cell(output.money(cost)),
        Cell(output.duration(_seconds(step.duration_ms))),
        Cell(output.duration(_seconds(step.first_chunk_ms if step.stream else None))),
        Cell(str(step.status or ("error" if step.error else "")), "red" if bad else ""),
        Cell(f"← {output.short(source.session)} #{source.step}" if source else "", "green"),
    )


def _call(step: Step) -> str:
    if step.operation:
        return output.printable(f"{step.operation} {step.model or ''}".strip())
    return output.printable(f"{step.method} {parts_of(step.url).path}")


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _line(cells: Sequence[Cell], widths: Sequence[int]) -> Text:
    line = Text()
    for (text, style), width, (_, right) in zip(cells, widths, _COLUMNS, strict=True):
        if width:
            line.append(text.rjust(width) if right else text.ljust(width), style)
            line.append(_GAP)
    line.rstrip()
    return line


def _answer(step: Step, recording: Recording) -> Text:
    if (step.status or 0) >= _HTTP_ERROR:
        return Text(answers.complaint(recording), "red")
    said, called = answers.summary(answers.read(recording))
    return Text(_GAP).join(text for text in (Text(said), Text(called, "magenta")) if text)


def _remarks(step: Step) -> Iterator[tuple[str, str]]:
    """What else is to be said of a step, and in which colour."""
    if step.error:
        yield output.printable(step.error), "red"
    elif step.status and not step.complete and step.decision is not Decision.BYPASS:
        yield f"closed by the program after {output.count(step.chunks, 'chunk')}", "yellow"
    if step.detail.get("downstream_of"):
        yield f"may follow from step {step.detail['downstream_of']}", "yellow"
    if step.note:
        yield output.printable(step.note), "red" if step.decision is Decision.BLOCKED else "yellow"


class _Totals:
    """What the steps add up to: what was spent, and what was not because it was recorded."""

    def __init__(self) -> None:
        self._decisions: Counter[str] = Counter()
        self._balance = Balance()

    def add(self, step: Step, recording: Recording | None, cost: float | None) -> None:
        self._decisions[step.decision] += 1
        seconds = recording.end_us / 1e6 if recording else (step.duration_ms or 0) / 1000
        hit = step.decision is Decision.HIT
        (self._balance.saved if hit else self._balance.spent).add(step.usage, cost, seconds)

    def text(self) -> Text:
        said = Text().append(f"{output.count(self._decisions.total(), 'step')}: ", "bold")
        said.append_text(output.decisions(self._decisions))
        saved, spent = self._balance.saved, self._balance.spent
        if saved:
            said.append(" · ", "dim").append(f"saved {output.amount(saved)}", "green")
        if spent:
            said.append(" · ", "dim").append(f"spent {output.amount(spent)}")
        return said
