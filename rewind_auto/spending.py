"""Adds up what calls cost, and what they would have cost had they not been served from a recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rewind_auto.pricing import DIGITS, Prices, has_tokens

if TYPE_CHECKING:
    from rewind_auto.store.contract import Use


@dataclass(slots=True)
class Amount:
    """Tokens, money and time of some calls."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    time_s: float = 0.0
    _usd: float = 0.0
    _priced: bool = False
    _unpriced: bool = False

    def add(
        self, usage: Mapping[str, int] | None, cost_usd: float | None, seconds: float, *, times: int = 1
    ) -> None:
        """Add a call, or several that are alike."""
        self.calls += times
        self.time_s += seconds * times
        if not has_tokens(usage):
            return
        self.input_tokens += usage.get("input_tokens", 0) * times
        self.output_tokens += usage.get("output_tokens", 0) * times
        if cost_usd is None:
            self._unpriced = True
        else:
            self._priced = True
            self._usd += cost_usd * times

    @property
    def cost_usd(self) -> float | None:
        """USD for the tokens whose price is known. None: there are tokens, and for none of them it is."""
        return None if self._unpriced and not self._priced else round(self._usd, DIGITS)

    @property
    def unpriced(self) -> bool:
        """Whether there are tokens whose price is not known."""
        return self._unpriced

    def __bool__(self) -> bool:
        return bool(self.input_tokens or self.output_tokens or self.time_s)

    def json(self) -> dict[str, Any]:
        """The amount as ``--json`` prints it."""
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost_usd,
            "time_s": round(self.time_s, 6),
        }


@dataclass(slots=True)
class Balance:
    """What was spent on live calls and what recordings saved."""

    spent: Amount = field(default_factory=Amount)
    saved: Amount = field(default_factory=Amount)

    def add(self, use: Use, cost_usd: float | None) -> None:
        """Add a recording."""
        seconds = (use.duration_ms or 0.0) / 1000
        if use.live:
            self.spent.add(use.usage, cost_usd, seconds)
        if use.hits:
            self.saved.add(use.usage, cost_usd, seconds, times=use.hits)


@dataclass(slots=True)
class Totals(Balance):
    """A balance, and its share for each provider and model that answered with tokens."""

    models: dict[tuple[str, str], Balance] = field(default_factory=dict)


def add_up(uses: Iterable[Use], prices: Prices) -> Totals:
    """Add up recordings, and price them."""
    totals = Totals()
    for use in uses:
        cost = prices.cost(use.provider, use.model, use.usage, use.started_at)
        totals.add(use, cost)
        if has_tokens(use.usage):
            key = use.provider or "", use.model or ""
            totals.models.setdefault(key, Balance()).add(use, cost)
    return totals
