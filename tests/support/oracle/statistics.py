"""Statistics of windows, and the book reduced to a row a second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby, pairwise

from tests.e2e.oracle import BookRow, TradeRow
from tests.support.oracle.book_rules import normals, seconds
from tests.support.oracle.episodes import SECOND
from tests.support.oracle.trade_rules import MINUTE, outliers

__all__ = [
    "BookStatisticsRow",
    "SecondRow",
    "TradeStatisticsRow",
    "book_statistics",
    "reduced_book",
    "trade_statistics",
]


@dataclass(frozen=True)
class TradeStatisticsRow:
    """Statistics of the trades of a window; `realised_volatility` is None where no return is known."""

    open_time: int
    trades: int
    quote_volume: Decimal
    taker_buy_volume: Decimal
    taker_sell_volume: Decimal
    vwap: Decimal
    price_change: Decimal
    range_bps: Decimal
    realised_volatility: float | None
    largest_trade: Decimal
    largest_trade_id: int
    outliers: int


def trade_statistics(rows: Sequence[TradeRow], minutes: int, factor: Decimal) -> list[TradeStatisticsRow]:
    """Of each window that has trades."""
    width = minutes * MINUTE
    returns = _returns(rows)
    far = {one.trade.id for one in outliers(rows, factor)}
    ordered = sorted(rows, key=lambda row: (row.time, row.id))
    return [
        _of_window(open_time * width, list(group), [r for of, r in returns.items() if of // width == open_time], far)
        for open_time, group in groupby(ordered, lambda row: row.time // width)
    ]


def _returns(rows: Sequence[TradeRow]) -> dict[int, float]:
    """By minute the log return from the close of the last minute before that had trades."""
    closes = {row.time // MINUTE * MINUTE: row.price for row in sorted(rows, key=lambda row: (row.time, row.id))}
    return {after: math.log(closes[after] / closes[before]) for before, after in pairwise(sorted(closes))}


def _of_window(
    open_time: int, group: Sequence[TradeRow], returns: Sequence[float], far: set[int]
) -> TradeStatisticsRow:
    prices = [row.price for row in group]
    volume = sum((row.quantity for row in group), Decimal(0))
    bought = sum((row.quantity for row in group if row.buyer_is_taker), Decimal(0))
    value = sum((row.price * row.quantity for row in group), Decimal(0))
    largest = max(group, key=lambda row: (row.price * row.quantity, -row.id))
    return TradeStatisticsRow(
        open_time=open_time,
        trades=len(group),
        quote_volume=value,
        taker_buy_volume=bought,
        taker_sell_volume=volume - bought,
        vwap=value / volume,
        price_change=prices[-1] / prices[0] - 1,
        range_bps=(max(prices) / min(prices) - 1) * 10_000,
        realised_volatility=math.sqrt(sum(r * r for r in returns)) if returns else None,
        largest_trade=largest.price * largest.quantity,
        largest_trade_id=largest.id,
        outliers=sum(row.id in far for row in group),
    )


@dataclass(frozen=True)
class SecondRow:
    """A second of the book: the last event in it, and the extremes with the times at which they were reached first."""

    open_time: int
    last: BookRow
    events: int
    imbalance_low: Decimal
    imbalance_low_time: int
    imbalance_high: Decimal
    imbalance_high_time: int
    spread_low: Decimal
    spread_low_time: int
    spread_high: Decimal
    spread_high_time: int
    order_flow_imbalance: Decimal
    normal_spread_bps: Decimal | None


def reduced_book(rows: Sequence[BookRow]) -> list[SecondRow]:
    """A row for each second that has events; spreads in bps."""
    flows = [Decimal(0), *(_flow(before, after) for before, after in pairwise(rows))]
    told = zip(seconds(rows), rows, flows, normals(rows, "spread_bps"), strict=True)
    return [_second(second, list(group)) for second, group in groupby(told, lambda one: one[0])]


def _flow(before: BookRow, after: BookRow) -> Decimal:
    """What the best quotes gained on the bid and lost on the ask, as Cont, Kukanov and Stoikov define it."""
    flow = Decimal(0)
    if after.best_bid >= before.best_bid:
        flow += after.best_bid_quantity
    if after.best_bid <= before.best_bid:
        flow -= before.best_bid_quantity
    if after.best_ask <= before.best_ask:
        flow -= after.best_ask_quantity
    if after.best_ask >= before.best_ask:
        flow += before.best_ask_quantity
    return flow


def _second(second: int, group: Sequence[tuple[int, BookRow, Decimal, Decimal | None]]) -> SecondRow:
    rows = [row for _, row, _, _ in group]
    low, high = (pick(rows, key=lambda row: row.imbalance) for pick in (min, max))
    narrow, wide = (pick(rows, key=lambda row: row.spread_bps) for pick in (min, max))
    return SecondRow(
        open_time=second * SECOND,
        last=rows[-1],
        events=len(rows),
        imbalance_low=low.imbalance,
        imbalance_low_time=low.time,
        imbalance_high=high.imbalance,
        imbalance_high_time=high.time,
        spread_low=narrow.spread_bps,
        spread_low_time=narrow.time,
        spread_high=wide.spread_bps,
        spread_high_time=wide.time,
        order_flow_imbalance=sum((flow for _, _, flow, _ in group), Decimal(0)),
        normal_spread_bps=group[-1][3],
    )


@dataclass(frozen=True)
class BookStatisticsRow:
    """Statistics of the book over a window; slopes are means over its seconds, the normal spread that of its last."""

    open_time: int
    events: int
    order_flow_imbalance: Decimal
    bid_slope: Decimal | None
    ask_slope: Decimal | None
    normal_spread_bps: Decimal | None


def book_statistics(rows: Sequence[SecondRow], minutes: int) -> list[BookStatisticsRow]:
    """Of each window that has events."""
    width = minutes * MINUTE
    return [
        _book_window(open_time * width, list(group))
        for open_time, group in groupby(rows, lambda row: row.open_time // width)
    ]


def _book_window(open_time: int, group: Sequence[SecondRow]) -> BookStatisticsRow:
    return BookStatisticsRow(
        open_time=open_time,
        events=sum(row.events for row in group),
        order_flow_imbalance=sum((row.order_flow_imbalance for row in group), Decimal(0)),
        bid_slope=_mean([row.last.bid_slope for row in group]),
        ask_slope=_mean([row.last.ask_slope for row in group]),
        normal_spread_bps=group[-1].normal_spread_bps,
    )


def _mean(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) / len(known) if known else None
