"""Stores: where sessions and recordings are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rewind_auto.core.errors import StoreError

if TYPE_CHECKING:
    from rewind_auto.store.contract import Store


def open_store(location: str, *, create: bool = True, patience: float = 0.0) -> Store:
    """The store at a path or ``sqlite:///`` URL. Nothing is opened before it is used.

    Args:
        location: a file path (``~`` is expanded), or ``sqlite:///path``.
        create: whether a missing file is made on first use.
        patience: seconds to wait for another process before `StoreBusyError`: for who has nothing else to do.

    Raises:
        StoreError: no such kind of store.
    """
    from rewind_auto.store.sqlite import SqliteStore

    scheme, sep, rest = location.partition("://")
    if sep and scheme != "sqlite":
        raise StoreError(f"no store of kind {scheme!r}: give a path or sqlite:///path")
    # sqlite:///relative and sqlite:////absolute, as SQLAlchemy reads them.
    path = rest.removeprefix("/") if sep else location
    return SqliteStore(Path(path).expanduser().absolute(), create=create, patience=patience)
