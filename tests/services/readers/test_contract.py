"""What every reader keeps, whatever store it asks: real servers, filled by the sinks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from marketpipeline.errors import RetryableError
from marketpipeline.readers import Count, HistoryQuery, Reader, Span
from marketpipeline.readers.reading import Counting
from marketpipeline.records import Record
from marketpipeline.registry import resolve
from marketpipeline.sink_kinds import ReadRank, sink_kinds
from marketpipeline.sinks.base import HoldingSink
from marketpipeline.store import newest_kinds, table_of
from marketpipeline.store.rows import json_of

from tests.services.sinks.samples import (
    BTC,
    ETH,
    START,
    alert,
    book,
    candle,
    deliver,
    every_kind,
    feed_event,
    heartbeat,
    quote,
    ticker,
    trade,
)
from tests.services.sinks.stores import STORES

KINDS = newest_kinds(["1m", "5m"])
NOBODY = "elsewhere:NOBODY"
ALERTS = table_of("alerts")

READ = [name for name, kind in sink_kinds().items() if kind.reader and kind.rank is not ReadRank.ARCHIVE]
ARCHIVES = [name for name, kind in sink_kinds().items() if kind.rank is ReadRank.ARCHIVE]

FilledStore = Any
"""A store of the sinks' contract suite; `settings` are those of its kind."""


@pytest.fixture(params=READ)
def store(request: pytest.FixtureRequest) -> FilledStore:
    """One of each kind that can be asked, which its sink has made ready."""
    found = STORES[request.param](request)
    put(found)
    return found


def put(store: FilledStore, *records: Record) -> None:
    sink = store.sink()
    sink.open()
    if records:
        sink.write(deliver(*records))
        if isinstance(sink, HoldingSink):
            sink.flush(everything=True)
    sink.close()


def reader_of(store: FilledStore, patience: float = 10.0) -> Reader:
    reader: Reader = resolve(str(sink_kinds()[store.sink().name].reader))(store.settings, "test", patience)
    return reader


@pytest.fixture
async def reader(store: FilledStore) -> AsyncIterator[Reader]:
    """An open reader of it."""
    found = reader_of(store)
    await found.open()
    yield found
    await found.close()


async def rows(reader: Reader, query: HistoryQuery) -> list[dict[str, Any]]:
    batches = [batch async for batch in reader.history(query)]
    assert all(batches), "an empty batch"
    return [row for batch in batches for row in batch]


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(START / 1e6, UTC) + timedelta(seconds=seconds)


async def test_the_newest_record_of_each_kind(store: FilledStore, reader: Reader) -> None:
    put(store, trade(1), trade(9), quote(3), book(1), book(2), ticker(), candle(0), candle(1), trade(4, ETH))
    found = await reader.newest([BTC, ETH, NOBODY], KINDS)
    wanted = {"trade": trade(9), "quote": quote(3), "book": book(2), "ticker": ticker(), "candle:1m": candle(1)}
    assert found == {
        BTC: {kind: record for kind, record in wanted.items() if reader.keeps_newest(kind)},
        ETH: {"trade": trade(4, ETH)},
        NOBODY: {},
    }


async def test_forming_and_closed_candles(store: FilledStore, reader: Reader) -> None:
    put(store, candle(0, closed=True), candle(1, closed=True), candle(2), candle(0, interval="5m"))
    found = await reader.newest([BTC], ["candle:1m", "closed-candle:1m", "candle:5m", "closed-candle:5m"])
    assert found[BTC] == {
        "candle:1m": candle(2),
        "closed-candle:1m": candle(1, closed=True),
        "candle:5m": candle(0, interval="5m"),
    }


async def test_only_what_is_asked_for(store: FilledStore, reader: Reader) -> None:
    put(store, *every_kind())
    assert await reader.newest([BTC], ["trade"]) == {BTC: {"trade": trade()}}
    assert await reader.newest([], KINDS) == {}
    assert await reader.newest([BTC], ["nothing", "candle"]) == {BTC: {}}
    assert not reader.keeps_newest("nothing")


@pytest.mark.parametrize(
    ("filters", "span", "newest_first", "wanted"),
    [
        ({}, Span(), False, [0, 1, 2, 3]),
        ({}, Span(), True, [3, 2, 1, 0]),
        ({}, Span(limit=2), False, [2, 3]),
        ({}, Span(limit=2), True, [3, 2]),
        ({}, Span(moment(1), moment(3)), False, [1, 2]),
        ({}, Span(moment(1), None, 2), False, [1, 2]),
        ({}, Span(moment(1), None, 2), True, [3, 2]),
        ({}, Span(None, moment(2), 1), False, [1]),
        ({"symbol": BTC}, Span(), False, [0, 1, 2]),
        ({"severity": "HIGH", "status": ["closed", "escalated"]}, Span(), False, [2]),
        ({"symbol": NOBODY}, Span(), False, []),
    ],
    ids=repr,
)
@pytest.mark.parametrize("store", [*READ, *ARCHIVES], indirect=True)
async def test_history(
    store: FilledStore, reader: Reader, filters: dict[str, Any], span: Span, newest_first: bool, wanted: list[int]
) -> None:
    found = [alert(0), alert(1, status="closed"), alert(2, severity="HIGH", status="escalated"), alert(3, ETH)]
    put(store, *found)
    got = await rows(reader, HistoryQuery(ALERTS, filters, span, newest_first))
    assert got == [json_of(found[number]) for number in wanted]


COUNTED = [
    name for name, kind in sink_kinds().items() if kind.rank in (ReadRank.HISTORY, ReadRank.ARCHIVE) and kind.reader
]


@pytest.mark.parametrize("store", COUNTED, indirect=True)
async def test_rows_are_counted_and_added_up(store: FilledStore, reader: Reader) -> None:
    """Six minutes before midnight and two after; a candle that comes again further on counts once, as it is then."""
    assert isinstance(reader, Counting)
    name, candles = reader.name, table_of("candles")
    assert await reader.count(HistoryQuery(candles, {"symbol": [BTC]})) == []
    put(store, *(candle(n, trades=n) for n in range(8)), candle(0, ETH), candle(0, interval="5m"), candle(5, trades=1))
    put(store, candle(7, trades=70, closed=True))
    of_minutes = {"symbol": [BTC, NOBODY], "interval": "1m"}
    first, midnight = "2024-08-08T23:54:00.000000Z", "2024-08-09T00:00:00.000000Z"
    assert await reader.count(HistoryQuery(candles, of_minutes), ("trades", "volume"), daily=True) == [
        Count(BTC, date(2024, 8, 8), name, 6, first, "2024-08-08T23:59:00.000000Z", {"trades": 15, "volume": 63.0}),
        Count(BTC, date(2024, 8, 9), name, 2, midnight, "2024-08-09T00:01:00.000000Z", {"trades": 76, "volume": 21.0}),
    ]
    (whole,) = await reader.count(HistoryQuery(candles, of_minutes, Span(moment(60), moment(420))), ("trades",))
    assert (whole.day, whole.rows, whole.first, whole.sums) == (None, 6, "2024-08-08T23:55:00.000000Z", {"trades": 21})
    both = await reader.count(HistoryQuery(candles, {"interval": ["1m", "5m"]}))
    assert [(found.symbol, found.rows) for found in both] == [(BTC, 9), (ETH, 1)]
    put(store, feed_event(0), feed_event(1, id="b", event_time=None, receive_time=START + 360_000_000))
    days = await reader.count(HistoryQuery(table_of("feed_events"), {"symbol": [BTC], "kind": "gap"}), daily=True)
    assert [found.day for found in days] == [date(2024, 8, 8), date(2024, 8, 9)], "by the time that queries go by"


async def test_holdings(store: FilledStore, reader: Reader) -> None:
    assert await reader.holdings() == {}
    put(store, trade(), book(), candle(0), candle(0, interval="5m"), ticker(1, ETH))
    assert await reader.holdings() == {BTC: {"trade", "book", "candle:1m", "candle:5m"}, ETH: {"ticker"}}


async def test_when_a_symbol_was_seen_last(store: FilledStore, reader: Reader) -> None:
    assert await reader.seen([BTC]) == {}
    put(store, trade(1), heartbeat(70, ETH), feed_event(symbol=NOBODY))
    found = await reader.seen([BTC, ETH, NOBODY])
    assert found == {BTC: trade(1).receive_time, ETH: heartbeat(70).receive_time}
    put(store, heartbeat(200), feed_event(300))
    assert (await reader.seen([BTC]))[BTC] == heartbeat(200).receive_time


async def test_a_store_that_answers_and_one_that_is_away(store: FilledStore, reader: Reader) -> None:
    await reader.check()
    assert store.server is not None
    put(store, trade())
    store.server.kill()
    try:
        away = reader_of(store, patience=0.5)
        await away.open()
        for question in (away.check(), away.newest([BTC], KINDS), away.holdings(), rows(away, HistoryQuery(ALERTS))):
            with pytest.raises(RetryableError, match="is away"):
                await question
        await away.close()
    finally:
        store.server.start()
    put(store, trade())
    back = reader_of(store)
    await back.open()
    assert await back.newest([BTC], ["trade"]) == {BTC: {"trade": trade()}}
    await back.close()
