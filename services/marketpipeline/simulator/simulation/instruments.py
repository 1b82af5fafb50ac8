"""What is traded on the simulated market: price level, tick and lot of each symbol."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from decimal import Decimal

__all__ = ["BASES", "DEFAULT_SYMBOLS", "Instrument", "day_volume", "instrument"]

DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT")

_PRICES = {"BTC": 61_800.0, "ETH": 2_680.0, "BNB": 510.0, "SOL": 155.0, "XRP": 0.61, "DOGE": 0.104, "ADA": 0.34}
"""Where the symbols that people know start, so that a first look is familiar."""
BASES = (
    *_PRICES,
    "AVAX",
    "LINK",
    "DOT",
    "LTC",
    "TRX",
    "UNI",
    "ATOM",
    "ETC",
    "FIL",
    "APT",
    "ARB",
    "OP",
    "NEAR",
    "INJ",
    "SUI",
)
"""Currencies of a market that has more than the symbols that were asked for."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """`tick` and `lot` are the steps of price and quantity; prices of the engine are multiples of them."""

    symbol: str
    start: float
    tick: Decimal
    lot: Decimal

    def price(self, ticks: int) -> str:
        """A price as the wire has it."""
        return f"{ticks * self.tick:.8f}"

    def quantity(self, lots: int) -> str:
        """A quantity as the wire has it."""
        return f"{lots * self.lot:.8f}"

    def lots(self, notional: float, ticks: float) -> int:
        """As many lots as `notional` (quote units) buys at a price, at least one."""
        return max(1, round(notional / (ticks * float(self.tick)) / float(self.lot)))


def day_volume(symbol: str) -> float:
    """What was traded of a symbol on the day before the market opened, in quote units: less from base to base."""
    place = next((place for place, base in enumerate(BASES) if symbol.startswith(base)), len(BASES))
    share = 1 if "USDT" in symbol else 4
    return 2e9 / math.pow(place + 1, 1.5) / share + zlib.crc32(symbol.encode()) % 1000


def instrument(symbol: str) -> Instrument:
    """A symbol's instrument; one that is not known by name gets a price that follows from its name."""
    start = next((price for base, price in _PRICES.items() if symbol.startswith(base)), 0.0)
    if not start:
        start = round(10 ** (zlib.crc32(symbol.encode()) % 4000 / 1000), 2) + 0.01
    magnitude = math.floor(math.log10(start))
    tick = Decimal(10) ** max(magnitude - 6, -8)
    lot = Decimal(10) ** min(0, -max(0, magnitude + 1))
    return Instrument(symbol, start, tick, lot)
