"""Binance spot: what is known of it without speaking to it. Facts: its public API documentation."""

from __future__ import annotations

from marketpipeline.topics import EXCHANGE_FEEDS
from marketpipeline.venues import Venue

__all__ = ["VENUE"]

VENUE = Venue(
    name="binance",
    # Its own rule is [A-Z0-9-_.]{1,20}, and it lists names that are not in ASCII: of ASCII these characters only.
    symbol_pattern=r"[^\x00-\x2c\x2f\x3a-\x40\x5b-\x5e\x60-\x7f]{1,20}",
    symbol_example="BTCUSDT",
    feeds=frozenset(EXCHANGE_FEEDS),
    book_levels=(5, 10, 20),
    websocket_url="wss://data-stream.binance.vision",
    rest_url="https://data-api.binance.vision",
    max_streams=1024,
    adapter="marketpipeline.venues.binance.adapter:ADAPTER",
    websocket_fallbacks=("wss://stream.binance.com:9443", "wss://stream.binance.com:443"),
)
