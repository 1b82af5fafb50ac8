"""The exchanges that the project speaks with, each a subpackage that nothing generic names.

`venues/<name>/__init__.py` holds one `VENUE`, light enough for everyone to import: what validation, the
plan and the operator need to know. It names the adapter (see `venues.adapter`), which ingestion loads when a pipeline
asks for that exchange. An exchange is added by adding a subpackage, or by a plugin: see CONTRIBUTING.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from marketpipeline.registry import discover
from marketpipeline.topics import Feed

__all__ = ["Venue", "split_symbol", "venues"]


@dataclass(frozen=True, slots=True)
class Venue:
    """What can be known of an exchange without speaking to it.

    `symbol_pattern` must match a whole symbol (without the `exchange:` prefix). `book_levels` are the depths
    that its partial-depth feed offers. `websocket_url` and `rest_url` are the public market-data endpoints,
    `websocket_fallbacks` further ones that carry the same streams.
    `max_streams` bounds the streams of one connection. `adapter` is where the adapter is, as `module:NAME`.
    """

    name: str
    symbol_pattern: str
    symbol_example: str
    feeds: frozenset[Feed]
    book_levels: tuple[int, ...]
    websocket_url: str
    rest_url: str
    max_streams: int
    adapter: str
    websocket_fallbacks: tuple[str, ...] = ()

    def accepts(self, symbol: str) -> bool:
        """Whether `symbol` has the form of this exchange; that it is listed is known only when connected."""
        return re.fullmatch(self.symbol_pattern, symbol) is not None


@cache
def venues() -> Mapping[str, Venue]:
    """Every exchange of this release, by its name."""
    return discover(__name__, "VENUE", Venue)


def split_symbol(symbol: str) -> tuple[str, str]:
    """`exchange:SYMBOL` as its two halves."""
    exchange, _, name = symbol.partition(":")
    return exchange, name
