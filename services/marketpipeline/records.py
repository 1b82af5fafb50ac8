"""Every record that crosses a topic, defined once.

On the wire a record is one JSON object: `type` tells which struct it is, `v` the version of its form (a
reader refuses a version it does not know). Common to all:

- `symbol`: the instrument as `exchange:SYMBOL`; it is also the Kafka key, so one symbol stays in order.
- `event_time`: the exchange's time, `receive_time`: when this project read the frame, `process_time`: when
  the stream job made the record. Integers, microseconds since the epoch, UTC. Where the exchange gives no
  time `event_time` is null.
- prices in quote units, quantities in base units, both float64: exact for up to 15 significant digits.
- levels are `[price, quantity]` arrays, best price first.

Definitions of the metrics are in the docstrings below; N is `depth.calculate` of the spec.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from marketpipeline.alert_kinds import Severity

__all__ = [
    "AggTrade",
    "Alert",
    "AlertStatus",
    "AnyRecord",
    "Book",
    "BookMetrics",
    "BookStatistics",
    "Candle",
    "DeadLetter",
    "ExchangeCandle",
    "FeedEvent",
    "FeedEventKind",
    "Heartbeat",
    "LateTrade",
    "Level",
    "Quote",
    "RawFrame",
    "Record",
    "Side",
    "SymbolThresholds",
    "Ticker",
    "Time",
    "Trade",
    "TradeStatistics",
    "WindowEdge",
    "as_text",
    "cut_dead_letter",
    "decode",
    "encode",
    "times",
]


Side = Literal["buy", "sell"]
Level = tuple[float, float]
Time = Annotated[int, msgspec.Meta(extra={"time": "microseconds"})]
"""A field that holds microseconds since the epoch, UTC."""
WindowEdge = Annotated[int, msgspec.Meta(extra={"time": "seconds"})]
"""A `Time` where a candle begins or ends: always a whole second."""


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """Base of all records: the version of the JSON form and the instrument."""

    v: int = 1
    symbol: str


class Trade(Record, tag="trade", frozen=True, kw_only=True, gc=False):
    """One match on the exchange.

    `trade_time` is the time of the match, `event_time` when the exchange sent it. `taker_side` is the
    aggressor's side. `backfilled` marks a trade that was missed on the stream and fetched over REST. `contracts` is the
    number that the exchange told, where it counts in contracts.
    """

    event_time: Time | None
    trade_time: Time
    receive_time: Time
    trade_id: int
    price: float
    quantity: float
    taker_side: Side
    backfilled: bool = False
    contracts: float | None = None


class AggTrade(Record, tag="agg_trade", frozen=True, kw_only=True, gc=False):
    """Trades of one taker order at one price, as the exchange aggregates them; ids are inclusive."""

    event_time: Time | None
    trade_time: Time
    receive_time: Time
    agg_trade_id: int
    first_trade_id: int
    last_trade_id: int
    price: float
    quantity: float
    taker_side: Side
    backfilled: bool = False
    contracts: float | None = None


class Book(Record, tag="book", frozen=True, kw_only=True, gc=False):
    """The top `depth.levels` levels of the book after one update of the exchange.

    `update_id` is the exchange's id of the last update in it. Levels are sorted, positive and not crossed.
    `previous_id` is the update that it continues: what lies between the two is in it, so that records of several
    processes tell together which updates there are. Null where the exchange sends whole books. The numbers of
    contracts, level by level, are there where the exchange counts in contracts.
    """

    event_time: Time | None
    receive_time: Time
    update_id: int
    previous_id: int | None = None
    bids: list[Level]
    asks: list[Level]
    bid_contracts: list[float] | None = None
    ask_contracts: list[float] | None = None


class Quote(Record, tag="quote", frozen=True, kw_only=True, gc=False):
    """The best bid and ask after one update; in contracts too where the exchange counts in these."""

    event_time: Time | None
    receive_time: Time
    update_id: int
    bid_price: float
    bid_quantity: float
    ask_price: float
    ask_quantity: float
    bid_contracts: float | None = None
    ask_contracts: float | None = None


class Ticker(Record, tag="ticker", frozen=True, kw_only=True, gc=False):
    """Statistics of the exchange over its rolling 24 hours; `price_change` is a ratio (last / open − 1).

    `contracts` is the volume in contracts, where the exchange counts in these.
    """

    event_time: Time | None
    receive_time: Time
    last_price: float
    last_quantity: float
    bid_price: float
    bid_quantity: float
    ask_price: float
    ask_quantity: float
    open: float
    high: float
    low: float
    volume: float
    quote_volume: float | None
    price_change: float
    vwap: float | None = None
    trades: int | None = None
    last_contracts: float | None = None
    bid_contracts: float | None = None
    ask_contracts: float | None = None
    contracts: float | None = None


class ExchangeCandle(Record, tag="exchange_candle", frozen=True, kw_only=True, gc=False):
    """A candle as the exchange computes it, to compare ours with; `contracts` as in a ticker."""

    event_time: Time | None
    receive_time: Time
    interval: str
    open_time: WindowEdge
    closed: bool
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int | None
    taker_buy_volume: float | None
    contracts: float | None = None


class Heartbeat(Record, tag="heartbeat", frozen=True, kw_only=True, gc=False):
    """A promise of ingestion: this symbol's feed is complete up to `event_time`.

    It travels in the same topic and partition as the records it speaks of, so that what comes after it is
    later. It moves the symbol's clock on in a market that is quiet. Once a minute one of all feeds of a symbol is among
    the events, which every store reads. `process` made the promise, and may not be the
    only one that writes the symbol.
    """

    event_time: Time
    receive_time: Time
    process: str = ""


FeedEventKind = Literal[
    "gap",
    "resync",
    "backfill",
    "disconnect",
    "reconnect",
    "stale",
    "recovered",
    "rejected",
    "moved",
    "synced",
    "joined",
    "left",
    "followed",
    "unfollowed",
]


class FeedEvent(Record, tag="feed_event", frozen=True, kw_only=True, gc=False):
    """What the project has and what it lacks, per symbol and feed.

    `first_id` and `last_id` are inclusive: the missing ids of a gap, the ids fetched by a backfill, for a resync
    the id that the book starts from. `id` follows from the content, so a repetition is the same event.

    `process` is the one that wrote it: host and process id. Several may follow a symbol at a time. `joined` is told
    when a process has begun to write the whole feed, after `first_id`; `left` when it was told to stop, with its
    `last_id`. What is a `gap` none of them has written.

    `moved` says that a stream speaks at another address of the exchange than it should, and is followed there.

    `followed` and `unfollowed` tell what a selector of the pipeline brought in or let go, with its reason; the platform
    writes these.
    """

    id: str
    kind: FeedEventKind
    feed: str
    event_time: Time | None
    receive_time: Time
    first_id: int | None = None
    last_id: int | None = None
    detail: str = ""
    process: str = ""


class DeadLetter(Record, tag="dead_letter", frozen=True, kw_only=True, gc=False):
    """Input that could not be used, whole, and why.

    `payload` is the raw input as text, or base64 where `encoding` says so. `symbol` is empty when it could
    not be told. `source` is the connection, topic or file that it came from. Of a payload that is over the broker's
    limit only the beginning is there, and `error` says so (`cut_dead_letter`).
    """

    payload: str
    encoding: Literal["utf-8", "base64"]
    error: str
    source: str
    ingestion_time: Time


class RawFrame(Record, tag="raw", frozen=True, kw_only=True, gc=False):
    """What an exchange sent, as it came: a message of a connection, or the answer to a REST request about a symbol.

    `symbol` and `stream`, the exchange's own name of it, are empty where the message is of none. `connection` is the
    process and the number of its connection, `sequence` counts the messages of that from 1. An answer has the address
    of its request as `request`, and the answers of a process count by themselves. `payload` is text, or base64 where
    `encoding` says so.
    """

    exchange: str
    connection: str
    sequence: int
    receive_time: Time
    stream: str = ""
    request: str = ""
    encoding: Literal["utf-8", "base64"] = "utf-8"
    payload: str

    @property
    def data(self) -> bytes:
        """The bytes that came."""
        return self.payload.encode() if self.encoding == "utf-8" else b64decode(self.payload)


class SymbolThresholds(Record, tag="thresholds", frozen=True, kw_only=True, gc=False):
    """The thresholds in force for a symbol from `effective_from` on; the newest record of a symbol wins.

    `values` by the names that the entries of the alerts give them (`alert_kinds.Threshold.name`), each in its unit.
    `patterns` are the sequences of alerts: `name|severity|microseconds|rule,rule`, joined by `;`.
    """

    effective_from: Time
    values: dict[str, float]
    patterns: str = ""


class BookMetrics(Record, tag="book_metrics", frozen=True, kw_only=True, gc=False):
    """Measures of one book update, over its levels 1…N of each side (Q quantity, P price, b bid, a ask).

    mid = (P_b1 + P_a1) / 2; spread = P_a1 − P_b1, `spread_bps` = spread / mid · 10⁴;
    imbalance = (ΣQ_b − ΣQ_a) / (ΣQ_b + ΣQ_a), in −1…1; `weighted_imbalance` the same with Q / level;
    vtob_ratio = (Q_b1 + Q_a1) / (ΣQ_b + ΣQ_a), in 0…1; weighted_mid = (P_b1·Q_a1 + P_a1·Q_b1) / (Q_b1 + Q_a1);
    bid_quantity, ask_quantity = ΣQ (base); bid_depth, ask_depth = ΣP·Q (quote) of the levels within
    `depth.withinBps` of the mid, null when the known book does not reach that far.
    `event_time` is the receive time, and `event_time_estimated` true, where the exchange gives none.
    """

    event_time: Time
    event_time_estimated: bool
    receive_time: Time
    process_time: Time
    update_id: int
    best_bid: float
    best_bid_quantity: float
    best_ask: float
    best_ask_quantity: float
    mid: float
    spread: float
    spread_bps: float
    imbalance: float
    weighted_imbalance: float
    vtob_ratio: float
    weighted_mid: float
    bid_quantity: float
    ask_quantity: float
    bid_depth: float | None
    ask_depth: float | None


class Candle(Record, tag="candle", frozen=True, kw_only=True, gc=False):
    """OHLCV of one window, replaced as it forms; final once `closed`.

    Open and close are the prices of the first and last trade by (trade time, trade id). `volume` and
    `taker_buy_volume` in base, `quote_volume` = ΣP·Q, vwap = ΣP·Q / ΣQ, buy_sell_ratio = taker-buy volume /
    taker-sell volume (null without a sell), price_change = close / open − 1. `receive_time` is that of the
    newest trade in it. `complete` says that the stream job has read the symbol's trades from before the candle
    opened; it is false for the first candle of a pipeline, and for one made again after the beginning of its topic
    was deleted. What the exchange has and ingestion never got is told by feed events of kind `gap` instead.
    """

    interval: str
    open_time: WindowEdge
    close_time: WindowEdge
    closed: bool
    complete: bool = False
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    taker_buy_volume: float
    vwap: float
    buy_sell_ratio: float | None
    price_change: float
    first_trade_id: int
    last_trade_id: int
    receive_time: Time
    process_time: Time


class TradeStatistics(Record, tag="trade_statistics", frozen=True, kw_only=True, gc=False):
    """What the trades of a window say beside its candle, once that has closed.

    `quote_volume`, `largest_trade` in quote units, taker_buy_volume + taker_sell_volume = the candle's volume, in base;
    range_bps = (high / low − 1) · 10⁴; realised_volatility = √Σr², r the log returns of the closes of the minutes in
    the window, each from the close of the last minute before it that had trades (null where there is none). `outliers`
    are the trades among them that the alert `outlier` was raised for; they count in everything here, as in the candle.
    `complete` as with the candle.
    """

    interval: str
    open_time: WindowEdge
    close_time: WindowEdge
    complete: bool
    trades: int
    quote_volume: float
    taker_buy_volume: float
    taker_sell_volume: float
    vwap: float
    price_change: float
    range_bps: float
    realised_volatility: float | None
    largest_trade: float
    largest_trade_id: int
    outliers: int
    receive_time: Time
    process_time: Time


class BookStatistics(Record, tag="book_statistics", frozen=True, kw_only=True, gc=False):
    """The book of a window, once it has ended. The rows of the interval `1s` are the reduced book: one a second.

    A window has the `events` whose second lies in it, the second that the newest event time of the symbol has reached.
    Of the last of them are `mid`, `spread_bps`, `imbalance`, `weighted_imbalance`, `bid_depth`, `ask_depth`; lowest and
    highest imbalance and spread (bps) have the event time at which they were reached first. order_flow_imbalance (base)
    = Σe over the changes of the best quotes, e = 1{P_b≥P_b′}Q_b − 1{P_b≤P_b′}Q_b′ − 1{P_a≤P_a′}Q_a + 1{P_a≥P_a′}Q_a′
    (′ = before). A slope is that of the cumulated quantity over the distance from the mid in bps, least squares over
    the levels 1…N, in base per bps: of the last book of a second, and the mean of those of a window's seconds (null
    with one level). `normal_spread_bps` is the median of the spread over the 300 seconds before the last event's.
    """

    interval: str
    open_time: WindowEdge
    close_time: WindowEdge
    events: int
    mid: float
    spread_bps: float
    imbalance: float
    weighted_imbalance: float
    bid_depth: float | None
    ask_depth: float | None
    lowest_imbalance: float
    lowest_imbalance_time: Time
    highest_imbalance: float
    highest_imbalance_time: Time
    lowest_spread_bps: float
    lowest_spread_time: Time
    highest_spread_bps: float
    highest_spread_time: Time
    order_flow_imbalance: float
    bid_slope: float | None
    ask_slope: float | None
    normal_spread_bps: float | None
    receive_time: Time
    process_time: Time


AlertStatus = Literal["open", "escalated", "closed"]


class Alert(Record, tag="alert", frozen=True, kw_only=True, gc=False):
    """A transition of an alert: it opens once, may escalate, and closes once.

    `rule` is the name of its entry in `alert_kinds`. `id` is `rule:exchange:SYMBOL:started_at` (a whale trade adds its
    trade id), so a replay makes the same alerts. `side` is the heavy side of the book or the taker's. `value` is the
    measure at this record, `extreme` the furthest it reached since the start, `threshold` the limit of the severity.
    An alert that lasts is told again, in the same status, whenever the cooldown has passed. The `rule` of a pattern is
    its name, `made_of` the ids of its alerts in their order, joined by spaces; its values are seconds from the first to
    the last.
    """

    id: str
    rule: str
    severity: Severity
    status: AlertStatus
    side: Side
    started_at: Time
    ended_at: Time | None
    event_time: Time
    value: float
    extreme: float
    threshold: float
    trade_id: int | None
    receive_time: Time
    process_time: Time
    made_of: str | None = None


class LateTrade(Record, tag="late_trade", frozen=True, kw_only=True, gc=False):
    """A trade that came after the smallest candle it belongs to had closed, and so is in none; `clock` is the symbol's
    clock at that moment."""

    trade_time: Time
    receive_time: Time
    process_time: Time
    trade_id: int
    price: float
    quantity: float
    taker_side: Side
    clock: Time


AnyRecord = (
    Trade
    | AggTrade
    | Book
    | Quote
    | Ticker
    | ExchangeCandle
    | Heartbeat
    | FeedEvent
    | DeadLetter
    | RawFrame
    | SymbolThresholds
    | BookMetrics
    | Candle
    | TradeStatistics
    | BookStatistics
    | Alert
    | LateTrade
)

_KEPT_CHARACTERS = 100_000

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)


def encode(record: Record) -> bytes:
    """The record's JSON form, one line."""
    return _encoder.encode(record)


@cache
def times(record: type[Record]) -> Mapping[str, Literal["microseconds", "seconds"]]:
    """The fields of a type of record that hold a time, and how fine each is; all count microseconds since the epoch."""
    found = {name: _time(hint) for name, hint in get_type_hints(record, include_extras=True).items()}
    return MappingProxyType({name: unit for name, unit in found.items() if unit is not None})


def _time(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return next((m.extra["time"] for m in get_args(hint) if isinstance(m, msgspec.Meta) and m.extra), None)
    return next(filter(None, map(_time, get_args(hint))), None)


def as_text(payload: bytes) -> tuple[str, Literal["utf-8", "base64"]]:
    """Bytes whole as text where they are UTF-8, else as base64, and which of the two it is."""
    try:
        return payload.decode(), "utf-8"
    except UnicodeDecodeError:
        return b64encode(payload).decode("ascii"), "base64"


def cut_dead_letter(letter: bytes) -> bytes:
    """An encoded DeadLetter with the first 100,000 characters of its payload, and an error that says so.

    For a letter that is over the broker's limit of some 1,000,000 bytes; a character takes at most 6. A letter whose
    payload is not longer is given back as it is.
    """
    whole = msgspec.json.decode(letter, type=DeadLetter)
    kept = whole.payload[:_KEPT_CHARACTERS]
    if kept == whole.payload:
        return letter
    error = f"{whole.error} (payload cut to {len(kept)} of {len(whole.payload)} characters)"
    return encode(msgspec.structs.replace(whole, payload=kept, error=error))


def decode(data: bytes) -> AnyRecord:
    """Read a record of any type.

    Raises `msgspec.ValidationError` or `msgspec.DecodeError`, whose message names the field and its path,
    also for a version that this release does not know.
    """
    record = _decoder.decode(data)
    if record.v != 1:
        raise msgspec.ValidationError(f"Expected `v` 1, got {record.v} - at `$.v`")
    return record
