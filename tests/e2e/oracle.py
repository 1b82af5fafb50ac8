"""What the tables must hold after a replay, computed from the capture alone.

It shares no code with the pipeline: frames are read with the standard library, prices and quantities are
decimals, the book is a plain dictionary sorted again for every event. Slow, and meant to be obviously right; so what
was computed once of a capture is kept, and nobody may change it.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from decimal import Decimal, localcontext
from itertools import accumulate, pairwise
from math import inf
from pathlib import Path
from typing import Any

__all__ = [
    "MEASURES",
    "BookRow",
    "CandleRow",
    "Episode",
    "TradeRow",
    "alerts",
    "book_rows",
    "candles",
    "events",
    "holes",
    "missing_trades",
    "quotes",
    "trades",
    "whales",
]


@dataclass(frozen=True)
class TradeRow:
    """A trade; `time` in microseconds."""

    id: int
    time: int
    price: Decimal
    quantity: Decimal
    buyer_is_taker: bool


@dataclass(frozen=True)
class CandleRow:
    """A candle; `open_time` in microseconds."""

    open_time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int
    taker_buy_volume: Decimal
    vwap: Decimal
    buy_sell_ratio: Decimal | None
    price_change: Decimal
    first_trade_id: int
    last_trade_id: int
    complete: bool


@dataclass(frozen=True)
class BookRow:
    """Measures of the book after one diff event; `time` in microseconds."""

    update_id: int
    time: int
    best_bid: Decimal
    best_bid_quantity: Decimal
    best_ask: Decimal
    best_ask_quantity: Decimal
    mid: Decimal
    spread: Decimal
    spread_bps: Decimal
    imbalance: Decimal
    weighted_imbalance: Decimal
    vtob_ratio: Decimal
    weighted_mid: Decimal
    bid_quantity: Decimal
    ask_quantity: Decimal
    bid_depth: Decimal | None
    ask_depth: Decimal | None
    bid_slope: Decimal | None = None
    ask_slope: Decimal | None = None


_EXACT = {"update_id", "time", "best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity"}
_OF_SECONDS = {"bid_slope", "ask_slope"}
SNAPSHOT_LEVELS = 1000
"""Levels of each side that the pipeline fetches of a book."""
MEASURES = tuple(field.name for field in fields(BookRow) if field.name not in _EXACT | _OF_SECONDS)
"""What is computed of every event of the book, and so is equal only nearly."""


@dataclass(frozen=True)
class Episode:
    """A stretch of book events on one side with an extreme imbalance; `ended_at` is None while it lasts."""

    started_at: int
    ended_at: int | None
    buy_side: bool
    high: bool
    extreme: Decimal


def lines(capture: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """What stands before the JSON of a line, the address of a REST answer or nothing, and that JSON.

    A message whose time is an hour or more away from its receive time is no data: nothing may be made of it.
    """
    with gzip.open(capture, "rt") as text:
        for line in text:
            head, brace, body = line.partition("{")
            received, _, address = head.partition(" ")
            frame = json.loads(brace + body, parse_float=Decimal)
            data = frame.get("data")
            time = data.get("E") if isinstance(data, dict) else None
            if time is None or abs(time - int(received) // 1_000_000) < 3_600_000:
                yield address.strip(), frame


def events(capture: Path, kind: str, symbol: str = "") -> Iterator[dict[str, Any]]:
    """The payloads of the streams whose name ends with `kind`; of one symbol where one is named."""
    for _, frame in lines(capture):
        if frame.get("stream", "").endswith(kind) and symbol in ("", frame["data"]["s"]):
            yield frame["data"]


CONTRACTS = {"BTC-USD-220527": Decimal(100), "UNI-USD-SWAP": Decimal(10)}
"""Quote units of one contract, of the instruments that are counted in these."""


def rows(capture: Path, channel: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where messages name channel and instrument, e.g. `BTC-USDT`: what each message is, and its rows."""
    for _, frame in lines(capture):
        if frame.get("arg") == {"channel": channel, "instId": name} and "data" in frame:
            yield from ((frame.get("action", ""), row) for row in frame["data"])


def base(name: str, quantity: str, price: str) -> Decimal:
    """A quantity in base units."""
    size = CONTRACTS.get(name)
    return Decimal(quantity) if size is None else Decimal(quantity) * size / Decimal(price)


@functools.cache
def trades(capture: Path, symbol: str = "") -> list[TradeRow]:
    """Every trade once, by id."""
    if "-" in symbol:
        found = {
            int(t["tradeId"]): TradeRow(
                int(t["tradeId"]), int(t["ts"]) * 1000, Decimal(t["px"]), base(symbol, t["sz"], t["px"]),
                t["side"] == "buy",
            )
            for channel in ("trades", "trades-all") for _, t in rows(capture, channel, symbol)
        }  # fmt: skip
        return [found[key] for key in sorted(found)]
    found = {
        t["t"]: TradeRow(t["t"], t["T"] * 1000, Decimal(t["p"]), Decimal(t["q"]), not t["m"])
        for t in events(capture, "@trade", symbol)
    }
    return [found[key] for key in sorted(found)]


def candles(rows: list[TradeRow], minutes: int) -> list[CandleRow]:
    """The candles of a window of `minutes`, those without a trade left out.

    A candle is complete when nothing of it can lie before the first trade that there is; the records of a symbol are
    out of order by less than 2 s.
    """
    width = minutes * 60_000_000
    first = min((row.time for row in rows), default=0)
    groups: dict[int, list[TradeRow]] = {}
    for row in sorted(rows, key=lambda row: (row.time, row.id)):
        groups.setdefault(row.time // width * width, []).append(row)
    return [_candle(open_time, group, open_time - first >= 2_000_000) for open_time, group in sorted(groups.items())]


def _candle(open_time: int, group: list[TradeRow], complete: bool) -> CandleRow:
    prices = [row.price for row in group]
    volume = sum((row.quantity for row in group), Decimal(0))
    quote = sum((row.quantity * row.price for row in group), Decimal(0))
    bought = sum((row.quantity for row in group if row.buyer_is_taker), Decimal(0))
    sold = volume - bought
    return CandleRow(
        open_time=open_time,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=volume,
        quote_volume=quote,
        trades=len(group),
        taker_buy_volume=bought,
        vwap=quote / volume,
        buy_sell_ratio=bought / sold if sold else None,
        price_change=prices[-1] / prices[0] - 1,
        first_trade_id=group[0].id,
        last_trade_id=group[-1].id,
        complete=complete,
    )


@functools.cache
def quotes(capture: Path, symbol: str = "") -> dict[int, tuple[Decimal, Decimal, Decimal, Decimal]]:
    """Best bid, its quantity, best ask, its quantity, by update id, as the exchange itself sent them."""
    return {
        q["u"]: (Decimal(q["b"]), Decimal(q["B"]), Decimal(q["a"]), Decimal(q["A"]))
        for q in events(capture, "@bookTicker", symbol)
    }


@functools.cache
def holes(capture: Path, symbol: str = "") -> list[range]:
    """The update ids that the capture lacks between one change of the book and the next."""
    spans = [(event["U"], event["u"]) for event in events(capture, "@depth@100ms", symbol)]
    return [range(last + 1, first) for (_, last), (first, _) in pairwise(spans) if first > last + 1]


@functools.cache
def missing_trades(capture: Path, symbol: str = "") -> list[int]:
    """The trade ids that the capture lacks between its first and its last."""
    ids = [trade.id for trade in trades(capture, symbol)]
    return sorted(set(range(ids[0], ids[-1] + 1)) - set(ids))


@functools.cache
def book_rows(
    capture: Path, levels: int, calculate: int, within_bps: int, symbol: str = "", asked_at: float = inf
) -> list[BookRow]:
    """A row for every diff event that follows on a snapshot of the capture.

    `levels` of each side are known to whoever measures, `calculate` of them count in the ratios. From the event
    `asked_at` on, of levels that did not change since, only as many are known as a snapshot has.
    """
    if "-" in symbol:
        return list(_pushed_rows(capture, levels, calculate, within_bps, symbol))
    last = -1
    bids: dict[Decimal, Decimal] = {}
    asks: dict[Decimal, Decimal] = {}
    waiting: list[dict[str, Any]] = []
    rows = []
    for address, frame in lines(capture):
        if "lastUpdateId" in frame and (not address or not symbol or f"symbol={symbol}&" in f"{address}&"):
            last = frame["lastUpdateId"]
            bids = {Decimal(price): Decimal(quantity) for price, quantity in frame["bids"]}
            asks = {Decimal(price): Decimal(quantity) for price, quantity in frame["asks"]}
        elif frame.get("stream", "").endswith("@depth@100ms") and symbol in ("", frame["data"]["s"]):
            waiting.append(frame["data"])
        while last >= 0 and waiting and waiting[0]["U"] <= last + 1:
            event = waiting.pop(0)
            if event["u"] <= last:
                continue
            last = event["u"]
            for side, changes in ((bids, event["b"]), (asks, event["a"])):
                for price, quantity in changes:
                    side[Decimal(price)] = Decimal(quantity)
                    if not side[Decimal(price)]:
                        del side[Decimal(price)]
            rows.append(_book_row(event, bids, asks, levels, calculate, within_bps))
            if last >= asked_at:
                bids = dict(sorted(bids.items(), reverse=True)[:SNAPSHOT_LEVELS])
                asks = dict(sorted(asks.items())[:SNAPSHOT_LEVELS])
                asked_at = inf
    assert not waiting, f"the capture has a gap before {waiting[0]['U']} and no snapshot after it"
    return rows


def _pushed_rows(capture: Path, levels: int, calculate: int, within_bps: int, name: str) -> Iterator[BookRow]:
    """A row for every message of a book that begins with a snapshot; numbered by time where it has no number."""
    bids: dict[Decimal, Decimal] = {}
    asks: dict[Decimal, Decimal] = {}
    for action, row in rows(capture, "books", name):
        for side, changes in ((bids, row["bids"]), (asks, row["asks"])):
            if action == "snapshot":
                side.clear()
            for price, quantity, *_ in changes:
                side[Decimal(price)] = base(name, quantity, price)
                if not side[Decimal(price)]:
                    del side[Decimal(price)]
        time = int(row["ts"])
        yield _book_row({"u": row.get("seqId", time), "E": time}, bids, asks, levels, calculate, within_bps)


def _book_row(
    event: dict[str, Any],
    bids: dict[Decimal, Decimal],
    asks: dict[Decimal, Decimal],
    levels: int,
    calculate: int,
    within_bps: int,
) -> BookRow:
    known_bids = [(price, bids[price]) for price in sorted(bids, reverse=True)[:levels]]
    known_asks = [(price, asks[price]) for price in sorted(asks)[:levels]]
    top_bids, top_asks = known_bids[:calculate], known_asks[:calculate]
    (bid, bid_quantity), (ask, ask_quantity) = top_bids[0], top_asks[0]
    mid = (bid + ask) / 2
    sum_bids = sum((quantity for _, quantity in top_bids), Decimal(0))
    sum_asks = sum((quantity for _, quantity in top_asks), Decimal(0))
    weighted_bids = sum((q / n for n, (_, q) in enumerate(top_bids, 1)), Decimal(0))
    weighted_asks = sum((q / n for n, (_, q) in enumerate(top_asks, 1)), Decimal(0))
    reach = mid * within_bps / 10_000
    return BookRow(
        update_id=event["u"],
        time=event["E"] * 1000,
        best_bid=bid,
        best_bid_quantity=bid_quantity,
        best_ask=ask,
        best_ask_quantity=ask_quantity,
        mid=mid,
        spread=ask - bid,
        spread_bps=(ask - bid) / mid * 10_000,
        imbalance=(sum_bids - sum_asks) / (sum_bids + sum_asks),
        weighted_imbalance=(weighted_bids - weighted_asks) / (weighted_bids + weighted_asks),
        vtob_ratio=(bid_quantity + ask_quantity) / (sum_bids + sum_asks),
        weighted_mid=(bid * ask_quantity + ask * bid_quantity) / (bid_quantity + ask_quantity),
        bid_quantity=sum_bids,
        ask_quantity=sum_asks,
        bid_depth=_depth(known_bids, mid, reach),
        ask_depth=_depth(known_asks, mid, reach),
        bid_slope=_slope(top_bids, mid),
        ask_slope=_slope(top_asks, mid),
    )


def _depth(known: list[tuple[Decimal, Decimal]], mid: Decimal, reach: Decimal) -> Decimal | None:
    """Value of the levels within `reach` of the mid; unknown unless a level beyond it is known."""
    if abs(known[-1][0] - mid) < reach:
        return None
    return sum((price * quantity for price, quantity in known if abs(price - mid) <= reach), Decimal(0))


def _slope(top: list[tuple[Decimal, Decimal]], mid: Decimal) -> Decimal | None:
    """Least squares of the cumulated quantity over the distance in bps; a line takes two levels."""
    if len(top) < 2:
        return None
    distances = [abs(price - mid) / mid * 10_000 for price, _ in top]
    quantities = list(accumulate(quantity for _, quantity in top))
    x, y = (sum(values, Decimal(0)) / len(top) for values in (distances, quantities))
    rise = sum(((d - x) * (q - y) for d, q in zip(distances, quantities, strict=True)), Decimal(0))
    return rise / sum(((d - x) ** 2 for d in distances), Decimal(0))


def alerts(rows: list[BookRow], medium: Decimal, high: Decimal) -> list[Episode]:
    """The episodes of extreme imbalance in consecutive book rows."""
    found: list[Episode] = []
    current: list[BookRow] = []

    def close(ended_at: int | None) -> None:
        if current:
            extreme = max((row.imbalance for row in current), key=abs)
            found.append(Episode(current[0].time, ended_at, extreme > 0, abs(extreme) >= high, extreme))
            current.clear()

    for row in rows:
        extreme = abs(row.imbalance) >= medium
        if current and (not extreme or (row.imbalance > 0) != (current[0].imbalance > 0)):
            close(row.time)
        if extreme:
            current.append(row)
    close(None)
    return found


def whales(rows: list[TradeRow], threshold: Decimal) -> list[TradeRow]:
    """The trades whose value is above `threshold`."""
    with localcontext() as context:
        context.prec = 50
        return [row for row in rows if row.price * row.quantity > threshold]
