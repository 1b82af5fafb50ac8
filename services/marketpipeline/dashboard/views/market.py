"""What is now: price, candles, the book with its depth, its measures as they move, the last alerts."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from marketpipeline.dashboard import charts, pieces
from marketpipeline.dashboard.client import NoAnswer
from marketpipeline.dashboard.desk import Desk
from marketpipeline.dashboard.market import Row
from marketpipeline.dashboard.views.choosing import choose_interval, choose_symbol, state_badge

__all__ = ["show"]

PAINT_SECONDS = 1.0
_LAST_ALERTS = 7
_NO_BOOK = "No book yet: it comes with the next update of the exchange."
_NO_DATA = "No book: there is no live data."


def show(desk: Desk) -> None:
    """The page."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        symbol = choose_symbol(desk)
    with right:
        interval = choose_interval(desk)
    st.fragment(_paint, run_every=PAINT_SECONDS)(desk, symbol, interval)


def _paint(desk: Desk, symbol: str, interval: str | None) -> None:
    desk.watch(symbol)
    market = desk.market
    book, levels = market.book(symbol), market.levels(symbol)
    rows, problem = _candles(desk, symbol, interval)
    decimals = pieces.decimals_of(*_prices(book, rows))
    st.html(pieces.tiles(_tiles(book, rows, market.ticker(symbol), decimals), state_badge(desk, symbol)))
    wide, narrow = st.columns([3, 1], gap="medium")
    with wide:
        _chart_of_candles(rows, decimals, problem)
    with narrow:
        st.html(pieces.heading("Order book"))
        st.html(
            pieces.ladder(levels, decimals)
            if levels
            else f'<div class="mp-empty">{_NO_DATA if desk.problem else _NO_BOOK}</div>'
        )
    first, second, third = st.columns([2, 2, 2], gap="medium")
    with first:
        st.html(pieces.heading("Depth"))
        if levels:
            st.echarts_chart(charts.depth(levels), height=230, key="depth", alt=f"Depth of the book of {symbol}")
        else:
            st.skeleton(height=230)
    with second:
        st.html(pieces.heading("Imbalance and spread"))
        if stretch := market.stretch(symbol):
            st.echarts_chart(charts.measures(stretch), height=230, key="measures", alt=f"Imbalance of {symbol}")
        else:
            st.skeleton(height=230)
    with third:
        st.html(pieces.heading("Last alerts"))
        _alerts(desk, symbol)


def _candles(desk: Desk, symbol: str, interval: str | None) -> tuple[Sequence[Row], str]:
    """The candles, or why there are none."""
    if interval is None:
        return (), "This pipeline has no candles: `windows` or the feed `trades` is absent."
    try:
        return desk.candles(symbol, interval), "No candle yet: the first comes with the first trades."
    except NoAnswer as error:
        return (), f"No candles: {error}."


def _chart_of_candles(rows: Sequence[Row], decimals: int, problem: str) -> None:
    if rows:
        alt = f"Candles of {rows[-1]['symbol']}, {rows[-1]['interval']}"
        st.echarts_chart(charts.candles(rows[-120:], decimals), height=430, key="candles", alt=alt)
    else:
        st.info(problem, icon=":material/candlestick_chart:")


def _alerts(desk: Desk, symbol: str) -> None:
    try:
        found = [row for row in desk.alerts() if row["symbol"] == symbol][:_LAST_ALERTS]
    except NoAnswer as error:
        st.warning(f"No alerts: {error}.")
        return
    st.html(pieces.alert_list(found, "None for this symbol so far.", with_symbol=False))


def _prices(book: Row | None, rows: Sequence[Row]) -> list[float]:
    found = [] if book is None else [book["best_bid"], book["best_ask"]]
    return found or [row["close"] for row in rows[-3:]]


def _tiles(book: Row | None, rows: Sequence[Row], ticker: Row | None, decimals: int) -> list[tuple[str, str, str]]:
    last = rows[-1] if rows else None
    value = last["close"] if last else book["mid"] if book else None
    before = rows[-2]["close"] if len(rows) > 1 else last["open"] if last else None
    moved = "" if value is None or before is None else "mp-up" if value >= before else "mp-down"
    found = [("price", pieces.price(value, decimals), f"big {moved}")]
    if ticker is not None:
        change = ticker["price_change"]
        found.append(("24 h", f"{change:+.2%}", "mp-up" if change >= 0 else "mp-down"))
    elif rows:
        change = rows[-1]["close"] / rows[0]["open"] - 1
        found.append((f"last {len(rows)} candles", f"{change:+.2%}", "mp-up" if change >= 0 else "mp-down"))
    if book is not None:
        heavy = "mp-up" if book["imbalance"] >= 0 else "mp-down"
        found += [
            ("spread", f"{book['spread_bps']:.3g} bps", ""),
            ("imbalance", f"{book['imbalance']:+.2f}", heavy),
            ("weighted", f"{book['weighted_imbalance']:+.2f}", ""),
            ("top of book", f"{book['vtob_ratio']:.0%}", ""),
            *(  # of a book whose known levels do not reach as far as depth is summed there is none
                (name, pieces.amount(book[field]), "")
                for name, field in (("bids", "bid_depth"), ("asks", "ask_depth"))
                if book[field] is not None
            ),
        ]
    if last is not None:
        found += [
            (f"volume {last['interval']}", pieces.amount(last["volume"]), ""),
            ("trades", str(last["trades"]), ""),
        ]
    return found
