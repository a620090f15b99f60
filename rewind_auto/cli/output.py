"""What the verbs share: the store they read, JSON for programs, and a terminal for people."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rewind_auto.core.errors import StoreError
from rewind_auto.core.model import Decision, Session
from rewind_auto.settings import load

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from rewind_auto.pricing import Prices
    from rewind_auto.spending import Amount
    from rewind_auto.store.contract import Store

COLOURS = {
    Decision.HIT: "green",
    Decision.MISS: "blue",
    Decision.RECORD: "cyan",
    Decision.BLOCKED: "bold red",
    Decision.BYPASS: "yellow",
}
STATUS_COLOURS = {"running": "cyan", "interrupted": "yellow", "failed": "red", "diverged": "bold red"}
SHORT_ID = 8  # characters of a session's id that people are shown
_PIPED_WIDTH = 100
_PATIENCE = 10.0  # seconds that a verb waits for a store that another process holds
_LONG = 2000  # pieces of work from which on a bar is shown
_LEAST_WIDTH = 20  # for what is wrapped, however narrow the terminal
# (below so many seconds, unit, number of them in a second, decimals); the limits are what rounds up
_UNITS = ((0.00995, "ms", 1000, 1), (0.9995, "ms", 1000, 0), (9.995, "s", 1, 2), (59.95, "s", 1, 1))
_ROUGHLY = ((1e3, "k"), (1e6, "M"), (1e9, "G"))

# What a terminal would obey or be misled by: controls but for tab and newline, and changes of direction.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def store_path(options: argparse.Namespace) -> str:
    """Absolute path of the store: of ``--store``, else of REWIND_STORE, else the default one.

    Raises:
        SettingsError: REWIND_STORE is malformed.
    """
    given: str | None = options.store
    return given or load(variables("REWIND_STORE")).store


def variables(name: str) -> dict[str, str]:
    """One variable alone: a verb is not stopped by what is wrong with the others."""
    return {name: os.environ.get(name, "")}


def existing_store(options: argparse.Namespace) -> Store:
    """The store to read, which must be there already.

    Raises:
        StoreError: it is not, or it is something else. Nothing was changed.
        SettingsError: see `store_path`.
    """
    from rewind_auto.store import header, open_store

    path = store_path(options)
    header.check(path)
    if not os.path.exists(path) or not os.path.getsize(path):
        raise StoreError(f"no store at {path}: nothing has been recorded there yet")
    return open_store(path, create=False, patience=_PATIENCE)


def prices() -> Prices:
    """What is known of prices, with those of REWIND_PRICES before all others.

    Raises:
        SettingsError: that file cannot be read, or makes no sense.
    """
    from rewind_auto import price_file

    return price_file.load(load({"REWIND_PRICES": os.environ.get("REWIND_PRICES", "")}).prices)


def ignored() -> tuple[str, ...]:
    """The JSON paths that REWIND_IGNORE leaves out.

    Raises:
        SettingsError: it is malformed.
    """
    return load({"REWIND_IGNORE": os.environ.get("REWIND_IGNORE", "")}).ignore


@contextmanager
def progress(what: str, *, enough: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr for long work: call what it gives once for each of ``enough`` pieces."""
    if enough < _LONG or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=enough)
        yield lambda: bar.advance(task)


# --- for programs


def iso(at: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC, with microseconds."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def session_json(session: Session) -> dict[str, Any]:
    """A session as ``--json`` prints it."""
    return {
        "id": session.id,
        "name": session.name,
        "mode": session.mode,
        "status": session.status,
        "parent": session.parent,
        "fork_step": session.fork_step,
        "outer": session.outer,
        "started_at": iso(session.started_at),
        "ended_at": iso(session.ended_at),
        "command": list(session.command),
        "steps": session.steps,
        "decisions": {decision: session.decisions[decision] for decision in _occurring(session.decisions)},
    }


def print_json(value: Mapping[str, Any] | Iterable[Any]) -> None:
    """Print an object with a member a line, or a list with an item a line.

    An iterator, at the top or as a member, is printed as a list while it goes on, however long it is.
    """
    # Not json's own indentation: without it the encoder is the one in C, ten times as fast.
    encode = json.JSONEncoder(ensure_ascii=_json_in_ascii()).encode
    write = sys.stdout.write
    if not isinstance(value, Mapping):
        _print_items(value, encode, "")
        write("\n")
        return
    before = "{\n"
    for name, member in value.items():
        write(f"{before}  {encode(name)}: ")
        if isinstance(member, Iterator):
            _print_items(member, encode, "  ")
        else:
            write(encode(member))
        before = ",\n"
    write("\n}\n")


def _print_items(items: Iterable[Any], encode: Callable[[Any], str], indent: str) -> None:
    write = sys.stdout.write
    before = "[\n"
    for item in items:
        write(f"{before}{indent}  {encode(item)}")
        before = ",\n"
    write("[]" if before == "[\n" else f"\n{indent}]")


def _json_in_ascii() -> bool:
    """Whether the output takes nothing but ASCII, so that JSON has to escape the rest."""
    if not (sys.stdout.encoding or "").lower().startswith("utf"):
        return True
    # Only lone surrogates are left, and this happens to be JSON's own escape for them.
    _on_unencodable("backslashreplace")
    return False


def _on_unencodable(errors: str) -> None:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors=errors)


# --- for people


def console() -> Console:
    """The terminal, or what stands in its place: plain text of a fixed width unless COLUMNS says another."""
    from rich.console import Console

    _on_unencodable("replace")
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else _PIPED_WIDTH
    plain = bool(os.environ.get("NO_COLOR"))  # no escape sequence at all: rich would go on with bold and dim
    return Console(
        width=width,
        color_system=None if plain else "auto",
        markup=False,
        emoji=False,
        highlight=False,
    )


def hang(console: Console, lead: Text, text: Text) -> None:
    """Print ``text`` to the right of ``lead``, in as many lines as it takes."""
    indent = lead.cell_len
    for line in text.wrap(console, max(console.width - indent, _LEAST_WIDTH)):
        line.rstrip()
        console.print(lead.append_text(line), soft_wrap=True)
        lead = lead.blank_copy(" " * indent)


def printable(text: str) -> str:
    """Text of others, made fit for a terminal: what could steer it is replaced."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.expandtabs(4))


def one_line(text: str) -> str:
    """The first line that says something."""
    return next((printable(line.strip()) for line in text.splitlines() if line.strip()), "")


def clipped(text: str, width: int) -> str:
    """The text, cut to so many characters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def short(session_id: str) -> str:
    """A session's id, short enough to read and long enough to type as a REF."""
    return printable(session_id[:SHORT_ID])


def local_time(at: float) -> str:
    """A time of day, here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def duration(seconds: float | None) -> str:
    """A length of time in the unit that suits it; nothing for None."""
    if seconds is None:
        return ""
    for below, unit, number, decimals in _UNITS:
        if seconds < below:
            return f"{seconds * number:.{decimals}f} {unit}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def money(usd: float | None) -> str:
    """US dollars, with two digits that count where it is little; nothing for None."""
    if usd is None:
        return ""
    if usd >= 1:
        return f"${usd:,.2f}"
    decimals = 3 if usd >= 0.01 else 1 - math.floor(math.log10(usd)) if usd else 0  # noqa: PLR2004 - a cent
    return f"${usd:.{decimals}f}"


def rough(number: int) -> str:
    """A count in four digits or less: ``9,999``, ``12.3 k``, ``761 M``."""
    if number < 10_000:  # noqa: PLR2004
        return f"{number:,}"
    # From what rounds up to a thousand on, the next unit.
    size, unit = next(((size, unit) for size, unit in _ROUGHLY if number < 999.5 * size), _ROUGHLY[-1])
    scaled = number / size
    decimals = 0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2  # noqa: PLR2004
    return f"{scaled:,.{decimals}f} {unit}"


def amount(spent: Amount) -> str:
    """``1,250 → 16 tokens, $0.0012, 4.10 s of waiting``."""
    tokens = f"{spent.input_tokens:,} → {spent.output_tokens:,} tokens"
    usd = money(spent.cost_usd) if spent.input_tokens or spent.output_tokens else ""
    return ", ".join(filter(None, (tokens, usd, f"{duration(spent.time_s)} of waiting")))


def advise_prices(console: Console, known: Prices) -> None:
    """Say how to see money, where none could be shown."""
    if known.missing:
        console.print("tokens only; for money: pip install 'rewind-auto[prices]'", style="dim")


def elapsed(session: Session) -> float | None:
    """Seconds that a session took, None while it has no end."""
    return None if session.ended_at is None else max(0.0, session.ended_at - session.started_at)


def size(number: float) -> str:
    """``512 B``, ``1.5 MB``: in powers of ten."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:  # noqa: PLR2004 - so many of one are one of the next
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"


def count(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def decisions(counts: dict[str, int]) -> Text:
    """How often each decision was taken, each in its colour."""
    from rich.text import Text

    said = [Text(f"{counts[decision]} {decision}", COLOURS[decision]) for decision in _occurring(counts)]
    return Text(", ").join(said)


def _occurring(counts: dict[str, int]) -> Iterator[Decision]:
    return (decision for decision in Decision if counts.get(decision))
