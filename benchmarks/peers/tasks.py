"""The two tasks: what is sent, what is right, and how a topic of results is held against it.

`candles`: trades, every 50th of them twice, to one-minute candles with VWAP and count, 2 s lateness. `book`: books of
20 levels to imbalance, weighted imbalance (levels 1 to 10) and spread. What is right is computed here from the
definitions, over whole lists.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from marketpipeline.records import Book, Trade

from benchmarks.job_process import PARTITIONS
from benchmarks.stream_job import FEEDS, repeated

__all__ = ["TASKS", "Right", "check", "events", "results", "right"]

TASKS = ("candles", "book")
MINUTE_US = 60_000_000
LATENESS_US = 2_000_000
CALCULATE = 10

Right = dict[tuple[str, int], tuple[int, dict[str, float]]]
"""By symbol and id (update, or opening of the window): after how many events it can be known, and its values."""


def events(task: str, wanted: int) -> list[Any]:
    """Trades, or books."""
    read = FEEDS["book" if task == "book" else "trades"][1]
    return list(islice((one for one in repeated(read) if isinstance(one, Book | Trade)), wanted))


def right(task: str, sent: Sequence[Any]) -> Right:
    return dict(_books(sent) if task == "book" else _candles(sent))


def _books(sent: Sequence[Book]) -> Iterator[tuple[tuple[str, int], tuple[int, dict[str, float]]]]:
    for number, book in enumerate(sent, 1):
        bids, asks = book.bids[:CALCULATE], book.asks[:CALCULATE]
        bid, ask = math.fsum(q for _, q in bids), math.fsum(q for _, q in asks)
        near_bid = math.fsum(q / level for level, (_, q) in enumerate(bids, 1))
        near_ask = math.fsum(q / level for level, (_, q) in enumerate(asks, 1))
        values = {
            "imbalance": (bid - ask) / (bid + ask),
            "weighted_imbalance": (near_bid - near_ask) / (near_bid + near_ask),
            "spread": asks[0][0] - bids[0][0],
        }
        yield (book.symbol, book.update_id), (number, values)


def _candles(sent: Sequence[Trade]) -> Iterator[tuple[tuple[str, int], tuple[int, dict[str, float]]]]:
    once: dict[tuple[str, int], Trade] = {(trade.symbol, trade.trade_id): trade for trade in reversed(sent)}
    windows: dict[tuple[str, int], list[Trade]] = {}
    for trade in once.values():
        windows.setdefault((trade.symbol, trade.trade_time - trade.trade_time % MINUTE_US), []).append(trade)
    closing: dict[tuple[str, int], int] = {}
    for number, trade in enumerate(sent, 1):
        over = trade.trade_time - LATENESS_US
        closing.setdefault((trade.symbol, over - over % MINUTE_US - MINUTE_US), number)
    for key, trades in windows.items():
        if key not in closing:
            continue
        trades.sort(key=lambda trade: (trade.trade_time, trade.trade_id))
        volume = math.fsum(trade.quantity for trade in trades)
        prices = [trade.price for trade in trades]
        values = {
            "open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1], "volume": volume,
            "vwap": math.fsum(trade.price * trade.quantity for trade in trades) / volume, "trades": len(trades),
        }  # fmt: skip
        yield key, (closing[key], values)


def results(address: str, topic: str) -> list[tuple[int, dict[str, Any]]]:
    """Every result of a topic, with the broker's time of it in milliseconds."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "benchmark", "enable.auto.commit": False})
    found = []
    try:
        for number in range(PARTITIONS):
            place = TopicPartition(topic, number, 0)
            left = consumer.get_watermark_offsets(place, timeout=10)[1]
            consumer.assign([place])
            while left > 0:
                messages = consumer.consume(min(left, 10_000), 10)
                assert messages, f"{topic}[{number}] lacks {left} records"
                left -= len(messages)
                found += [(message.timestamp()[1], json.loads(message.value() or b"{}")) for message in messages]
    finally:
        consumer.close()
    return found


def check(task: str, found: Sequence[tuple[int, Mapping[str, Any]]], wanted: Right) -> dict[str, Any]:
    """How many results are wrong or absent, and of those that are right how fast they came after the first third.

    A result that comes again is wrong only if it differs.
    """
    name = "update_id" if task == "book" else "open_time"
    came: dict[tuple[str, int], int] = {}
    wrong = 0
    for at, row in found:
        key = (row["symbol"], row[name])
        if key not in wanted:
            continue
        if all(math.isclose(row[field], value, rel_tol=1e-9, abs_tol=1e-9) for field, value in wanted[key][1].items()):
            came.setdefault(key, at)
        else:
            wrong += 1
    absent = len(wanted) - len(came)
    known = sorted((wanted[key][0], at) for key, at in came.items())
    most = max(number for number, _ in wanted.values())
    warm = [(number, at) for number, at in known if number >= most / 3]
    first, last = warm[0], max(warm, key=lambda one: one[1])
    rate = (warm[-1][0] - first[0]) / max((last[1] - first[1]) / 1000, 1e-3)
    return {"results": len(found), "wrong": wrong, "absent": absent, "events_per_second": round(rate)}
