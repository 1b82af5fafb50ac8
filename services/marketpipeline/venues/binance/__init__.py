"""Binance spot: what is known of it without speaking to it. Facts: its public API documentation."""

from __future__ import annotations

from marketpipeline.topics import Feed
from marketpipeline.venues import Venue

__all__ = ["VENUE"]

VENUE = Venue(
    name="binance",
    symbol_pattern=r"[A-Z0-9]{5,20}",
    symbol_example="BTCUSDT",
    feeds=frozenset(Feed),
    book_levels=(5, 10, 20),
    websocket_url="wss://data-stream.binance.vision",
    rest_url="https://data-api.binance.vision",
    max_streams=1024,
)
