"""Whether a file has our tables and nothing that would run.

A database carries code along: triggers, views, and tables of modules run when they are used, and one of them
can go on for ever. A store has none, so a file with one was made by somebody else.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from rewind_auto.core.errors import StoreError
from rewind_auto.store.schema import SCHEMA

_OURS = frozenset(
    (found[1].lower(), found[2])
    for statement in SCHEMA
    if (found := re.match(r"\s*CREATE (?:UNIQUE )?(TABLE|INDEX) (\w+)", statement))
)


def check(db: sqlite3.Connection, path: Path) -> None:
    """Make sure of it, before any table is read.

    Raises:
        StoreError: there is something else in it.
    """
    db.execute("PRAGMA trusted_schema=OFF")
    for kind, name, text in db.execute("SELECT type, name, sql FROM sqlite_master"):
        if str(name).startswith("sqlite_") and kind in ("table", "index"):  # SQLite's own
            continue
        if (kind, name) not in _OURS or "VIRTUAL" in str(text).upper():
            raise StoreError(
                f"{path} is not a store of rewind-auto: it has a {kind} called {str(name)[:40]!r}"
            )
