"""Whether rows that a query gave are those of the oracle, with a message that names the first that is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any, Protocol

from tests.e2e import oracle
from tests.support.oracle.statistics import trade_statistics
from tests.support.oracle.trade_rules import MINUTE, outlier_alerts, price_spikes, volume_spikes

__all__ = [
    "Queried",
    "check_alerts",
    "check_book",
    "check_candles",
    "check_gaps",
    "check_statistics",
    "check_trades",
    "microseconds",
]

Row = dict[str, Any]


class Queried(Protocol):
    """Whatever holds a pipeline's tables: a state folder, or a database on a cluster."""

    def query(self, what: str, symbol: str, *options: str) -> list[Row]:
        """The rows that `marketpipeline query` prints for these arguments."""


FEEDS = ("book", "trades")
TOLERANCE = Decimal("1e-9")


def native(symbol: str) -> str:
    """The exchange's own name of `exchange:SYMBOL`."""
    return symbol.partition(":")[2]


def microseconds(text: str) -> int:
    """An ISO 8601 time as microseconds since the epoch."""
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None, f"{text} names no time zone"
    return round(moment.timestamp() * 1_000_000)


def exactly(value: Any) -> Decimal | None:
    """A JSON number as the decimal that it is written as."""
    return None if value is None else Decimal(repr(value))


def same(value: Decimal | None, wanted: Decimal) -> bool:
    """Equal, but for what has more digits than a float: a number of contracts divided by a price."""
    if value is None or len(wanted.as_tuple().digits) <= 15:
        return value == wanted
    return abs(value - wanted) <= TOLERANCE * abs(wanted)


def near(value: Any, wanted: Decimal | None, what: str) -> None:
    """Equal to 1e-9, relative to the wanted value where that is above one."""
    if wanted is None or value is None:
        assert value is wanted, f"{what}: {value}, not {wanted}"
        return
    assert abs(Decimal(repr(value)) - wanted) <= TOLERANCE * max(Decimal(1), abs(wanted)), (
        f"{what}: {value}, not {wanted}"
    )


def check_trades(pipeline: Queried, symbol: str, capture: Path) -> None:
    """Every trade once, and no other."""
    wanted = oracle.trades(capture, native(symbol))
    rows = sorted(pipeline.query("trades", symbol, "--limit", "1000000"), key=lambda row: row["trade_id"])
    assert [row["trade_id"] for row in rows] == [trade.id for trade in wanted]
    for row, trade in zip(rows, wanted, strict=True):
        found = (exactly(row["price"]), exactly(row["quantity"]), microseconds(row["trade_time"]), row["taker_side"])
        wanted_side = "buy" if trade.buyer_is_taker else "sell"
        assert (found[0], found[2], found[3]) == (trade.price, trade.time, wanted_side), row
        assert same(found[1], trade.quantity), row


def check_candles(pipeline: Queried, symbol: str, capture: Path, minutes: int) -> list[Row]:
    """Every candle, also the one that still forms: prices exactly, the rest to 1e-9. Returns the rows."""
    wanted = oracle.candles(oracle.trades(capture, native(symbol)), minutes)
    rows = pipeline.query("candles", symbol, "--interval", f"{minutes}m", "--limit", "100000")
    rows.sort(key=lambda row: row["open_time"])
    assert [microseconds(row["open_time"]) for row in rows] == [candle.open_time for candle in wanted]
    for row, candle in zip(rows, wanted, strict=True):
        for name in ("open", "high", "low", "close"):
            assert exactly(row[name]) == getattr(candle, name), f"{name} of {row}"
        for name in ("trades", "first_trade_id", "last_trade_id", "complete"):
            assert row[name] == getattr(candle, name), f"{name} of {row}"
        for name in ("volume", "quote_volume", "taker_buy_volume", "vwap", "buy_sell_ratio", "price_change"):
            near(row[name], getattr(candle, name), f"{name} of {row}")
    return rows


def check_gaps(pipeline: Queried, symbol: str, capture: Path) -> list[range]:
    """A record for each trade that the capture lacks, and for each hole of its book, there at least as long.

    Returns the update ids of the book's gaps, also of those that the capture does not have.
    """
    found = pipeline.query("gaps", symbol)
    ids = {
        feed: [range(int(g["first_id"]), int(g["last_id"]) + 1) for g in found if g["feed"] == feed] for feed in FEEDS
    }
    assert sum(map(len, ids.values())) == len(found), found
    assert sorted(id for gap in ids["trades"] for id in gap) == oracle.missing_trades(capture, native(symbol)), found
    gaps = ids["book"]
    for hole in oracle.holes(capture, native(symbol)):
        assert any(gap.start == hole.start and gap.stop >= hole.stop for gap in gaps), f"no gap record of {hole}"
    return gaps


def check_book(
    pipeline: Queried, symbol: str, capture: Path, missing: Sequence[range] = (), snapshots: Sequence[int] = ()
) -> int:
    """A row for every diff event from the first one stored on, except those with a `missing` update id.

    `snapshots` are update ids of those that were fetched in the middle of the replay. Returns how many events of the
    capture came before the first row: a tenth at most, since how many the exchange sends until it is asked for its
    first snapshot is up to the machine.
    """
    quotes = oracle.quotes(capture, native(symbol))
    rows = _rows_of_the_book(pipeline, symbol)
    first = rows[0]["update_id"]
    wanted = _known(rows, symbol, capture, missing, snapshots)
    assert [row["update_id"] for row in rows] == [row.update_id for row in wanted]
    compared = 0
    for row, right in zip(rows, wanted, strict=True):
        assert microseconds(row["event_time"]) == right.time, row
        best = tuple(exactly(row[n]) for n in ("best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity"))
        if right.update_id in quotes:
            compared += 1
            assert best == quotes[right.update_id], row
        wanted_best = (right.best_bid, right.best_bid_quantity, right.best_ask, right.best_ask_quantity)
        assert all(map(same, best, wanted_best)), row
        _check_measures(row, right)
    all_wanted = _oracle_rows(symbol, capture)
    comparable = sum(row.update_id in quotes for row in all_wanted)
    assert compared >= comparable / 3, f"only {compared} rows of {comparable} were compared with the exchange's quotes"
    before_sync: int = sum(row.update_id < first for row in all_wanted)
    assert before_sync <= len(all_wanted) / 10, f"{before_sync} events passed before the book was synchronised"
    return before_sync


def _check_measures(row: Row, right: oracle.BookRow) -> None:
    for name in oracle.MEASURES:
        near(row[name], getattr(right, name), f"{name} of {row}")


def _rows_of_the_book(pipeline: Queried, symbol: str) -> list[Row]:
    return sorted(pipeline.query("book", symbol, "--limit", "1000000"), key=lambda row: row["update_id"])


def _oracle_rows(symbol: str, capture: Path, asked_at: float = inf) -> list[oracle.BookRow]:
    return oracle.book_rows(capture, 20, 10, 10, native(symbol), asked_at)


def _known(
    rows: Sequence[Row], symbol: str, capture: Path, missing: Sequence[range], snapshots: Sequence[int]
) -> list[oracle.BookRow]:
    """What can be known from the first row on.

    A snapshot in the middle has fewer levels than the book. The pipeline fetches another one when the price comes near
    its edge; at full speed the price is beyond it before that is there, so such a row may be either.
    """
    first = rows[0]["update_id"]
    known = {row.update_id: row for row in _oracle_rows(symbol, capture) if row.update_id >= first}
    found = {row["update_id"]: row for row in rows}
    for asked_at in sorted(snapshots):
        for right in _oracle_rows(symbol, capture, asked_at):
            row = found.get(right.update_id) if right.update_id > asked_at else None
            if row is not None and right != known[right.update_id] and _has_measures(row, right):
                known[right.update_id] = right
    return [row for update_id, row in known.items() if not _within(update_id, missing)]


def _has_measures(row: Row, right: oracle.BookRow) -> bool:
    try:
        _check_measures(row, right)
    except AssertionError:
        return False
    return True


def check_statistics(pipeline: Queried, symbol: str, capture: Path, minutes: int) -> None:
    """Of each window that has closed, those of its trades; of the alerts of trades, when each began."""
    trades = oracle.trades(capture, native(symbol))
    wanted = {row.open_time: row for row in trade_statistics(trades, minutes, Decimal(10))}
    rows = pipeline.query("statistics", symbol, "--interval", f"{minutes}m", "--limit", "100000")
    times = [microseconds(row["open_time"]) for row in rows]
    assert times == list(wanted)[: len(times)]
    assert len(times) >= len(wanted) - 1
    for row, right in zip(rows, wanted.values(), strict=False):
        for name in ("trades", "largest_trade_id", "outliers"):
            assert row[name] == getattr(right, name), f"{name} of {row}"
        for name in ("quote_volume", "taker_sell_volume", "range_bps", "largest_trade", "realised_volatility"):
            should = getattr(right, name)
            near(row[name], Decimal(repr(should)) if isinstance(should, float) else should, f"{name} of {row}")
    ends = max((trade.time for trade in trades), default=0)
    told = [
        *price_spikes(trades, Decimal("0.02"), MINUTE, ends),
        *volume_spikes(trades, Decimal(1_000_000), MINUTE, ends),
        *outlier_alerts(trades, Decimal(10)),
    ]
    alerts = pipeline.query("alerts", symbol, "--limit", "1000000")
    for rule in ("price_spike", "volume_spike", "outlier"):
        found = sorted(microseconds(row["started_at"]) for row in alerts if row["rule"] == rule)
        assert found == sorted({one.started_at for one in told if one.rule == rule}), rule


def _within(update_id: int, ranges: Sequence[range]) -> bool:
    return any(update_id in one for one in ranges)


def check_alerts(
    pipeline: Queried,
    symbol: str,
    capture: Path,
    whale: Decimal,
    missing: Sequence[range] = (),
    snapshots: Sequence[int] = (),
) -> list[Row]:
    """Every episode of extreme imbalance and every whale trade, once, with start, end, severity and extreme.

    Book events with a `missing` update id were not seen, and so start and end nothing. Returns the rows.
    """
    rows = _known(_rows_of_the_book(pipeline, symbol), symbol, capture, missing, snapshots)
    found = pipeline.query("alerts", symbol, "--limit", "1000000")
    assert len({row["id"] for row in found}) == len(found)
    imbalances = sorted((r for r in found if r["rule"] == "extreme_imbalance"), key=lambda row: row["started_at"])
    wanted = oracle.alerts(rows, Decimal("0.5"), Decimal("0.7"))
    assert len(imbalances) == len(wanted)
    for row, episode in zip(imbalances, wanted, strict=True):
        assert microseconds(row["started_at"]) == episode.started_at, row
        assert (row["ended_at"] and microseconds(row["ended_at"])) == episode.ended_at, row
        assert row["side"] == ("buy" if episode.buy_side else "sell"), row
        assert row["severity"] == ("HIGH" if episode.high else "MEDIUM"), row
        if episode.ended_at is not None:
            near(row["extreme"], episode.extreme, f"extreme of {row}")
    whales = sorted(row["trade_id"] for row in found if row["rule"] == "whale_trade")
    assert whales == [trade.id for trade in oracle.whales(oracle.trades(capture, native(symbol)), whale)]
    return found
