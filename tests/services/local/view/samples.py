"""What a run would show, for the tests of what is drawn."""

from __future__ import annotations

from pathlib import Path

from marketpipeline.backoff import Backoff
from marketpipeline.local.managed_process import ManagedProcess, State
from marketpipeline.local.view.base import Heading
from marketpipeline.local.view.observer import Observation, Observer, SymbolView
from marketpipeline.readers import Readers
from marketpipeline.records import Alert, BookMetrics, Candle, FeedEvent, Record, Trade

from tests.services.local.toys import SLEEP, Toy, python

__all__ = ["HEADING", "FakeObserver", "alert", "candle", "event", "managed", "symbol_view"]

SYMBOL = "x:AAA"
AT = 1_723_161_254_000_000
HEADING = Heading(
    "crypto",
    (SYMBOL, "x:BBB"),
    "replay of a.gz at 20×",
    Path("/state"),
    "http://127.0.0.1:8000",
    "http://127.0.0.1:8501",
)


def candle(
    interval: str = "1m",
    *,
    closed: bool = False,
    open_time: int = AT,
    change: float = 0.0123,
    process_time: int | None = None,
) -> Candle:
    return Candle(
        symbol=SYMBOL,
        interval=interval,
        open_time=open_time,
        close_time=open_time + 60_000_000,
        closed=closed,
        complete=True,
        open=61_900.0,
        high=62_000.5,
        low=61_800.25,
        close=61_950.75,
        volume=12.5,
        quote_volume=774_000.0,
        trades=1_234,
        taker_buy_volume=5.0,
        vwap=61_920.125,
        buy_sell_ratio=None,
        price_change=change,
        first_trade_id=1,
        last_trade_id=2,
        receive_time=AT,
        process_time=AT if process_time is None else process_time,
    )


def alert(rule: str = "extreme_imbalance", status: str = "open", severity: str = "HIGH") -> Alert:
    return Alert(
        symbol=SYMBOL,
        id="x",
        rule=rule,
        severity=severity,  # type: ignore[arg-type]
        status=status,  # type: ignore[arg-type]
        side="sell",
        started_at=AT,
        ended_at=None,
        event_time=AT,
        value=-0.81 if rule == "extreme_imbalance" else 1_250_000.0,
        extreme=-0.93,
        threshold=0.7,
        trade_id=None,
        receive_time=AT,
        process_time=AT,
    )


def event(kind: str = "gap") -> FeedEvent:
    return FeedEvent(
        symbol=SYMBOL, id="x", kind=kind, feed="book", event_time=AT, receive_time=AT, first_id=10, last_id=19  # type: ignore[arg-type]
    )  # fmt: skip


def symbol_view(imbalance: float = -0.42) -> SymbolView:
    book = BookMetrics(
        symbol=SYMBOL,
        event_time=AT,
        event_time_estimated=False,
        receive_time=AT,
        process_time=AT,
        update_id=4,
        best_bid=61_950.0,
        best_bid_quantity=1.0,
        best_ask=61_950.01,
        best_ask_quantity=1.0,
        mid=61_950.005,
        spread=0.010000000002037268,
        spread_bps=0.0016,
        imbalance=imbalance,
        weighted_imbalance=imbalance,
        vtob_ratio=0.1,
        weighted_mid=61_950.0,
        bid_quantity=1.0,
        ask_quantity=1.0,
        bid_depth=None,
        ask_depth=None,
    )
    trade = Trade(
        symbol=SYMBOL,
        event_time=AT,
        trade_time=AT,
        receive_time=AT,
        trade_id=1,
        price=61_950.75,
        quantity=0.1,
        taker_side="buy",
    )
    return SymbolView(
        SYMBOL,
        trade=trade,
        book=book,
        forming={"1m": candle(), "5m": candle("5m", change=-0.02)},
        closed={"1m": candle(closed=True, open_time=AT - 60_000_000)},
    )


def managed(name: str, state: State = State.READY, note: str = "", **details: object) -> ManagedProcess:
    found = ManagedProcess(Toy(name=name, runs=python(SLEEP)), lambda managed: None, Backoff(0.1, 1.0))
    found.state, found.note, found.details = state, note, details
    return found


class FakeObserver(Observer):
    """Sees what a test puts before it."""

    def __init__(self) -> None:
        super().__init__(None, None, Readers([], []), [])  # type: ignore[arg-type]
        self.symbols: list[SymbolView] = []
        self.records: list[Record] = []

    async def look(self, symbols: object, processes: object) -> Observation:
        news, self.records = self.records, []
        for record in news:
            self._count(record)
        return Observation(symbols=self.symbols, news=news)
