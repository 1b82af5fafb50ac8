"""A small market that moves, as records: what the stores have of before, and what the topics get from now on."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

from marketpipeline.records import Alert, Book, BookMetrics, Candle, FeedEvent, LateTrade, Record

from tests.services.sinks.samples import BTC, ETH, alert, book, candle, feed_event, late_trade, raw_book
from tests.services.sinks.topics import Topics

__all__ = ["SYMBOLS", "Feeder", "Walk", "before", "walks"]

SYMBOLS = [BTC, ETH, "okx:BTC-USDT"]
_PRICES = dict(zip(SYMBOLS, (64_210.5, 3_120.25, 64_208.1), strict=True))
_MINUTE = 60_000_000
_CANDLES = 150
_RULES = (("extreme_imbalance", "HIGH", 0.7), ("imbalance_flip", "MEDIUM", 0.5), ("spread_widening", "MEDIUM", 2.0))


def _now() -> int:
    return time.time_ns() // 1_000


class Walk:
    """One symbol's price, its forming candle, and the records of a moment."""

    def __init__(self, symbol: str, seed: int) -> None:
        self.symbol, self.random, self.price = symbol, random.Random(seed), _PRICES[symbol]
        self.number, self.candle = 0, self._opened(0)

    def _opened(self, at: int) -> dict[str, Any]:
        found = dict.fromkeys(("open", "high", "low", "close", "vwap"), self.price)
        return {"open_time": at, "close_time": at + _MINUTE, "volume": 0.0, "trades": 0, **found}

    def step(self, scale: float = 4e-5) -> None:
        self.price *= 1 + self.random.gauss(0, scale)

    def candle_at(self, now: int, *, closed: bool = False) -> Candle:
        start = now - now % _MINUTE
        if self.candle["open_time"] != start:
            self.candle = self._opened(start)
        found = self.candle
        found["high"], found["low"] = max(found["high"], self.price), min(found["low"], self.price)
        found["close"], found["vwap"] = self.price, found["vwap"] * 0.9 + self.price * 0.1
        found["volume"] += self.random.expovariate(2.0 if closed else 20.0)
        found["trades"] += self.random.randint(1, 20)
        return candle(0, self.symbol, **found, closed=closed, receive_time=now, process_time=now + 5_000)

    def books(self, now: int) -> tuple[Book, BookMetrics]:
        self.number += 1
        half = self.price * 2e-5 * self.random.uniform(0.5, 2.0)
        bids = [
            (round(self.price - half * (1 + n), 2), round(self.random.expovariate(0.6) + 0.01, 4)) for n in range(20)
        ]
        asks = [
            (round(self.price + half * (1 + n), 2), round(self.random.expovariate(0.6) + 0.01, 4)) for n in range(20)
        ]
        bid, ask = sum(q for _, q in bids[:10]), sum(q for _, q in asks[:10])
        mid, spread = (bids[0][0] + asks[0][0]) / 2, asks[0][0] - bids[0][0]
        times = {"event_time": now - 30_000, "receive_time": now}
        metrics = book(
            self.number, self.symbol, **times, process_time=now + 5_000, best_bid=bids[0][0], best_ask=asks[0][0],
            best_bid_quantity=bids[0][1], best_ask_quantity=asks[0][1], mid=mid, spread=spread,
            spread_bps=spread / mid * 1e4, imbalance=(bid - ask) / (bid + ask), vtob_ratio=0.12,
            weighted_imbalance=(bid - ask) / (bid + ask) * 0.8, bid_depth=bid * mid, ask_depth=ask * mid,
        )  # fmt: skip
        return raw_book(self.number, self.symbol, **times, bids=bids, asks=asks), metrics

    def alert_at(self, at: int, number: int, **more: Any) -> Alert:
        rule, severity, limit = _RULES[number % len(_RULES)]
        return alert(
            0, self.symbol, id=f"{rule}:{self.symbol}:{at}", rule=rule, severity=severity, started_at=at, event_time=at,
            side=self.random.choice(("buy", "sell")), threshold=limit, value=limit * 1.1, extreme=limit * 1.2,
            receive_time=at + 4_000, process_time=at + 8_000, **more,
        )  # fmt: skip


def walks() -> list[Walk]:
    return [Walk(symbol, seed) for seed, symbol in enumerate(SYMBOLS)]


def before(walks: list[Walk]) -> Iterator[Record]:
    """Two hours of candles, some alerts, gaps and their backfills, trades that came too late."""
    now = _now()
    for seed, walk in enumerate(walks):
        for number in range(_CANDLES, 0, -1):
            at = now - number * _MINUTE
            for _ in range(12):
                walk.step(2e-4)
                last = walk.candle_at(at)
            yield walk.candle_at(at, closed=True)
            if number % 15 == seed:
                yield walk.alert_at(at, number // 15, status="closed", ended_at=at + 3_000_000)
        yield from _incidents(walk.symbol, now, last)


def _incidents(symbol: str, now: int, last: Candle) -> Iterator[FeedEvent | LateTrade]:
    for number in range(3):
        at = now - (number * 17 + 5) * _MINUTE
        ids = {"first_id": 100 * number, "last_id": 100 * number + 40}
        yield feed_event(
            number, symbol, id=f"gap:{symbol}:{number}", event_time=at, receive_time=at, feed="trades", **ids
        )
        yield feed_event(
            number, symbol, id=f"backfill:{symbol}:{number}", kind="backfill", event_time=at + 900_000,
            receive_time=at + 900_000, feed="trades", detail="41 trades over REST", **ids,
        )  # fmt: skip
    at = now - 9 * _MINUTE
    yield late_trade(
        1, symbol, trade_time=at, receive_time=at + 70_000_000, process_time=at + 70_001_000, price=last.close,
        clock=at + 69_000_000,
    )  # fmt: skip


class Feeder:
    """Writes what happens to the topics, four times a second, between `start` and `stop`."""

    def __init__(self, topics: Topics, walks: list[Walk]) -> None:
        self._topics = topics
        self._walks = walks
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        moment = 0
        while not self._stopping.wait(0.25):
            moment += 1
            now = _now()
            for number, walk in enumerate(self._walks):
                walk.step()
                self._topics.put(walk.candle_at(now), *walk.books(now))
                if moment % 40 == number * 10:
                    self._topics.put(walk.alert_at(now, moment // 40))
