"""``rewind-auto stats``: what was spent on live calls, and what was not because they were served."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rewind_auto import values
from rewind_auto.cli import output
from rewind_auto.cli.source import patiently
from rewind_auto.core.model import Session
from rewind_auto.spending import Amount, Balance, Totals, add_up

if TYPE_CHECKING:
    from rich.console import Console

    from rewind_auto.pricing import Prices
    from rewind_auto.store.contract import Store, Use, Uses

_LONG = 10_000  # steps; from here on it takes long enough to be worth a progress bar
_GAP = "  "
_NAME = 12  # characters


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "ref",
        metavar="REF",
        nargs="?",
        help="one session, with those inside it: an id, a prefix of one, name, last, or trace:<trace id>",
    )
    parser.add_argument("--json", action="store_true", help="print an object for programs")
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=_since,
        default=0.0,
        help="only what began since then: 30m, 12h or 7d ago, or an ISO date or time",
    )


def run(options: argparse.Namespace) -> int:
    """Print the sums.

    Raises:
        StoreError: the store cannot be read.
        UnknownReferenceError: no session, or more than one, answers to the REF.
        SettingsError: the user's prices cannot be read.
    """
    prices = output.prices()
    with closing(output.existing_store(options)) as store:
        session = patiently(lambda: store.resolve(options.ref)) if options.ref else None
        uses, totals = patiently(lambda: _read(store, session, options, prices))
        size = store.size()
    if options.json:
        output.print_json(_described(session, uses, totals, size))
    else:
        _show(session, uses, totals, size, prices)
    return 0


def _read(
    store: Store, session: Session | None, options: argparse.Namespace, prices: Prices
) -> tuple[Uses, Totals]:
    uses = store.uses(session.id if session else None, since=options.since)
    return uses, add_up(uses.each if options.json else _tracked(uses), prices)


def _since(text: str) -> float:
    """Seconds since the epoch."""
    try:
        return time.time() - values.read_seconds(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is neither like 12h nor an ISO date or time") from None


def _tracked(uses: Uses) -> Iterable[Use]:
    """The same, with a progress bar where it takes long and somebody looks."""
    if uses.steps < _LONG:
        return uses.each
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    # Steps that share a recording make the bar jump at the end.
    return track(
        uses.each, "adding up", uses.steps, console=console, transient=True, disable=not console.is_terminal
    )


# --- for programs


def _described(session: Session | None, uses: Uses, totals: Totals, size: int) -> dict[str, Any]:
    described: dict[str, Any] = {} if session is None else {"session": output.session_json(session)}
    return described | {
        "sessions": uses.sessions,
        "steps": uses.steps,
        "hits": uses.hits,
        "saved": totals.saved.json(),
        "spent": totals.spent.json(),
        "models": [
            {
                "provider": provider or None,
                "model": model or None,
                "steps": balance.spent.calls + balance.saved.calls,
                "hits": balance.saved.calls,
                "saved": balance.saved.json(),
                "spent": balance.spent.json(),
            }
            for (provider, model), balance in _in_order(totals)
        ],
        "unpriced": [
            {"provider": provider or None, "model": model or None} for provider, model in _unpriced(totals)
        ],
        "bytes": size,
    }


def _in_order(totals: Totals) -> list[tuple[tuple[str, str], Balance]]:
    """The models, the most expensive first."""

    def weight(item: tuple[tuple[str, str], Balance]) -> tuple[float, int, tuple[str, str]]:
        key, (spent, saved) = item[0], (item[1].spent, item[1].saved)
        tokens = spent.input_tokens + spent.output_tokens + saved.input_tokens + saved.output_tokens
        return -((spent.cost_usd or 0) + (saved.cost_usd or 0)), -tokens, key

    return sorted(totals.models.items(), key=weight)


def _unpriced(totals: Totals) -> list[tuple[str, str]]:
    """Models with tokens that no price is known for."""
    return [key for key, balance in _in_order(totals) if balance.spent.unpriced or balance.saved.unpriced]


# --- for people


def _show(session: Session | None, uses: Uses, totals: Totals, size: int, prices: Prices) -> None:
    from rich.text import Text

    console = output.console()
    if session is None:
        what = f"{output.count(uses.sessions, 'session')}, {output.count(uses.steps, 'step')}"
        console.print(f"{what}, {size / 1e6:,.1f} MB", style="bold")
    else:
        name = Text(output.one_line(session.name), "bold")
        inside = [Text(f"and {uses.sessions - 1} inside")] if uses.sessions > 1 else []
        steps = Text(output.count(uses.steps, "step"))
        console.print(Text("  ").join([name, Text(output.short(session.id), "yellow"), *inside, steps]))
    for amount, what, style in (
        (totals.spent, f"spent  {output.count(totals.spent.calls, 'live call')}", ""),
        (totals.saved, f"saved  {output.count(totals.saved.calls, 'hit')}", "green"),
    ):
        console.print(Text(f"{what}: {output.amount(amount)}" if amount else what, style))
    if totals.models:
        console.print()
        _print_models(console, totals)
    unpriced = _unpriced(totals)
    if prices.missing:
        console.print()
        output.advise_prices(console, prices)
    elif unpriced:
        names = ", ".join(output.printable(" ".join(filter(None, key))) for key in unpriced)
        console.print(f"\nno price is known for {names}; a file named by REWIND_PRICES can say", style="dim")


def _print_models(console: Console, totals: Totals) -> None:
    from rich.table import Table

    names = [output.printable(" ".join(filter(None, key))) for key, _ in _in_order(totals)]
    columns: list[tuple[str, str, list[str]]] = []
    for side, first, style in (("spent", "live", ""), ("saved", "hits", "green")):
        cells = [_cells(getattr(balance, side)) for _, balance in _in_order(totals)]
        if any(map(any, cells)):
            headings = (first, "tokens", "cost")
            columns += [
                (heading, style, [*column]) for heading, *column in zip(headings, *cells, strict=True)
            ]
    # Where the terminal is narrow the names are folded, but rich would go on until nothing of them is left.
    least = _NAME + sum(max(map(len, [heading, *cells])) + len(_GAP) for heading, _, cells in columns)
    console.width = max(console.width, least)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, len(_GAP), 0, 0))
    table.add_column("model", style="bold", overflow="fold")
    for heading, style, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True, style=style)
    for row in zip(names, *(cells for _, _, cells in columns), strict=True):
        table.add_row(*row)
    console.print(table)


def _cells(amount: Amount) -> tuple[str, str, str]:
    if not amount.calls:
        return "", "", ""
    tokens = f"{output.rough(amount.input_tokens)} → {output.rough(amount.output_tokens)}"
    return f"{amount.calls:,}", tokens, output.money(amount.cost_usd)
