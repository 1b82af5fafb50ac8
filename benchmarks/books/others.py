"""Other libraries' books from damaged changes: `python others.py LIBRARY CAPTURE SEED`; prints JSON.

Run in an environment of its own, by the folder that this file is in. What a library asks of REST it is given at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from trial import DAMAGES, Exchange, judge  # type: ignore[import-not-found]  # the folder that it is run by


class Warnings(logging.Handler):
    """Counts what the library says."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


class Cryptofeed:
    """Its Binance feed, without sockets."""

    def __init__(self, exchange: Exchange, symbol: str) -> None:
        from cryptofeed.defines import L2_BOOK
        from cryptofeed.exchanges import Binance
        from cryptofeed.symbols import Symbols

        pair = f"{symbol[:-4]}-USDT"
        Symbols.set(Binance.id, {pair: symbol}, {"instrument_type": {pair: "spot"}})
        self._heard = Warnings()
        logging.getLogger("feedhandler").addHandler(self._heard)

        async def on_book(book: Any, receipt: float) -> None:
            """Read below."""

        self._feed = Binance(symbols=[pair], channels=[L2_BOOK], callbacks={L2_BOOK: on_book})
        self._feed.http_conn = self
        self._feed._reset()
        self._exchange, self._pair = exchange, pair

    @property
    def errors(self) -> int:
        return self._heard.count

    async def read(self, url: str) -> str:
        return json.dumps(self._exchange.snapshot())

    async def pass_until(self, seconds: float) -> None:
        """It waits for nothing."""

    async def take(self, seconds: float, frame: bytes) -> None:
        await self._feed.message_handler(frame.decode(), None, seconds)

    def best(self) -> tuple[float, float] | None:
        if self._pair not in self._feed._l2_book:
            return None
        book = self._feed._l2_book[self._pair].book
        return float(book.bids.index(0)[0]), float(book.asks.index(0)[0])


class Ccxt:
    """`watch_order_book` of its Binance, without sockets: an error makes the caller ask again, as its examples do."""

    def __init__(self, exchange: Exchange, symbol: str) -> None:
        import ccxt.pro

        self.errors = 0
        self._symbol, self._exchange = f"{symbol[:-4]}/USDT", exchange
        self._api = ccxt.pro.binance({"enableRateLimit": False})
        kind = {
            "id": symbol,
            "symbol": self._symbol,
            "base": symbol[:-4],
            "quote": "USDT",
            "type": "spot",
            "spot": True,
        }
        kind |= {"spot": True, "lowercaseId": symbol.lower(), "precision": {"amount": 1e-8, "price": 1e-8}}
        self._api.set_markets([self._api.safe_market_structure(kind)])

        async def snapshot(name: str, limit: int, params: Any) -> Any:
            body = exchange.snapshot()
            book = self._api.parse_order_book(body, name)
            book["nonce"] = body["lastUpdateId"]
            return book

        self._api.fetch_rest_order_book_safe = snapshot
        self.url = "wss://stream.binance.com:9443/ws"
        self._api.asyncio_loop = asyncio.get_running_loop()
        self.subscriptions: dict[str, Any] = {}
        self._subscribed = False

    def resolve(self, book: Any, name: str) -> None:
        """A book for who waits."""

    def reject(self, error: Exception, name: str = "") -> None:
        self.errors += 1
        self._subscribed = False

    async def pass_until(self, seconds: float) -> None:
        if not self._subscribed:
            self._subscribed = True
            self._api.handle_order_book_subscription(self, {}, {"symbol": self._symbol, "type": "spot", "params": {}})
            await self._settle()

    async def take(self, seconds: float, frame: bytes) -> None:
        self._api.handle_order_book(self, json.loads(frame)["data"])
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def best(self) -> tuple[float, float] | None:
        book = self._api.orderbooks.get(self._symbol)
        if book is None or book["nonce"] is None or not book["bids"]:
            return None
        return float(book["bids"][0][0]), float(book["asks"][0][0])


READERS: dict[str, Any] = {"cryptofeed": Cryptofeed, "ccxt": Ccxt}


async def main(library: str, path: Path, seed: int) -> None:
    symbol = path.name.split("_")[1].upper()

    async def make(exchange: Exchange) -> Any:
        return READERS[library](exchange, symbol)

    print(json.dumps({damage: await judge(path, damage, seed, make) for damage in DAMAGES}))


if __name__ == "__main__":
    logging.disable(logging.INFO)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
