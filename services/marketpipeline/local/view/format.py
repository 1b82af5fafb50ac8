"""Numbers, times and records as text, the same on the screen and in plain output."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from marketpipeline.alert_kinds import Unit, alert_kinds
from marketpipeline.records import Alert, Candle, DeadLetter, FeedEvent, Record

__all__ = [
    "clock",
    "count",
    "describe_alert",
    "describe_candle",
    "describe_candle_state",
    "describe_dead_letter",
    "describe_event",
    "describe_news",
    "price",
]


def clock(microseconds: int) -> str:
    """A time of day, UTC."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%H:%M:%S")


def price(value: float) -> str:
    """A price with as many digits as it has, grouped."""
    exponent = Decimal(repr(value)).as_tuple().exponent
    digits = -exponent if isinstance(exponent, int) else 0
    return f"{value:,.{max(2, min(digits, 8))}f}"


def count(value: float) -> str:
    """A count or sum of any size in at most seven signs."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / limit * (10 if unit == 'k' else 1):,.1f}{unit}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def describe_alert(alert: Alert) -> str:
    """An alert's transition."""
    kind = alert_kinds().get(alert.rule)
    title = alert.rule.replace("_", " ") if kind is None else kind.title
    shown = "{:+.2f}".format if kind is None or kind.unit is Unit.RATIO else count
    if kind is not None and kind.momentary:
        return f"{alert.severity} {title} {alert.symbol}: {alert.side} of {shown(alert.value)}"
    reached = shown(alert.value) if alert.status != "closed" else f"furthest {shown(alert.extreme)}"
    return f"{alert.severity} {title} {alert.symbol} {alert.status}: {alert.side} side, {reached}"


def describe_event(event: FeedEvent) -> str:
    """An event of a feed."""
    last = "" if event.last_id is None else str(event.last_id)
    ids = "" if event.first_id is None else f" {event.first_id}…{last}"
    detail = f" ({event.detail})" if event.detail else ""
    return f"{event.kind} {event.symbol or 'connection'} {event.feed}{ids}{detail}"


def describe_dead_letter(letter: DeadLetter) -> str:
    """Input that could not be used, and where it came from."""
    return f"dead letter {letter.symbol or '(no symbol)'}: {letter.error} ({letter.source})"


def describe_news(record: Record) -> str | None:
    """A record that is news, in a line; None for one that is none."""
    match record:
        case Alert():
            return f"alert: {describe_alert(record)}"
        case FeedEvent():
            return f"feed: {describe_event(record)}"
        case DeadLetter():
            return describe_dead_letter(record)
    return None


def describe_candle_state(candle: Candle) -> str:
    """Whether it is final, and whether trades from its beginning may be missing."""
    state = "closed" if candle.closed else "forming"
    return state if candle.complete else f"{state}, incomplete"


def describe_candle(candle: Candle) -> str:
    """A candle in one line."""
    ohlc = " ".join(f"{name} {price(getattr(candle, name))}" for name in ("open", "high", "low", "close"))
    return (
        f"{candle.symbol} {candle.interval} {clock(candle.open_time)} {describe_candle_state(candle)}: {ohlc}, "
        f"volume {count(candle.volume)}, {candle.trades:,} trades"
    )
