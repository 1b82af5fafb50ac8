"""The forms of the answers, for the OpenAPI document.

Answers are written straight from rows; a test holds them against these models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from marketpipeline.api.row_models import AlertRow, BookRow, CandleRow, TickerRow

__all__ = ["Alerts", "Book", "Klines", "Moment", "Realtime", "StoreHealth", "SymbolHealth", "SystemHealth"]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Klines(_Answer):
    """Candles of one symbol in order of time; the one that still forms has `closed` false."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    interval: str = Field(examples=["1m"])
    candles: list[CandleRow]


class Book(_Answer):
    """Measures of the order book of one symbol, a row for each of its updates, in order of time."""

    symbol: str = Field(examples=["binance:BTCUSDT"])
    latest: BookRow | None = Field(description="The newest, whatever span was asked for.")
    book: list[BookRow]


class Alerts(_Answer):
    """Alerts, each in its last state, the newest first."""

    alerts: list[AlertRow]


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
    source: Literal["redis", "timescale", "redis+timescale"] = Field(
        description="The store that this is from; both where the cache lacked something that the database has."
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
