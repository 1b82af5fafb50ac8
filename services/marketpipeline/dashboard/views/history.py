"""What was: candles and alerts of a symbol between two times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from marketpipeline.dashboard import charts, pieces
from marketpipeline.dashboard.client import NoAnswer
from marketpipeline.dashboard.desk import Desk
from marketpipeline.dashboard.views.choosing import choose_interval, choose_one, choose_symbol
from marketpipeline.schema import microseconds
from marketpipeline.store.rows import iso

__all__ = ["show", "span_of"]

_RANGES = {
    "1 h": timedelta(hours=1), "6 h": timedelta(hours=6), "24 h": timedelta(days=1), "7 d": timedelta(days=7)
}  # fmt: skip
_OWN = "custom"
_MOST = 1_000
_HOLDS_SECONDS = 10.0


def show(desk: Desk) -> None:
    """The page."""
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    with left:
        symbol = choose_symbol(desk)
    with middle:
        name = choose_one("Range", [*_RANGES, _OWN], "range")
    with right:
        interval = choose_interval(desk)
    since, until = span_of(name, datetime.now(UTC)) if name != _OWN else _choose_span()
    if since >= until:
        st.error("The beginning must be before the end.", icon=":material/event_busy:")
        return
    parameters = {"from": iso(since), "to": iso(until)}
    if interval is not None:
        _candles(desk, symbol, interval, parameters)
    _alerts(desk, symbol, parameters)


def span_of(name: str, now: datetime) -> tuple[datetime, datetime]:
    """From when to when a range is. It moves on in steps, so that who looks at the same time asks the same."""
    step = 10
    until = datetime.fromtimestamp(now.timestamp() // step * step + step, UTC)
    return until - _RANGES[name], until


def _choose_span() -> tuple[datetime, datetime]:
    """From the address, or the last day; who changes either has it in the address."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    found = []
    for name, usual, column in zip(("from", "to"), (now - timedelta(days=1), now), st.columns(2), strict=True):
        first = _moment(st.query_params.get(name, "")) or usual
        with column:
            chosen: datetime = st.datetime_input(
                f"{name.capitalize()} (UTC)", first.replace(tzinfo=None), key=name, step=60, required=True
            )
        found.append(chosen.replace(tzinfo=UTC))
        st.query_params[name] = found[-1].strftime("%Y-%m-%dT%H:%M")
    return found[0], found[1]


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _candles(desk: Desk, symbol: str, interval: str, parameters: dict[str, str]) -> None:
    try:
        with st.spinner("Asking for candles …", show_time=False):
            answer = desk.of_symbol("klines", symbol, _HOLDS_SECONDS, interval=interval, limit=_MOST, **parameters)
            alerts = desk.ask("analytics/alerts", _HOLDS_SECONDS, symbol=symbol, limit=_MOST, **parameters)["alerts"]
    except NoAnswer as error:
        st.warning(f"No candles: {error}.", icon=":material/cloud_off:")
        return
    rows = answer["candles"]
    if not rows:
        st.info("No candle in this range. A longer one may have some.", icon=":material/candlestick_chart:")
        return
    st.html(pieces.tiles(_sums(rows)))
    decimals = pieces.decimals_of(*(row["close"] for row in rows[-3:]))
    chart = charts.candles(rows, decimals, alerts, zoom=True)
    st.echarts_chart(chart, height=430, key="past", alt=f"Candles of {symbol} from {rows[0]['open_time']}")
    csv = "\r\n".join([",".join(rows[0]), *(",".join(map(_cell, row.values())) for row in rows)])
    st.download_button("CSV", csv, f"{symbol.replace(':', '-')}-{interval}.csv", "text/csv", icon=":material/download:")
    words = f"{len(rows):,} candles of {interval}, {rows[0]['open_time']} to {rows[-1]['close_time']}"
    more = "; there are later ones: choose a shorter range or longer candles" if answer["next"] else ""
    incomplete = sum(not row["complete"] for row in rows)
    st.caption(f"{words}{more}. {_holes(rows, interval)}, {incomplete} whose beginning was not read. Pins are alerts.")


def _alerts(desk: Desk, symbol: str, parameters: dict[str, str]) -> None:
    st.html(pieces.heading("Alerts in this range"))
    try:
        found = desk.ask("analytics/alerts", _HOLDS_SECONDS, symbol=symbol, limit=_MOST, **parameters)["alerts"]
    except NoAnswer as error:
        st.warning(f"No alerts: {error}.", icon=":material/cloud_off:")
        return
    st.html(pieces.alert_list(found[:50], "No alert of this symbol in this range.", with_symbol=False))
    if len(found) > 50:
        st.caption(f"The newest 50 of {len(found):,}{'' if len(found) < _MOST else ' or more'}.")


def _sums(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    decimals = pieces.decimals_of(*(row["close"] for row in rows[-3:]))
    change = rows[-1]["close"] / rows[0]["open"] - 1
    return [
        ("open", pieces.price(rows[0]["open"], decimals), ""),
        ("high", pieces.price(max(row["high"] for row in rows), decimals), ""),
        ("low", pieces.price(min(row["low"] for row in rows), decimals), ""),
        ("close", pieces.price(rows[-1]["close"], decimals), ""),
        ("change", f"{change:+.2%}", "mp-up" if change >= 0 else "mp-down"),
        ("volume", pieces.amount(sum(row["volume"] for row in rows)), ""),
        ("turnover", pieces.amount(sum(row["quote_volume"] for row in rows)), ""),
        ("trades", f"{sum(row['trades'] for row in rows):,}", ""),
    ]


def _holes(rows: list[dict[str, Any]], interval: str) -> str:
    """How many candles are absent between the first and the last: times without a trade, or without a feed."""
    length = timedelta(microseconds=microseconds(interval))
    first, last = (datetime.fromisoformat(rows[at]["open_time"]) for at in (0, -1))
    absent = (last - first) // length + 1 - len(rows)
    return f"{absent:,} absent between them"


def _cell(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
