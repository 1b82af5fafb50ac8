"""cryptofeed's own handlers with a Kafka producer in their callbacks, on the same frames.

Run by a Python that has cryptofeed, confluent-kafka and nothing of this project:
`python cryptofeed_handlers.py CAPTURE_OF_FRAMES PRODUCER_CONFIG TOPIC_PREFIX`. Frames are one a line, the first line is
the REST snapshot. cryptofeed knows no `trade` stream, only `aggTrade`: those frames come renamed (`e`, and `t` as `a`).
The callbacks make of each event the record that ours make, with the json library that cryptofeed brings.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from confluent_kafka import KafkaError, Producer
from cryptofeed.defines import ASK, BID, L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols
from yapic import json

LEVELS = 20
EVERY = 500
SYMBOL = "BTCUSDT"


class Snapshot:
    """Answers the one REST request of the feed from memory."""

    def __init__(self, body: str) -> None:
        self.body = body

    async def read(self, url: str) -> str:
        return self.body


def main(path: str, config: str, prefix: str) -> None:
    with open(path, encoding="utf-8") as lines:
        snapshot = next(lines)
        frames = [line.rstrip("\n") for line in lines]
    failures: list[KafkaError | None] = []
    producer = Producer(
        json.loads(config) | {"on_delivery": lambda e, m: failures.append(e), "delivery.report.only.error": True}
    )
    produce, produced = producer.produce, [0]
    key = b"binance:" + SYMBOL.encode()

    def put(kind: str, record: dict[str, Any]) -> None:
        produced[0] += 1
        produce(f"{prefix}.{kind}", json.dumpb(record), key, 0)

    async def on_trade(trade: Any, receipt: float) -> None:
        put(
            "trades",
            {
                "type": "trade",
                "v": 1,
                "symbol": "binance:BTCUSDT",
                "event_time": None,
                "trade_time": int(trade.timestamp * 1e6),
                "receive_time": int(receipt * 1e6),
                "trade_id": int(trade.id),
                "price": float(trade.price),
                "quantity": float(trade.amount),
                "taker_side": trade.side,
                "backfilled": False,
            },
        )

    async def on_quote(quote: Any, receipt: float) -> None:
        put(
            "quotes",
            {
                "type": "quote",
                "v": 1,
                "symbol": "binance:BTCUSDT",
                "event_time": None,
                "receive_time": int(receipt * 1e6),
                "update_id": quote.raw["u"],
                "bid_price": float(quote.bid),
                "bid_quantity": float(quote.raw["B"]),
                "ask_price": float(quote.ask),
                "ask_quantity": float(quote.raw["A"]),
            },
        )

    async def on_book(book: Any, receipt: float) -> None:
        sides = {
            side: [
                (float(price), float(quantity))
                for price, quantity in (book.book[side].index(n) for n in range(min(LEVELS, len(book.book[side]))))
            ]
            for side in (BID, ASK)
        }
        put(
            "book",
            {
                "type": "book",
                "v": 1,
                "symbol": "binance:BTCUSDT",
                "event_time": int((book.timestamp or 0) * 1e6),
                "receive_time": int(receipt * 1e6),
                "update_id": book.sequence_number,
                "bids": sides[BID],
                "asks": sides[ASK],
            },
        )

    Symbols.set(Binance.id, {"BTC-USDT": SYMBOL}, {"instrument_type": {"BTC-USDT": "spot"}})
    feed = Binance(
        symbols=["BTC-USDT"],
        channels=[L2_BOOK, TRADES, TICKER],
        callbacks={L2_BOOK: on_book, TRADES: on_trade, TICKER: on_quote},
    )
    feed.http_conn = Snapshot(snapshot)
    feed._reset()

    async def work() -> tuple[float, float, float]:
        handler, waited = feed.message_handler, 0.0
        began, cpu = time.perf_counter(), time.thread_time()
        for start in range(0, len(frames), EVERY):
            now = time.time()
            for frame in frames[start : start + EVERY]:
                await handler(frame, None, now)
            producer.poll(0)
            if len(producer) > 50_000:
                pause = time.perf_counter()
                while len(producer) > 25_000:
                    producer.poll(0.001)
                waited += time.perf_counter() - pause
        return time.perf_counter() - began - waited, time.thread_time() - cpu, waited

    seconds, cpu_seconds, waited = asyncio.run(work())
    left = producer.flush(120)
    result = {
        "frames": len(frames),
        "produced": produced[0],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "waited": waited,
        "unacknowledged": left,
        "failures": len(failures),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
