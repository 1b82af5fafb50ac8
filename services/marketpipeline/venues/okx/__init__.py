"""OKX v5: spot, perpetual swaps and dated futures. Facts: its public documentation and change log, and a capture."""

from __future__ import annotations

from marketpipeline.topics import EXCHANGE_FEEDS
from marketpipeline.venues import Venue

__all__ = ["VENUE"]

VENUE = Venue(
    name="okx",
    # BASE-QUOTE, and BASE-QUOTE-SWAP or BASE-QUOTE-YYMMDD for contracts; a family may have a suffix (BTC-USD_UM-SWAP).
    symbol_pattern=r"[A-Z0-9]{1,20}-[A-Z0-9_]{1,20}(-SWAP|-[0-9]{6})?",
    symbol_example="BTC-USDT",
    feeds=frozenset(EXCHANGE_FEEDS),
    book_levels=(5,),
    websocket_url="wss://ws.okx.com:8443",
    rest_url="https://www.okx.com",
    max_streams=300,
    adapter="marketpipeline.venues.okx.adapter:ADAPTER",
)
