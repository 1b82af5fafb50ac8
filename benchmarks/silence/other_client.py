"""Reads trades of two symbols by another library; a line of JSON for each symbol's data, and for what it notices.

Run in an environment of its own: `python other_client.py cryptofeed|ccxt PORT`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

SYMBOLS = {"BTCUSDT": ("BTC", "USDT"), "ETHUSDT": ("ETH", "USDT")}


def say(**what: Any) -> None:
    print(json.dumps({"at": time.monotonic(), **what}), flush=True)


class Noticed(logging.Handler):
    """Whatever the library warns of."""

    def emit(self, record: logging.LogRecord) -> None:
        say(noticed=record.getMessage()[:200])


def cryptofeed(port: int) -> None:
    from cryptofeed import FeedHandler, connection
    from cryptofeed.connection import WebsocketEndpoint
    from cryptofeed.defines import TRADES
    from cryptofeed.exchanges import Binance
    from cryptofeed.symbols import Symbols

    connect = connection.connect

    def connect_plain(address: str, **more: Any) -> Any:
        """It takes no other address than wss://."""
        more.pop("ssl", None)
        return connect(address.replace("wss://", "ws://"), **more)

    connection.connect = connect_plain

    class Local(Binance):  # type: ignore[misc]
        websocket_endpoints = (WebsocketEndpoint(f"wss://127.0.0.1:{port}"),)

    names = {f"{base}-{quote}": name for name, (base, quote) in SYMBOLS.items()}
    Symbols.set(Local.id, names, {"instrument_type": dict.fromkeys(names, "spot"), "tick_size": {}})

    async def trade(found: Any, receipt: float) -> None:
        say(data=found.symbol.replace("-", ""))

    logging.getLogger("feedhandler").addHandler(Noticed(level=logging.WARNING))
    handler = FeedHandler(config={"uvloop": True, "log": {"disabled": True}})
    asyncio.set_event_loop(asyncio.new_event_loop())
    handler.add_feed(Local(symbols=list(names), channels=[TRADES], callbacks={TRADES: trade}))
    handler.run()


async def ccxt(port: int) -> None:
    import ccxt.pro

    exchange = ccxt.pro.binance({"enableRateLimit": False})
    exchange.urls["api"]["ws"]["spot"] = f"ws://127.0.0.1:{port}/ws"
    markets = []
    for name, (base, quote) in SYMBOLS.items():
        kind = {
            "id": name,
            "lowercaseId": name.lower(),
            "symbol": f"{base}/{quote}",
            "base": base,
            "quote": quote,
            "type": "spot",
            "spot": True,
        }
        markets.append(exchange.safe_market_structure(kind | {"precision": {"amount": 1e-8, "price": 1e-8}}))
    exchange.set_markets(markets)

    async def watch(symbol: str) -> None:
        while True:
            try:
                await exchange.watch_trades(symbol)
            except ccxt.BaseError as error:
                say(noticed=str(error)[:200])
                await asyncio.sleep(0.5)
            else:
                say(data=symbol.replace("/", ""))

    await asyncio.gather(*(watch(market["symbol"]) for market in markets))


if __name__ == "__main__":
    library, port = sys.argv[1], int(sys.argv[2])
    if library == "cryptofeed":
        cryptofeed(port)
    else:
        asyncio.run(ccxt(port))
