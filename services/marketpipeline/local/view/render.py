"""From what was seen to what is drawn; no clock but for ages, no input or output."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from marketpipeline.local.managed_process import ManagedProcess, State
from marketpipeline.local.view.base import Heading
from marketpipeline.local.view.format import (
    clock,
    count,
    describe_alert,
    describe_candle_state,
    describe_dead_letter,
    describe_event,
    price,
)
from marketpipeline.local.view.observer import Observation, Observer, Rates, SymbolView
from marketpipeline.records import Alert, Candle

__all__ = ["Frame", "activity", "imbalance_bar", "render"]

BAR = 10
UP, DOWN, DIM = "green", "red", "bright_black"
COLOURS = {
    State.READY: "green",
    State.STARTING: "yellow",
    State.WAITING: DIM,
    State.UNREADY: "yellow",
    State.RESTARTING: "bold red",
    State.STOPPING: "yellow",
    State.STOPPED: DIM,
    State.FAILED: "bold red",
}
MOST_LATE = 60_000.0
"""Milliseconds from which it is a replay at another speed that makes records late."""
FIXED_LINES = 14
"""Lines of borders, titles and headings that do not depend on how much there is to show."""


_COUNTERS = (("frames", "frames/s"), ("produced", "records/s"), ("written", "rows/s"))
"""Counters in health reports that are worth showing."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What one drawing is made of. With `height` (lines) the lists of news are cut so that all of it fits."""

    heading: Heading
    processes: Sequence[ManagedProcess]
    observer: Observer
    seen: Observation
    message: str
    width: int
    height: int | None


def render(frame: Frame) -> RenderableType:
    """The whole screen."""
    candles = _candles(frame.seen.symbols)
    used = FIXED_LINES + len(frame.processes) + len(frame.heading.shown) + candles.row_count
    left = 12 if frame.height is None else max(3, frame.height - used)
    return Group(
        _title(frame),
        Panel(_components(frame), title="components", title_align="left", border_style=DIM),
        Panel(_markets(frame.seen.symbols), title=_markets_title(frame.heading), title_align="left", border_style=DIM),
        Panel(candles, title="candles", title_align="left", border_style=DIM),
        Panel(_news(frame.observer, left), title=_news_title(frame.observer), title_align="left", border_style=DIM),
        Text(frame.message, style="bold", overflow="ellipsis", no_wrap=True),
    )


def imbalance_bar(ratio: float) -> Text:
    """A bar from the middle to the heavy side: bids to the right, asks to the left."""
    filled = min(BAR, round(abs(ratio) * BAR))
    left = " " * (BAR - filled) + "█" * filled if ratio < 0 else " " * BAR
    right = "█" * filled + " " * (BAR - filled) if ratio > 0 else " " * BAR
    return Text.assemble((left, DOWN), ("│", DIM), (right, UP), f" {ratio:+.2f}")


def _title(frame: Frame) -> Text:
    heading = frame.heading
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f" {heading.pipeline} ", style="bold reverse")
    text.append(f"  {heading.source}")
    if heading.api:
        text.append("   API ", style=DIM)
        text.append(f"{heading.api}/docs", style="cyan underline")
    if heading.dashboard:
        text.append("   dashboard ", style=DIM)
        text.append(heading.dashboard, style="cyan underline")
    text.append("   Ctrl-C stops", style=DIM)
    return text


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=None, expand=True, header_style=DIM, padding=(0, 1))
    wanted = set(right)
    for column in columns:
        table.add_column(column, justify="right" if column in wanted else "left", no_wrap=True, overflow="ellipsis")
    return table


def _components(frame: Frame) -> Table:
    table = _table("name", "state", "up", "restarts", "activity", "where", right=("up", "restarts"))
    table.columns[0].min_width = max((len(managed.name) for managed in frame.processes), default=0)
    table.columns[1].min_width = max(map(len, State))
    table.columns[4].ratio = 1
    for managed in frame.processes:
        at_work = managed.state is State.READY
        up = _age(time.monotonic() - managed.ready_at) if at_work and managed.ready_at is not None else ""
        table.add_row(
            managed.name,
            Text(managed.state.value, style=COLOURS[managed.state]),
            up,
            str(managed.restarts) if managed.restarts else "",
            activity(managed, frame.observer.rates, frame.seen.lag) if at_work else Text(managed.note, style="yellow"),
            Text(_place(managed.component.address), style=DIM),
        )
    return table


def activity(managed: ManagedProcess, rates: Rates, lag: Mapping[str, int]) -> str:
    """What a process does, as far as it says: rates first, then how many records it is behind."""
    parts = []
    books = managed.details.get("books")
    if isinstance(books, Mapping) and books["synced"] != books["of"]:
        parts.append(f"{books['synced']} of {books['of']} books in sync")
    for key, noun in _COUNTERS:
        rate = rates.of(managed.name, key)
        if rate is not None:
            parts.append(f"{count(round(rate))} {noun}")
    if managed.name in lag:
        parts.append(f"{lag[managed.name]:,} behind")
    if (late := _lateness(managed.details)) is not None:
        parts.append(f"{late:.0f} ms late")
    return "  ".join(parts)


def _markets_title(heading: Heading) -> str:
    shown, every = len(heading.shown), len(heading.symbols)
    return "markets" if shown == every else f"markets ({shown} of {every})"


def _lateness(details: Mapping[str, Any]) -> float | None:
    """How late the records of the slowest feed come, in milliseconds; None where that is not known, as in a replay."""
    feeds = details.get("latency", {}).get("feeds", {})
    late = max((float(feed["median_ms"]) for feed in feeds.values()), default=None)
    return late if late is not None and late < MOST_LATE else None


def _markets(symbols: Sequence[SymbolView]) -> Table:
    numbers = ("price", "best bid", "best ask", "spread", "bps")
    table = _table("symbol", *numbers, "imbalance (asks │ bids)", "book", right=numbers)
    for view in symbols:
        book, trade, quote = view.book, view.trade, view.quote
        bid = quote.bid_price if quote else book.best_bid if book else None
        ask = quote.ask_price if quote else book.best_ask if book else None
        if trade is None and bid is None:
            table.add_row(view.symbol, Text("waiting for the first record", style=DIM))
            continue
        table.add_row(
            view.symbol,
            "" if trade is None else Text(price(trade.price), style=UP if trade.taker_side == "buy" else DOWN),
            "" if bid is None else price(bid),
            "" if ask is None else price(ask),
            "" if book is None else price(round(book.spread, 8)),
            "" if book is None else f"{book.spread_bps:.2f}",
            "" if book is None else imbalance_bar(book.imbalance),
            "" if book is None else Text(clock(book.event_time), style=DIM),
        )
    return table


def _candles(symbols: Sequence[SymbolView]) -> Table:
    numbers = ("open", "high", "low", "close", "change", "volume", "VWAP", "trades")
    table = _table("symbol", "candle", "from", "", *numbers, right=numbers)
    for view in symbols:
        for interval, candle in view.forming.items():
            _add_candle(table, candle)
            last = view.closed.get(interval)
            if interval == next(iter(view.forming)) and last is not None and last.open_time != candle.open_time:
                _add_candle(table, last)
    if not table.row_count:
        table.add_row(Text("no trade yet", style=DIM))
    return table


def _add_candle(table: Table, candle: Candle) -> None:
    style = UP if candle.price_change >= 0 else DOWN
    table.add_row(
        candle.symbol,
        candle.interval,
        clock(candle.open_time),
        Text(describe_candle_state(candle), style=DIM if candle.closed else "yellow"),
        price(candle.open),
        price(candle.high),
        price(candle.low),
        Text(price(candle.close), style=style),
        Text(f"{candle.price_change:+.3%}", style=style),
        count(candle.volume),
        price(round(candle.vwap, 2)),
        f"{candle.trades:,}",
    )


def _news_title(observer: Observer) -> str:
    return f"alerts {observer.alert_count:,}  gaps {observer.gap_count:,}  dead letters {observer.dead_letters:,}"


def _news(observer: Observer, lines: int) -> RenderableType:
    """The newest alerts, then the newest feed events, in the lines that there are."""
    events = list(observer.events)[-max(1, lines // 4) :]
    alerts = list(observer.alerts)[-(lines - len(events)) :]
    shown = [_alert(alert) for alert in reversed(alerts)]
    if observer.newest_dead_letter is not None:
        words = describe_dead_letter(observer.newest_dead_letter)
        shown.append(Text(words, style="bold magenta", no_wrap=True, overflow="ellipsis"))
    shown += [Text(f"feed {describe_event(event)}", style=DIM) for event in reversed(events)]
    return Group(*(shown or [Text("none so far", style=DIM)]))


def _alert(alert: Alert) -> Text:
    style = {"HIGH": "bold red", "MEDIUM": "yellow"}[alert.severity] if alert.status != "closed" else DIM
    return Text(f"{clock(alert.event_time)} {describe_alert(alert)}", style=style, no_wrap=True, overflow="ellipsis")


def _place(address: str) -> str:
    """host:port of an address."""
    return urlsplit(address).netloc.rpartition("@")[2] if "://" in address else address


def _age(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
