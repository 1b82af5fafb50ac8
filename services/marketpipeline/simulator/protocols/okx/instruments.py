"""What the simulated OKX lists, and what one contract of it stands for, as the real one's most traded ones do."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from marketpipeline.venues.okx.convert import instrument_type

__all__ = ["Sizes", "sizes_of"]

_INVERSE = {"BTC": Decimal(100)}
_LINEAR = {"BTC": Decimal("0.01"), "ETH": Decimal("0.1")}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How an instrument counts. One contract is `value` of `currency`; 1 of the base currency for spot."""

    kind: str
    base: str
    quote: str
    value: Decimal = Decimal(1)
    inverse: bool = False

    @property
    def currency(self) -> str:
        """What `value` is in."""
        return self.quote if self.inverse else self.base

    def of_base(self, quantity: str, price: str) -> str:
        """A quantity in base units as the wire has it."""
        if self.kind == "SPOT":
            return trimmed(quantity)
        contracts = Decimal(quantity) / self.value
        return trimmed(f"{contracts * Decimal(price) if self.inverse else contracts:f}")

    def base_volume(self, contracts: Decimal, by_price: Decimal) -> Decimal:
        """A volume in base units, of contracts and of the sum of price times contracts."""
        if not self.inverse:
            return contracts * self.value
        return contracts * self.value * contracts / by_price if by_price else Decimal(0)

    def quote_volume(self, contracts: Decimal, by_price: Decimal) -> Decimal:
        """The same in quote units."""
        return contracts * self.value if self.inverse else by_price * self.value


@cache
def sizes_of(name: str) -> Sizes:
    """How an instrument counts, by its name."""
    base, quote, *_ = name.split("-")
    kind = instrument_type(name)
    if kind == "SPOT":
        return Sizes(kind, base, quote)
    if quote == "USD":
        return Sizes(kind, base, quote, _INVERSE.get(base, Decimal(10)), inverse=True)
    return Sizes(kind, base, quote, _LINEAR.get(base, Decimal(1)))


def trimmed(number: str) -> str:
    """A number without the zeros at its end."""
    return number.rstrip("0").rstrip(".") if "." in number else number
