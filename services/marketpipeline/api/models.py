"""The forms of the answers, for the OpenAPI document.

Answers are written straight from rows; a test holds them against these models. The forms of rows are made from the
definitions of the tables, with an example.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, create_model

from marketpipeline.records import Alert, BookMetrics, Candle, FeedEvent, LateTrade, Record, Ticker, Trade
from marketpipeline.store import Table, table_of
from marketpipeline.store.rows import json_of
from marketpipeline.venues import venues

__all__ = [
    "AlertRow",
    "Alerts",
    "Alive",
    "Book",
    "BookRow",
    "CandleRow",
    "CoverageAnswer",
    "Day",
    "Events",
    "FeedEventRow",
    "KeptBackDay",
    "Klines",
    "LateTradeRow",
    "LateTrades",
    "MarketRow",
    "MarketSummary",
    "Moment",
    "Ranking",
    "Realtime",
    "Statistics",
    "StoreHealth",
    "StreamMessage",
    "StreamTicket",
    "SymbolHealth",
    "SystemHealth",
    "TickerHealth",
    "TickerRow",
    "Tier",
    "Tiers",
    "TradeCount",
    "TradeCounts",
    "TradeRow",
    "Trades",
]

_START = 1_723_161_240_000_000
_VENUE = next(iter(venues().values()))
_SYMBOL = f"{_VENUE.name}:{_VENUE.symbol_example}"
_TYPES: dict[str, Any] = {
    "text": str,
    "bigint": int,
    "double precision": float,
    "boolean": bool,
    "timestamptz": datetime,
}

_CANDLE = Candle(
    symbol=_SYMBOL, interval="1m", open_time=_START, close_time=_START + 60_000_000, closed=True, complete=True,
    open=61_710.01, high=61_732.5, low=61_700.0, close=61_725.99, volume=14.25, quote_volume=879_505.1, trades=1_204,
    taker_buy_volume=8.5, vwap=61_719.66, buy_sell_ratio=1.478, price_change=0.000259, first_trade_id=3_713_000_001,
    last_trade_id=3_713_001_204, receive_time=_START + 59_990_000, process_time=_START + 60_020_000,
)  # fmt: skip
_BOOK = BookMetrics(
    symbol=_SYMBOL, event_time=_START + 100_000, event_time_estimated=False, receive_time=_START + 104_000,
    process_time=_START + 109_000, update_id=50_123_456_789, best_bid=61_710.0, best_bid_quantity=1.2,
    best_ask=61_710.01, best_ask_quantity=0.8, mid=61_710.005, spread=0.01, spread_bps=0.00162, imbalance=0.31,
    weighted_imbalance=0.28, vtob_ratio=0.12, weighted_mid=61_710.006, bid_quantity=10.9, ask_quantity=5.7,
    bid_depth=672_639.0, ask_depth=351_747.1,
)  # fmt: skip
_ALERT = Alert(
    symbol=_SYMBOL, id=f"extreme_imbalance:{_SYMBOL}:{_START}", rule="extreme_imbalance",
    severity="HIGH", status="closed", side="buy", started_at=_START, ended_at=_START + 2_000_000,
    event_time=_START + 2_000_000, value=0.49, extreme=0.83, threshold=0.7, trade_id=None,
    receive_time=_START + 2_004_000, process_time=_START + 2_009_000,
)  # fmt: skip
_EVENT = FeedEvent(
    symbol=_SYMBOL, id=f"gap:trades:{_SYMBOL}:3713000001-3713000042", kind="gap", feed="trades", event_time=_START,
    receive_time=_START + 4_000, first_id=3_713_000_001, last_id=3_713_000_042, detail="the stream jumped",
    process="ingestion-0:1",
)  # fmt: skip
_LATE = LateTrade(
    symbol=_SYMBOL, trade_time=_START, receive_time=_START + 70_000_000, process_time=_START + 70_005_000,
    trade_id=3_713_000_001, price=61_710.01, quantity=0.01, taker_side="buy", clock=_START + 69_000_000,
)  # fmt: skip
_TRADE = Trade(
    symbol=_SYMBOL, event_time=_START + 1_000, receive_time=_START + 4_000, trade_time=_START, trade_id=3_713_000_001,
    price=61_710.01, quantity=0.01, taker_side="buy",
)  # fmt: skip
_TICKER = Ticker(
    symbol=_SYMBOL, event_time=_START, receive_time=_START + 4_000, last_price=61_710.01, last_quantity=0.01,
    bid_price=61_710.0, bid_quantity=1.2, ask_price=61_710.01, ask_quantity=0.8, open=55_100.0, high=62_745.1,
    low=54_730.0, volume=46_000.1, quote_volume=2.7e9, price_change=0.12, vwap=58_700.0, trades=3_900_000,
)  # fmt: skip


def _row(name: str, table: Table, example: Record) -> Any:
    """A model of a table's row, described by its record."""
    fields: dict[str, Any] = {
        c.name: (_TYPES[c.type] | None if c.nullable else _TYPES[c.type], ...) for c in table.columns
    }
    config = ConfigDict(extra="forbid", json_schema_extra={"example": json_of(example)})
    return create_model(name, __config__=config, __doc__=table.record.__doc__, **fields)


if TYPE_CHECKING:
    CandleRow: TypeAlias = dict[str, Any]
    BookRow: TypeAlias = dict[str, Any]
    AlertRow: TypeAlias = dict[str, Any]
    TickerRow: TypeAlias = dict[str, Any]
    FeedEventRow: TypeAlias = dict[str, Any]
    LateTradeRow: TypeAlias = dict[str, Any]
    TradeRow: TypeAlias = dict[str, Any]
else:
    CandleRow = _row("Candle", table_of("candles"), _CANDLE)
    BookRow = _row("BookMetrics", table_of("book_metrics"), _BOOK)
    AlertRow = _row("Alert", table_of("alerts"), _ALERT)
    TickerRow = _row("Ticker", table_of("tickers"), _TICKER)
    FeedEventRow = _row("FeedEvent", table_of("feed_events"), _EVENT)
    LateTradeRow = _row("LateTrade", table_of("late_trades"), _LATE)
    TradeRow = _row("Trade", table_of("trades"), _TRADE)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


_NEXT: Any = Field(
    description="The `cursor` of what follows; null where nothing does.", examples=["1723161240000000-1"]
)


class Klines(_Answer):
    """Candles of one symbol in order of time; the one that still forms has `closed` false."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    interval: str = Field(examples=["1m"])
    candles: list[CandleRow]
    next: str | None = _NEXT


class Book(_Answer):
    """Measures of the order book of one symbol, a row for each of its updates, in order of time."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    latest: BookRow | None = Field(description="The newest, whatever span was asked for.")
    book: list[BookRow]
    next: str | None = _NEXT


class Alerts(_Answer):
    """Alerts, each in its last state, the newest first."""

    alerts: list[AlertRow]
    next: str | None = _NEXT


class Events(_Answer):
    """What happened to the feeds, the newest first."""

    events: list[FeedEventRow]
    next: str | None = _NEXT


class Trades(_Answer):
    """Trades of one symbol in order of time."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    trades: list[TradeRow]
    next: str | None = _NEXT


class LateTrades(_Answer):
    """Trades that are in no candle, the newest first."""

    late_trades: list[LateTradeRow]
    next: str | None = _NEXT


class Moment(_Answer):
    """A symbol at this moment. Prices in quote units; what is not known is null."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    price: float | None = Field(description="Of the last trade, else the mid.", examples=[61_710.01])
    price_time: datetime | None = Field(description="Time of that trade.")
    best_bid: float | None
    best_bid_quantity: float | None
    best_ask: float | None
    best_ask_quantity: float | None
    mid: float | None
    spread: float | None
    spread_bps: float | None
    imbalance: float | None
    weighted_imbalance: float | None
    vtob_ratio: float | None
    book_time: datetime | None = Field(description="Exchange time of the book that the measures are of.")
    candles: dict[str, CandleRow] = Field(description="The newest candle by interval, usually still forming.")
    ticker: TickerRow | None = Field(description="The exchange's own statistics of 24 hours, if that feed is on.")
    receive_time: datetime | None = Field(description="When the newest of all this was received.")
    age_ms: int | None = Field(description="Milliseconds since then; negative when clocks disagree.", examples=[87])


class Realtime(_Answer):
    """Every symbol at this moment."""

    time: datetime
    source: str = Field(
        description="The store that this is from; several, with a `+` between, where one lacked what another has.",
        examples=["redis"],
    )
    symbols: list[Moment]


class StoreHealth(_Answer):
    """How a store is."""

    status: Literal["ok", "failed"]
    error: str | None
    latency_ms: float | None = Field(description="Time that it took to answer.", examples=[0.8])
    schema_version: int | None = Field(description="Of a database.", examples=[3])


class SymbolHealth(_Answer):
    """How old the newest data of a symbol is, in milliseconds; null where there is none."""

    symbol: str
    trade_age_ms: int | None
    book_age_ms: int | None
    candle_age_ms: int | None
    age_ms: int | None = Field(description="Of the newest of all kinds.")


class SystemHealth(_Answer):
    """`ok`: every store answers; `degraded`: some do; `failed`: none does, and the status is 503."""

    status: Literal["ok", "degraded", "failed"]
    time: datetime
    pipeline: str
    stores: dict[str, StoreHealth]
    symbols: list[SymbolHealth]


class StreamMessage(_Answer):
    """One message of the stream: a frame of a WebSocket, or the data of an event whose name is the type.

    `snapshot` comes first: the newest of everything that was asked for. After a reconnect with an id `resumed` comes
    instead, if what was missed is still here, and then that. `updates` follow. `thinned` says that this reader was
    slow, how many updates were left out, and that of each symbol and kind the newest follows; `status` that the broker
    is away or back.
    """

    type: Literal["snapshot", "resumed", "updates", "thinned", "status"]
    id: str | None = Field(
        None, description="What to go on from (`last_id`) after this.", examples=["1042.1723161240123.19130fd4e2b"]
    )
    live: bool | None = Field(None, description="Whether the broker is being read: of a snapshot, `resumed`, `status`.")
    skipped: int | None = Field(None, description="Updates that were left out.", examples=[312])
    records: list[dict[str, Any]] | None = Field(
        None,
        description="Rows as elsewhere in this API, each with its `kind`.",
        examples=[[{"kind": "book", **json_of(_BOOK)}]],
    )


class StreamTicket(_Answer):
    """What a browser opens the stream with; null where this API asks for no key."""

    ticket: str | None = Field(examples=["1723161270.ZGFzaGJvYXJk.5f1c"])
    expires_in: int | None = Field(description="Seconds.", examples=[30])


class Statistics(_Answer):
    """Statistics of the trades of one symbol, a row for each window, in order of time."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    interval: str = Field(examples=["1m"])
    statistics: list[dict[str, Any]]
    next: str | None = _NEXT


class TradeCount(_Answer):
    """What was traded of a symbol: sums over `candles` candles."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    trades: int = Field(examples=[120_400])
    volume: float = Field(description="Base units.", examples=[1_425.2])
    quote_volume: float = Field(description="Quote units.", examples=[87_950_510.1])
    taker_buy_volume: float = Field(description="Base units that takers bought.", examples=[850.0])
    candles: int = Field(description="Candles that were added up.", examples=[60])


class TradeCounts(_Answer):
    """Trades and volumes of each symbol."""

    interval: str = Field(description="Length of the candles that were added up.", examples=["1m"])
    symbols: list[TradeCount]


class MarketRow(_Answer):
    """A symbol over the last whole window and the one that forms; prices in quote units."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    since: datetime = Field(description="Beginning of the first of these windows.")
    open: float = Field(examples=[61_710.01])
    high: float
    low: float
    close: float
    price_change: float = Field(description="close / open − 1.", examples=[0.0021])
    volume: float = Field(description="Base units.")
    quote_volume: float = Field(description="Quote units.")
    trades: int = Field(examples=[2_410])


class MarketSummary(_Answer):
    """The whole market over the last whole window and the one that forms."""

    time: datetime
    interval: str = Field(examples=["1h"])
    trades: int
    quote_volume: float = Field(description="Sum over all symbols, each in its own quote units.")
    rising: int = Field(description="Symbols whose price rose.")
    falling: int = Field(description="Symbols whose price fell.")
    symbols: list[MarketRow]


class Ranking(_Answer):
    """Symbols in order of `by`, the highest first."""

    interval: str = Field(examples=["1h"])
    by: str = Field(examples=["quote_volume"])
    symbols: list[MarketRow]


class Alive(_Answer):
    """`live`: something was received in time; `stale`: nothing was; `unknown`: nothing ever. Ages in milliseconds."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    status: Literal["live", "stale", "unknown"]
    trade_age_ms: int | None
    book_age_ms: int | None
    candle_age_ms: int | None
    seen_age_ms: int | None = Field(description="Since anything was received, a heartbeat of a quiet market included.")


class TickerHealth(_Answer):
    """Whether each symbol is alive."""

    time: datetime
    stale_after: int = Field(description="Seconds.")
    symbols: list[Alive]


class KeptBackDay(_Answer):
    """A day beyond its retention that stays in the database, since the lake lacks some of it."""

    table: str = Field(examples=["trades"])
    day: date = Field(examples=["2024-08-08"])
    reason: str = Field(examples=["binance:BTCUSDT: 120400 rows here, 120399 in the archive"])
    since: datetime = Field(description="When that was found first.", examples=["2024-11-07T03:00:04.000000Z"])


class Tier(_Answer):
    """A store as a tier: `hot` has what is newest, `warm` the history, `cold` what the history gave up."""

    tier: Literal["hot", "warm", "cold"] = Field(examples=["warm"])
    store: str = Field(examples=["timescale"])
    error: str | None = Field(description="Why it does not answer.", examples=[None])
    archived_days: dict[str, int] = Field(
        description="By table: days of it that the cold tier answers for.", examples=[{"trades": 212, "candles": 30}]
    )
    kept_back: list[KeptBackDay] = Field(description="Days that should have gone there and did not, and why.")


class Tiers(_Answer):
    """The stores, the hot one first."""

    tiers: list[Tier]


class Day(_Answer):
    """What there is of a symbol and a day of UTC, and what is known to be missing.

    A day of which nothing is there but a gap has no store, rows and times.
    """

    symbol: str = Field(examples=["binance:BTCUSDT"])
    day: date = Field(examples=["2024-08-08"])
    store: str | None = Field(description="Where its rows are.", examples=["timescale"])
    rows: int = Field(examples=[1_440])
    first: datetime | None = Field(description="Time of the first row.", examples=["2024-08-08T00:00:00.000000Z"])
    last: datetime | None = Field(description="Time of the last row.", examples=["2024-08-08T23:59:00.000000Z"])
    gaps: int = Field(description="Events of kind `gap` of that day in the feeds that the table is made of: each names "
                      "the ids that are missing.", examples=[0])  # fmt: skip


class CoverageAnswer(_Answer):
    """What there is of each symbol and day, in order of days."""

    table: str = Field(examples=["candles"])
    left_out: int = Field(description="Earlier rows of this answer, beyond `limit`.", examples=[0])
    days: list[Day]
