"""What REST is answered from: books as the exchange itself shows them, trades by id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from marketpipeline.simulator.captures import load
from marketpipeline.simulator.events import BookDiff, BookSnapshot, Quote
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.market_state import MAX_PENDING, MarketState
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.protocols.binance.wire import decode

from tests.services.simulator.client import diff, trade

PROTOCOL = protocols()["binance"]


def frame(line: tuple[int, str]) -> Frame:
    read = PROTOCOL.read(line[0], line[1].encode())
    assert read is not None
    return read


def market(history: int = 1000) -> MarketState:
    return MarketState(PROTOCOL.events, ["BTCUSDT"], history)


@pytest.mark.parametrize(
    ("name", "equal"), [("binance_btcusdt_20240808.gz", 564), ("binance_ethusdt_20240808.gz", 577)]
)
def test_the_book_is_the_exchanges_own_where_the_update_ids_are_equal(
    real_capture: Callable[[str], Path], name: str, equal: int
) -> None:
    recorded = load(real_capture(name), (PROTOCOL.read, PROTOCOL.read_rest), 1 << 30)
    (symbol,) = recorded.symbols
    known = MarketState(PROTOCOL.events, [symbol], 1000)
    known.seed(recorded.snapshots[symbol])
    quotes: dict[int, Quote] = {}
    for one in recorded.frames():
        if one.kind is Kind.QUOTE:
            quote = decode(one)
            assert isinstance(quote, Quote)
            quotes[quote.update_id] = quote
    compared = 0
    for one in recorded.frames():
        known.note(one)
        if one.kind is not Kind.DIFF:
            continue
        change = decode(one)
        assert isinstance(change, BookDiff)
        if (shown := quotes.get(change.last_id)) is None:
            continue
        top = known.depth(symbol, 1)
        if top.last_id != change.last_id:
            continue  # the snapshot is newer
        assert (*top.bids[0], *top.asks[0]) == shown[1:]
        compared += 1
    assert compared == equal


def test_changes_wait_until_somebody_asks_but_not_without_bound() -> None:
    known = market()
    for number in range(1, MAX_PENDING + 2):
        known.note(frame(diff(number, number, number, [["100.00", f"{number}.0"]], [])))
    assert len(known._diffs["BTCUSDT"]) <= MAX_PENDING
    assert known.depth("BTCUSDT", 5).bids == [("100.00", f"{MAX_PENDING + 1}.0")]


def test_a_snapshot_replaces_the_book_unless_it_is_older() -> None:
    known = market()
    newer = BookSnapshot(10, [("99.0", "1.0")], [("101.0", "1.0")])
    known.seed(PROTOCOL.encode(0, "BTCUSDT", newer))
    known.seed(PROTOCOL.encode(0, "BTCUSDT", BookSnapshot(9, [("1.0", "1.0")], [])))
    assert known.depth("BTCUSDT", 9) == newer
    known.note(frame(diff(0, 9, 10, [["99.0", "7.0"]], [])))
    assert known.depth("BTCUSDT", 9) == newer, "a change that the snapshot has"
    known.note(frame(diff(0, 11, 12, [["99.0", "0.00000000"], ["98.0", "2.0"]], [["100.0", "3.0"]])))
    assert known.depth("BTCUSDT", 9) == BookSnapshot(12, [("98.0", "2.0")], [("100.0", "3.0"), ("101.0", "1.0")])


def test_trades_by_id() -> None:
    known = market()
    for number in range(100, 200):
        known.note(frame(trade(number, number)))

    def ids(from_id: int | None, limit: int) -> list[int]:
        return [one.trade_id for one in known.trades("BTCUSDT", from_id, limit)]

    assert ids(None, 3) == [197, 198, 199]
    assert ids(150, 3) == [150, 151, 152]
    assert ids(1, 2) == [100, 101]
    assert ids(199, 10) == [199]
    assert ids(200, 10) == []


def test_the_history_is_bounded() -> None:
    known = market(history=100)
    for number in range(1, 1001):
        known.note(frame(trade(number, number)))
    kept = known.trades("BTCUSDT", 0, 10_000)
    assert 100 <= len(kept) <= 125
    assert kept[-1].trade_id == 1000


def test_the_quote_is_the_last_one_sent_or_the_top_of_the_book() -> None:
    known = market()
    assert known.quote("BTCUSDT") is None
    known.note(frame(diff(0, 1, 2, [["99.0", "1.0"]], [["101.0", "2.0"]])))
    assert known.quote("BTCUSDT") == Quote(2, "99.0", "1.0", "101.0", "2.0")
    sent = Quote(3, "99.5", "1.0", "100.5", "1.0")
    known.note(PROTOCOL.encode(0, "BTCUSDT", sent))
    assert known.quote("BTCUSDT") == sent


@pytest.mark.parametrize(("kind", "path", "row"), [
    ("trade", "historicalTrades", '{{"id":{0},"price":"1","qty":"1","time":1,"isBuyerMaker":true}}'),
    ("aggTrade", "aggTrades", '{{"a":{0},"p":"1","q":"1","f":{0},"l":{0},"T":1,"m":true}}'),
])  # fmt: skip
def test_what_only_rest_told_is_known_once_a_later_trade_was_sent(kind: str, path: str, row: str) -> None:
    known = market()
    rows = ",".join(row.format(number) for number in (3, 4, 9))
    page = PROTOCOL.read_rest(0, f"http://x/api/v3/{path}?symbol=BTCUSDT", f"[{rows}]".encode())
    assert page is not None
    known.remember(page)

    def ids(first: int | None, limit: int) -> list[int]:
        found = known.trades("BTCUSDT", first, limit) if kind == "trade" else known.agg_trades("BTCUSDT", first, limit)
        return [event[0] for event in found]

    def send(number: int) -> None:
        at, text = trade(number, number)
        if kind == "aggTrade":
            text = text.replace("@trade", "@aggTrade").replace('"e":"trade"', '"e":"aggTrade"')
            text = text.replace(f'"t":{number},', f'"a":{number},"f":{number},"l":{number},')
        known.note(frame((at, text)))

    assert ids(1, 10) == []
    for number in (1, 2):
        send(number)
    assert ids(1, 10) == [1, 2]
    send(5)
    assert ids(1, 10) == [1, 2, 3, 4, 5]
    assert ids(2, 2) == [2, 3]
    assert ids(None, 3) == [3, 4, 5]
