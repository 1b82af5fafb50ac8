"""What stands for many symbols in a spec: a pattern, or the most traded ones of a market.

Which symbols that are is not in the spec: it is resolved from the exchange's own listing (`marketpipeline.selection`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from marketpipeline.venues import split_symbol

__all__ = ["LARGEST_RANK", "RANKED", "Selector", "is_selector", "matches", "selector_of", "selectors_in"]

RANKED = r"top-([1-9][0-9]{0,2})-([^*]+)"
"""The N most traded symbols of a market. No exchange's symbol begins like that."""
LARGEST_RANK = 999


@dataclass(frozen=True, slots=True)
class Selector:
    """`exchange:PATTERN`, in which `*` is any text; or `exchange:top-N-MARKET`, `count` symbols by what was traded of
    them in 24 hours. `market` is what the exchange's adapter calls it (`Instrument.market`), empty for a pattern.
    """

    text: str
    exchange: str
    count: int = 0
    market: str = ""

    def may_choose(self, symbol: str) -> bool:
        """Whether a symbol can be among those that it stands for, as far as names tell."""
        return symbol.startswith(f"{self.exchange}:") if self.market else matches(self.text, symbol)


def is_selector(text: str) -> bool:
    """Whether an entry of `symbols` stands for many; one that is wrongly written counts."""
    name = split_symbol(text)[1]
    return "*" in name or name.startswith("top-")


def selector_of(text: str) -> Selector:
    """The selector that an entry of `symbols` is. Raises ValueError, which says what would be right."""
    exchange, name = split_symbol(text)
    if not name.startswith("top-"):
        return Selector(text, exchange)
    found = re.fullmatch(RANKED, name)
    if found is None:
        raise ValueError(f"{name!r} must be top-N-MARKET with N from 1 to {LARGEST_RANK}, like {exchange}:top-20-USDT")
    return Selector(text, exchange, int(found[1]), found[2])


def selectors_in(symbols: Iterable[str]) -> list[Selector]:
    """Of the entries of `symbols` those that stand for many, in their order."""
    return [selector_of(symbol) for symbol in symbols if is_selector(symbol)]


def matches(pattern: str, symbol: str) -> bool:
    """Whether `exchange:SYMBOL` has the form of `exchange:PATTERN`."""
    return _compiled(pattern).fullmatch(symbol) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))
