"""What the project has and what it lacks: days, gaps, what filled them, trades that came too late for their candle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import streamlit as st

from marketpipeline.dashboard import pieces
from marketpipeline.dashboard.client import NoAnswer
from marketpipeline.dashboard.desk import Desk
from marketpipeline.dashboard.market import Row
from marketpipeline.dashboard.views.choosing import choose_one, choose_some, state_badge
from marketpipeline.dashboard.views.history import span_of
from marketpipeline.schema import microseconds
from marketpipeline.store.rows import iso

__all__ = ["held", "show", "totals"]

PAINT_SECONDS = 10.0
_DAYS_SECONDS = 60.0
_DAYS = 30
_MOST_ROWS = 60
_MOST = 1_000
_KINDS = ("gap", "backfill", "resync", "disconnect", "stale", "moved", "rejected")


def show(desk: Desk) -> None:
    """The page."""
    symbols = choose_some("Symbols", desk.settings.symbols)
    wanted = tuple(symbols) or tuple(desk.settings.symbols)
    if desk.settings.windows:
        st.fragment(_paint_days, run_every=_DAYS_SECONDS)(desk, wanted)
    name = choose_one("Range", ["1 h", "6 h", "24 h", "7 d"], "range", default="24 h")
    st.fragment(_paint, run_every=PAINT_SECONDS)(desk, name, wanted)


def _paint_days(desk: Desk, symbols: Sequence[str]) -> None:
    """The last days as a calendar, from what every tier has."""
    now, interval = datetime.now(UTC), min(desk.settings.windows, key=microseconds)
    today = now.date()
    first = today - timedelta(days=_DAYS - 1)
    st.html(pieces.heading(f"Last {_DAYS} days"))
    shown = symbols[:_MOST_ROWS]
    asked = {"table": "candles", "interval": interval, "from": f"{first}T00:00:00Z", "symbols": ",".join(shown)}
    try:
        rows = desk.ask("system/coverage", _DAYS_SECONDS - 1, **asked)["days"]
    except NoAnswer as error:
        st.warning(f"Nothing is known of the days: {error}.", icon=":material/cloud_off:")
        return
    days = [first + timedelta(days=number) for number in range(_DAYS)]
    st.html(pieces.calendar(days, held(shown, rows, microseconds(interval), now)))
    words = f"Candles of {interval} that are there, of a day's; without a trade there is none. Point at a day for more."
    st.caption(words if len(shown) == len(symbols) else f"{words} Of the first {_MOST_ROWS} symbols.")


def _paint(desk: Desk, name: str, symbols: Sequence[str]) -> None:
    since, until = span_of(name, datetime.now(UTC))
    parameters = {"from": iso(since), "to": iso(until), "limit": _MOST}
    try:
        every = desk.ask("analytics/events", PAINT_SECONDS, **parameters)["events"]
        late = desk.ask("analytics/late-trades", PAINT_SECONDS, **parameters)["late_trades"]
    except NoAnswer as error:
        st.html(state_badge(desk))
        st.warning(f"Nothing is known of gaps: {error}.", icon=":material/cloud_off:")
        return
    events, late = ([row for row in rows if row["symbol"] in symbols] for rows in (every, late))
    st.html(
        pieces.tiles([*((kind, f"{count:,}", "") for kind, count in _counts(events, late).items())], state_badge(desk))
    )
    st.html(pieces.heading("By symbol"))
    columns = {"symbol": "Symbol", **{kind: f">{kind.capitalize()}" for kind in _KINDS}, "late": ">Late trades"}
    st.html(pieces.table(columns, totals(symbols, events, late), "No symbol is chosen."))
    st.html(pieces.heading("What happened"))
    told = {"at": "At (UTC)", "symbol": "Symbol", "feed": "Feed", "kind": "What", "ids": ">Ids", "detail": "Detail"}
    st.html(pieces.table(told, [_told(row) for row in events[:60]], "Nothing: every feed is whole in this range."))
    if len(every) >= _MOST:
        st.caption(f"Of the newest {_MOST:,} events: the range has more.")


def held(
    symbols: Sequence[str], rows: Sequence[Row], length: int, now: datetime
) -> Mapping[str, Mapping[date, pieces.Day]]:
    """Of each symbol and day the share of its candles of `length` (µs) that is there; a first day begins with its first
    candle, today ends now."""
    found: dict[str, dict[date, pieces.Day]] = {symbol: {} for symbol in symbols}
    for row in sorted(rows, key=lambda row: str(row["day"])):
        days, day = found.setdefault(row["symbol"], {}), date.fromisoformat(row["day"])
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = min(begin + timedelta(days=1), now)
        if not days and row["first"] is not None:
            begin = datetime.fromisoformat(row["first"])
        most = max(1, (end - begin) // timedelta(microseconds=length))
        days[day] = pieces.Day(min(row["rows"], most), most, row["gaps"], row["store"])
    return found


def _counts(events: Sequence[Row], late: Sequence[Row]) -> dict[str, int]:
    counts = Counter(row["kind"] for row in events)
    return {kind: counts[kind] for kind in _KINDS} | {"late trades": len(late)}


def totals(symbols: Sequence[str], events: Sequence[Row], late: Sequence[Row]) -> list[dict[str, str]]:
    """Of each symbol how often each thing happened; nothing is written where it never did."""
    counts = Counter((row["symbol"], row["kind"]) for row in events)
    counts.update((row["symbol"], "late") for row in late)
    return [
        {"symbol": symbol, **{kind: f"{counts[symbol, kind]:,}" for kind in (*_KINDS, "late") if counts[symbol, kind]}}
        for symbol in symbols
    ]


def _told(row: Row) -> dict[str, str]:
    first, last = row["first_id"], row["last_id"]
    ids = "" if first is None else f"{first:,}" if last in (None, first) else f"{first:,} – {last:,}"
    at = pieces.clock(row["event_time"] or row["receive_time"])
    return {"at": at, "symbol": row["symbol"], "feed": row["feed"], "kind": row["kind"], "ids": ids,
            "detail": row["detail"]}  # fmt: skip
