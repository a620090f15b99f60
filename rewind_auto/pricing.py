"""What a call cost: tokens into US dollars, by the user's own prices first and then by genai-prices.

An estimate by list price: batches, service tiers, discounts and what is not billed by the token (searches,
images, seconds) are not known here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeGuard

from rewind_auto.core import guard

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

    from rewind_auto.core.model import Step
    from rewind_auto.price_file import OwnPrice

Usage = Mapping[str, int]
"""Tokens, as `rewind_auto.providers.info.ResponseInfo.usage` has them."""

MILLION = 1_000_000
DIGITS = 12  # after the point of a dollar: a token costs 1e-8 and more, the rest is rounding

# gen_ai.provider.name -> id in genai-prices. Who is not here has no prices there.
PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "cohere": "cohere",
    "mistral_ai": "mistral",
    "groq": "groq",
    "together_ai": "together",
    "deepseek": "deepseek",
    "openrouter": "openrouter",
    "x_ai": "x-ai",
    "fireworks_ai": "fireworks",
    "perplexity": "perplexity",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "aws.bedrock": "aws",
    "cerebras": "cerebras",
    "minimax": "minimax",
    "moonshot_ai": "moonshotai",
    "novita": "novita",
    "voyageai": "voyageai",
    "z_ai": "zai",
}
# What speaks like one of these may be a gateway to any other: the model's name says whose it is.
_BY_SHAPE = ("openai", "anthropic", "gcp.gemini", "custom", "vercel")
_BY_NAME = "litellm"  # how genai-prices calls "take the provider from the model's name, or its prefix"


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices of a model: USD per million tokens, and per request."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    request: float = 0.0

    def cost(self, usage: Usage) -> float:
        """USD for one call."""
        read, written = usage.get("cache_read_input_tokens", 0), usage.get("cache_write_input_tokens", 0)
        # Some gateways leave the cached ones out of the input.
        plain = max(usage.get("input_tokens", 0) - read - written, 0)
        tokens = (
            plain * self.input
            + read * self.cache_read
            + written * self.cache_write
            + usage.get("output_tokens", 0) * self.output
        )
        return round(tokens / MILLION + self.request, DIGITS)


def has_tokens(usage: Usage | None) -> TypeGuard[Usage]:
    """Whether there is anything in it that a price could be known for."""
    return usage is not None and ("input_tokens" in usage or "output_tokens" in usage)


class Prices:
    """What is known of prices.

    Args:
        own: the user's prices. The first that fits goes before genai-prices.

    Attributes:
        missing: whether a price was wanted of genai-prices and it is not installed.
    """

    def __init__(self, own: Sequence[OwnPrice] = ()) -> None:
        self._own = own
        self._own_rates: dict[tuple[str | None, str], Rates | None] = {}
        self._listed: _Listed | None = None
        self.missing = False

    def of_step(self, step: Step) -> float | None:
        """USD that a step cost, or for a hit what its recording had cost. None: not known."""
        return self.cost(step.provider, step.model, step.usage, step.recorded_at or step.started_at)

    def cost(self, provider: str | None, model: str | None, usage: Usage | None, at: float) -> float | None:
        """USD for the tokens of a call made at ``at`` (seconds since the epoch). None: not known."""
        if not model or not has_tokens(usage):
            return None
        key = provider, model
        if key not in self._own_rates:
            fitting = (own.rates for own in self._own if own.fits(provider, model))
            self._own_rates[key] = next(fitting, None)
        rates = self._own_rates[key] or self._list_rates(provider or "", model, usage, at)
        return rates.cost(usage) if rates else None

    def _list_rates(self, provider: str, model: str, usage: Usage, at: float) -> Rates | None:
        if self.missing or (provider not in PROVIDERS and provider not in _BY_SHAPE):
            return None
        try:
            if self._listed is None:
                self._listed = _Listed()
            return self._listed.rates(provider, model, usage.get("input_tokens", 0), at)
        except ImportError:
            self.missing = True
        except Exception as error:  # noqa: BLE001 - a release of it that we do not know: no price, no harm
            guard.report("genai-prices", error)
        return None


class _Listed:
    """Prices of genai-prices, from the data that it was released with: nothing is fetched.

    Its own ``calc_price`` takes 130 µs a call. A price is linear in the tokens, apart from models that cost
    more from some size of input on, so it is asked once for each of these sizes.

    Raises:
        ImportError: it is not installed.
    """

    def __init__(self) -> None:
        # Takes 0.2 s, and loads httpx2 and pydantic.
        from genai_prices import data_snapshot

        self._snapshot = data_snapshot.get_snapshot()
        self._models: dict[tuple[str, str], ModelInfo | None] = {}
        self._tables: dict[int, _Table] = {}

    def rates(self, provider: str, model: str, input_tokens: int, at: float) -> Rates | None:
        key = provider, model
        if key not in self._models:
            self._models[key] = self._find(provider, model)
        known = self._models[key]
        if known is None:
            return None
        price = known.get_prices(datetime.fromtimestamp(at, UTC))
        table = self._tables.get(id(price))
        if table is None:
            table = self._tables[id(price)] = _Table(price)
        return table.rates(input_tokens)

    def _find(self, provider: str, model: str) -> ModelInfo | None:
        places = [PROVIDERS[provider]] if provider in PROVIDERS else []
        if provider in _BY_SHAPE:
            places.append(_BY_NAME)
        for place in places:
            try:
                return self._snapshot.find_provider_model(model, None, place, None)[1]
            except LookupError:
                continue
        return None


class _Table:
    """A model's price at some time, by the size of the input."""

    def __init__(self, price: ModelPrice) -> None:
        from genai_prices.types import TieredPrices

        self._price = price  # kept: its id is what it is found by
        tiered = [value for value in vars(price).values() if isinstance(value, TieredPrices)]
        self._starts = sorted({tier.start for value in tiered for tier in value.tiers})
        self._rates: dict[int, Rates | None] = {}

    def rates(self, input_tokens: int) -> Rates | None:
        tier = bisect_left(self._starts, input_tokens)  # one begins above its start
        if tier not in self._rates:
            self._rates[tier] = self._asked(self._starts[tier - 1] + 1 if tier else 0)
        return self._rates[tier]

    def _asked(self, size: int) -> Rates | None:
        """The prices that hold for inputs of this size."""
        from genai_prices import Usage as Tokens
        from genai_prices.types import ModelPrice, TieredPrices

        if self._price.input_mtok is None and self._price.output_mtok is None:
            return None  # by the second or the image, or nobody knows
        flat: dict[str, Any] = {}
        for name, value in vars(self._price).items():
            if isinstance(value, TieredPrices):
                reached = [tier.price for tier in value.tiers if tier.start < size]  # in ascending order
                flat[name] = reached[-1] if reached else value.base
            else:
                flat[name] = value
        price = ModelPrice(**flat)

        def asked(**tokens: int) -> float:
            return float(price.calc_price(Tokens(**tokens))["total_price"])

        request = asked()
        return Rates(
            input=asked(input_tokens=MILLION) - request,
            output=asked(output_tokens=MILLION) - request,
            cache_read=asked(input_tokens=MILLION, cache_read_tokens=MILLION) - request,
            cache_write=asked(input_tokens=MILLION, cache_write_tokens=MILLION) - request,
            request=request,
        )
