"""The alerts that are made of the book."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate
from statistics import median

from tests.e2e.oracle import BookRow
from tests.support.oracle.episodes import SECOND, Step, Told, episodes, momentary

__all__ = ["LIQUIDITY_AFTER", "NORMAL_SECONDS", "imbalance_flips", "liquidity_stress", "normals", "spread_widening"]

NORMAL_SECONDS = 300
KNOWN_AFTER = 60
"""Seconds that the oldest value of a normal lies back, at least."""
FLIP_WITHIN = 10 * SECOND
LIQUIDITY_AFTER = 2 * SECOND


def seconds(rows: Sequence[BookRow]) -> list[int]:
    """The second that each event counts in: that of the symbol's clock, which never goes back."""
    return [time // SECOND for time in accumulate((row.time for row in rows), max)]


def normals(rows: Sequence[BookRow], measure: str) -> list[Decimal | None]:
    """Of each event the median of the measure over the 300 seconds before its own, by the last known value of each."""
    found: list[Decimal | None] = []
    last: dict[int, Decimal] = {}
    normal, known = None, -1
    for row, second in zip(rows, seconds(rows), strict=True):
        if second != known:
            within = [of for of in last if second - NORMAL_SECONDS <= of < second]
            old_enough = within and min(within) <= second - KNOWN_AFTER
            normal, known = median(last[of] for of in within) if old_enough else None, second
        found.append(normal)
        value = getattr(row, measure)
        if value is not None:
            last[second] = value
    return found


def spread_widening(rows: Sequence[BookRow], factor: Decimal, cooldown: int) -> list[Told]:
    """The spread is at least `factor` times its normal."""
    steps = []
    for row, normal in zip(rows, normals(rows, "spread_bps"), strict=True):
        value = row.spread_bps / normal if normal else Decimal(0)
        thin = "buy" if row.bid_quantity < row.ask_quantity else "sell"
        steps.append(Step(row.time, thin, value, int(value >= factor), (factor, factor)))
    return episodes("spread_widening", steps, cooldown, max)


def liquidity_stress(rows: Sequence[BookRow], stress: Decimal, cooldown: int) -> list[Told]:
    """For more than 2 s the depth of a side is below `stress` times its normal."""
    steps = []
    since: int | None = None
    least = Decimal(1)
    normal_bids, normal_asks = normals(rows, "bid_depth"), normals(rows, "ask_depth")
    for row, bids, asks in zip(rows, normal_bids, normal_asks, strict=True):
        ratio, side = min(
            (depth / normal if depth is not None and normal else Decimal(1), name)
            for depth, normal, name in ((row.bid_depth, bids, "buy"), (row.ask_depth, asks, "sell"))
        )
        if ratio >= stress:
            since = None
        elif since is None:
            since, least = row.time, ratio
        least = min(least, ratio) if since is not None else Decimal(1)
        lasts = since is not None and row.time - since > LIQUIDITY_AFTER
        level = (2 if least < stress / 2 else 1) if lasts else 0
        steps.append(Step(row.time, side, ratio, level, (stress, stress / 2), since, least))
    return episodes("liquidity_stress", steps, cooldown, min)


def imbalance_flips(rows: Sequence[BookRow], medium: Decimal, high: Decimal) -> list[Told]:
    """From one side to the other, each at least medium, within 10 s; HIGH where both are at least high."""
    found: list[Told] = []
    before: BookRow | None = None
    for row in rows:
        if abs(row.imbalance) < medium:
            continue
        if before and (before.imbalance > 0) != (row.imbalance > 0) and row.time - before.time <= FLIP_WITHIN:
            level = 2 if min(abs(row.imbalance), abs(before.imbalance)) >= high else 1
            side = "buy" if row.imbalance > 0 else "sell"
            found += momentary("imbalance_flip", Step(row.time, side, row.imbalance, level, (medium, high)))
        before = row
    return found
