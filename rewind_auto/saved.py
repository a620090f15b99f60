"""What recordings have saved the session that this process belongs to."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rewind_auto import inner, settings
from rewind_auto.core import guard

if TYPE_CHECKING:
    from rewind_auto.pricing import Prices
    from rewind_auto.spending import Amount
    from rewind_auto.store.contract import Store

_PATIENCE, _PAUSE = 0.050, 0.001  # seconds


@dataclass(frozen=True, slots=True)
class SavingsSnapshot:
    """What was not spent, because calls were served from recordings.

    Attributes:
        hits: calls that were served.
        input_tokens: input tokens (cached ones included) that the recorded calls had used.
        output_tokens: output tokens (reasoning included) that they had used.
        cost_usd: US dollars by list price, at the time of the recorded calls. Models without a known price
            are left out; None when there are tokens and none of them has one.
        time_s: seconds that the recorded calls had taken.
    """

    hits: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    time_s: float = 0.0

    # What the earlier interface called them.

    @property
    def cache_hits(self) -> int:
        """The same as ``hits``."""
        return self.hits

    @property
    def tokens_saved_in(self) -> int:
        """The same as ``input_tokens``."""
        return self.input_tokens

    @property
    def tokens_saved_out(self) -> int:
        """The same as ``output_tokens``."""
        return self.output_tokens

    @property
    def cost_saved_usd_estimate(self) -> float:
        """The same as ``cost_usd``, with 0 where that is None."""
        return self.cost_usd or 0.0


_readers: dict[str, Store] = {}


def savings() -> SavingsSnapshot:
    """What the session of this process has saved so far: all its threads and processes, children included.

    Within a `session` of the program's own it is that one. Sessions inside count too.

    Asks the store, on a connection of its own that holds up no call: about 30 µs for each call that was
    served. Prices are loaded (0.2 s, once) when there is something to price that no price of the user's
    fits. Zeros before the first call, and after `uninstall` where that ended the session.

    Raises:
        SettingsError: the file that REWIND_PRICES names cannot be read or makes no sense.
    """
    try:
        current = settings.current()
    except settings.SettingsError:
        return SavingsSnapshot()  # nothing is recorded then, which has been said
    prices = _prices(current.prices)
    opened = inner.current()
    session_id = opened.run.session.id if opened and opened.run else current.session_id
    if session_id and os.path.exists(current.store):
        with guard.swallow("savings"):
            return _read(current.store, session_id, prices)
    return SavingsSnapshot()


def _read(path: str, session_id: str, prices: Prices | None) -> SavingsSnapshot:
    from rewind_auto.core.errors import StoreError, UnknownReferenceError
    from rewind_auto.store import open_store

    # Kept, and closed after each use: a store's fork hooks are for good.
    reader = _readers.get(path) or _readers.setdefault(path, open_store(path, create=False))
    try:
        saved = _patiently(reader, session_id, prices)
    except UnknownReferenceError:
        return SavingsSnapshot()  # no call yet
    except StoreError as error:
        guard.warn_once("savings", f"savings are not known: {error}")
        return SavingsSnapshot()
    finally:
        reader.close()
    tokens = saved.input_tokens, saved.output_tokens
    return SavingsSnapshot(saved.calls, *tokens, saved.cost_usd, round(saved.time_s, 6))


def _patiently(reader: Store, session_id: str, prices: Prices | None) -> Amount:
    from rewind_auto.core.errors import StoreBusyError
    from rewind_auto.pricing import Prices
    from rewind_auto.spending import add_up

    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return add_up(reader.uses(session_id).each, prices or Prices()).saved
        except StoreBusyError:  # by whoever opens or closes it right now: readers wait for nobody else
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def _prices(path: str | None) -> Prices | None:
    if path is None:
        return None
    from rewind_auto import price_file

    return price_file.load(path)
