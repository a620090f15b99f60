"""The user's own prices: a TOML file, or a JSON file of the same shape.

[[prices]]
model = "gpt-4o-mini*"   # as `rewind-auto show` names it; * stands for anything; case does not matter
provider = "openai"      # optional; as `rewind-auto show --json` names it
input = 0.15             # USD per million tokens
output = 0.60
cache_read = 0.075       # of input tokens read from and written to a cache; like input if left out
cache_write = 0.15
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from dataclasses import dataclass
from typing import Any

from rewind_auto.pricing import Prices, Rates
from rewind_auto.settings import SettingsError

_NEEDED = ("input", "output")
_OPTIONAL = ("cache_read", "cache_write")


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """One entry of the file."""

    model: re.Pattern[str]
    provider: str | None
    rates: Rates

    def fits(self, provider: str | None, model: str) -> bool:
        """Whether it is the price of this model."""
        return self.provider in (None, provider) and self.model.fullmatch(model) is not None


def load(path: str | None) -> Prices:
    """Prices, with those of the file at ``path`` before all others.

    Raises:
        SettingsError: the file cannot be read, or says what makes no sense.
    """
    if path is None:
        return Prices()
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
        document = json.loads(text) if path.lower().endswith(".json") else tomllib.loads(text)
        return Prices(_entries(document))
    except OSError as error:
        reason = error.strerror or str(error)
    except RecursionError:
        reason = "is nested too deeply"
    except (ValueError, OverflowError) as error:  # what the parsers raise is one, too
        reason = str(error)
    raise SettingsError(f"REWIND_PRICES={path!r}: {reason}")


def _entries(document: Any) -> tuple[OwnPrice, ...]:
    entries = document.get("prices") if isinstance(document, dict) else None
    if not isinstance(entries, list) or set(document) != {"prices"}:
        raise ValueError("is not a list of prices, each with a model, an input and an output price")
    return tuple(_entry(number, entry) for number, entry in enumerate(entries, 1))


def _entry(number: int, entry: Any) -> OwnPrice:
    if not isinstance(entry, dict):
        raise ValueError(f"price {number} is not a table")  # noqa: TRY004 - the file is wrong, not the caller
    unknown = sorted(set(entry) - {"model", "provider", *_NEEDED, *_OPTIONAL})
    if unknown:
        raise ValueError(f"price {number} has an unknown {unknown[0]!r}")
    model, provider = entry.get("model"), entry.get("provider")
    if not isinstance(model, str) or not model:
        raise ValueError(f"price {number} has no model")
    if provider is not None and not isinstance(provider, str):
        raise ValueError(f"price {number}: its provider is not a text")
    usd = {name: _number(number, name, entry[name]) for name in (*_NEEDED, *_OPTIONAL) if name in entry}
    missing = [name for name in _NEEDED if name not in usd]
    if missing:
        raise ValueError(f"price {number} has no {missing[0]} price")
    for name in _OPTIONAL:
        usd.setdefault(name, usd["input"])
    pattern = ".*".join(re.escape(part) for part in model.split("*"))
    return OwnPrice(re.compile(pattern, re.IGNORECASE | re.DOTALL), provider, Rates(**usd))


def _number(number: int, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"price {number}: its {name} price is not a number from 0 up")
    return float(value)
