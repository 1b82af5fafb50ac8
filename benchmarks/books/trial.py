"""A capture's book changes, damaged by a seed, and how long a reader's best bid or ask is wrong meanwhile.

The exchange knows the undamaged book at each moment, and gives its first 1,000 levels a side to a reader that asks. It
imports the standard library alone: it also runs in the environments of other libraries.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

__all__ = ["DAMAGES", "Exchange", "Reader", "judge"]

EVERY = 100
"""One change in so many is damaged, on the average."""
DAMAGES = ("none", "dropped", "doubled", "swapped", "all")
LEVELS = 1000

Best = tuple[float, float]


class Reader(Protocol):
    """A library."""

    @property
    def errors(self) -> int:
        """What it counted itself."""

    async def take(self, seconds: float, frame: bytes) -> None:
        """One frame, so many seconds after the capture's start."""

    async def pass_until(self, seconds: float) -> None:
        """Nothing came meanwhile."""

    def best(self) -> Best | None:
        """Its best bid and ask, None while it says that it has no book."""


@dataclass
class Exchange:
    """The undamaged book."""

    bids: dict[float, str]
    asks: dict[float, str]
    last_id: int
    asked: int = 0

    def apply(self, change: dict[str, Any]) -> None:
        if change["u"] <= self.last_id:
            return
        self.last_id = change["u"]
        for side, rows in ((self.bids, change["b"]), (self.asks, change["a"])):
            for price, quantity in rows:
                if float(quantity):
                    side[float(price)] = quantity
                else:
                    side.pop(float(price), None)

    def best(self) -> Best:
        return max(self.bids), min(self.asks)

    def snapshot(self) -> dict[str, Any]:
        """As REST answers."""
        self.asked += 1
        bids = sorted(self.bids.items(), reverse=True)[:LEVELS]
        asks = sorted(self.asks.items())[:LEVELS]
        rows = [[[f"{price:.8f}", quantity] for price, quantity in side] for side in (bids, asks)]
        return {"lastUpdateId": self.last_id, "bids": rows[0], "asks": rows[1]}


def _damaged(frames: list[bytes], damage: str, seed: int) -> tuple[list[list[bytes]], int]:
    """What is sent in place of each frame, and how many were damaged."""
    random, sent, count = Random(seed), [[frame] for frame in frames], 0
    number = 1
    while number < len(frames) - 1:
        number += 1
        if damage == "none" or random.random() * EVERY >= 1:
            continue
        count += 1
        match random.choice(DAMAGES[1:4]) if damage == "all" else damage:
            case "dropped":
                sent[number] = []
            case "doubled":
                sent[number] = [frames[number], frames[number]]
            case _ if number + 1 < len(frames):
                sent[number], sent[number + 1] = [frames[number + 1]], [frames[number]]
                number += 1
    return sent, count


async def judge(
    path: Path, damage: str, seed: int, make: Callable[[Exchange], Awaitable[Reader]]
) -> dict[str, float | int]:
    """Seconds in which the best prices were others than the exchange's, in which there was no book, and in all; the
    longest time of wrong ones; what was counted."""
    with gzip.open(path) as lines:
        rows = [line.rstrip().split(b" ", 1) for line in lines]
    first = next(json.loads(text) for _, text in rows if b'"lastUpdateId"' in text[:40])
    sides = [{float(price): quantity for price, quantity in first[side]} for side in ("bids", "asks")]
    exchange = Exchange(sides[0], sides[1], first["lastUpdateId"])
    depth = [(int(time), text) for time, text in rows if b"@depth@" in text[:40]]
    depth = [(time, text) for time, text in depth if json.loads(text)["data"]["u"] > exchange.last_id]
    began = depth[0][0]
    sent, damaged = _damaged([text for _, text in depth], damage, seed)
    reader = await make(exchange)
    wrong = absent = longest = now_wrong = 0.0
    for number, (time, text) in enumerate(depth):
        seconds = (time - began) / 1e9
        exchange.apply(json.loads(text)["data"])
        await reader.pass_until(seconds)
        for frame in sent[number]:
            await reader.take(seconds, frame)
        lasts = (depth[number + 1][0] - time) / 1e9 if number + 1 < len(depth) else 0.0
        best = reader.best()
        if best is None:
            absent += lasts
        if best is not None and best != exchange.best():
            wrong += lasts
            now_wrong += lasts
            longest = max(longest, now_wrong)
        else:
            now_wrong = 0.0
    return {
        "damaged": damaged, "wrong_s": round(wrong, 2), "longest_wrong_s": round(longest, 2),
        "no_book_s": round(absent, 2), "of_s": round((depth[-1][0] - began) / 1e9, 1),
        "own_count": reader.errors, "snapshots": exchange.asked,
    }  # fmt: skip
