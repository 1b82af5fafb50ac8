"""An exchange that differs from the built-in one wherever the contract lets it: see its adapter."""

from __future__ import annotations

from marketpipeline.topics import Feed
from marketpipeline.venues import Venue

__all__ = ["VENUE"]

VENUE = Venue(
    name="lamplight",
    symbol_pattern=r"[A-Z]{1,10}-[A-Z]{2,5}",
    symbol_example="OIL-EUR",
    feeds=frozenset({Feed.BOOK, Feed.TRADES, Feed.CANDLES}),
    book_levels=(),
    websocket_url="wss://stream.lamplight.example",
    rest_url="https://lamplight.example",
    max_streams=100,
    adapter="toys.lamplight.adapter:ADAPTER",
)
