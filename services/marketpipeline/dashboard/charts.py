"""Options of ECharts, from rows: what a chart shows, without anything that a library of charts has to run. Pure.

Colours hold on light and on dark; text, lines and tooltips are coloured by Streamlit's theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketpipeline.dashboard.market import Row, Stretch, milliseconds
from marketpipeline.schema import microseconds

__all__ = ["BUY", "SELL", "candles", "cumulated", "depth", "measures"]

Option = dict[str, Any]

BUY, SELL, NEUTRAL, ACCENT = "#12a37d", "#e5484d", "#8b93a7", "#4c7dff"
_FAINT = {"lineStyle": {"opacity": 0.35, "type": "dashed"}}
_DAY = 86_400_000_000
_WIDEST = 24
"""Pixels of a candle and its volume, also where there are only two."""
_CROSS = {"trigger": "axis", "axisPointer": {"type": "cross"}, "confine": True}
_LINKED = {"link": [{"xAxisIndex": "all"}]}


def candles(rows: Sequence[Row], decimals: int, marks: Sequence[Row] = (), *, zoom: bool = False) -> Option:
    """Candles with their volume below; `marks` are alerts, which are put at their candles."""
    interval = microseconds(rows[0]["interval"]) if rows else 60_000_000
    times = [_label(row["open_time"], interval) for row in rows]
    prices = [[row["open"], row["close"], row["low"], row["high"]] for row in rows]
    volumes = [
        {"value": row["volume"], "itemStyle": {"color": BUY if row["close"] >= row["open"] else SELL, "opacity": 0.55}}
        for row in rows
    ]
    series: list[Option] = [
        {
            "name": "price", "type": "candlestick", "data": prices, "barMaxWidth": _WIDEST,
            "itemStyle": {"color": BUY, "color0": SELL, "borderColor": BUY, "borderColor0": SELL},
            **({"markLine": _last(rows[-1], decimals)} if rows else {}),
            **({"markPoint": {"data": found, "animation": False}} if (found := _marks(rows, marks)) else {}),
        },
        {
            "name": "VWAP", "type": "line", "data": [row["vwap"] for row in rows], "showSymbol": False,
            "lineStyle": {"width": 1, "color": ACCENT, "opacity": 0.8}, "itemStyle": {"color": ACCENT},
            "tooltip": {"valueFormatter": f"%.{decimals}f"},
        },
        {
            "name": "volume", "type": "bar", "data": volumes, "xAxisIndex": 1, "yAxisIndex": 1,
            "barMaxWidth": _WIDEST,
            "tooltip": {"valueFormatter": "%.4f"},
        },
    ]  # fmt: skip
    axis = {"type": "category", "data": times, "boundaryGap": True, "axisTick": {"show": False}}
    return {
        "animation": False,
        "tooltip": _CROSS,
        "axisPointer": _LINKED,
        "grid": [_grid(top=12, bottom="28%"), _grid(top="77%", bottom=46 if zoom else 22)],
        "xAxis": [
            axis | {"gridIndex": 0, "axisLabel": {"show": False}},
            axis | {"gridIndex": 1, "axisLabel": {"hideOverlap": True}},
        ],
        "yAxis": [
            _right(scale=True),
            _right(gridIndex=1, splitNumber=2, splitLine={"show": False}, axisLabel={"hideOverlap": True}),
        ],
        **({"dataZoom": [_zoom("inside"), _zoom("slider", height=18, bottom=4)]} if zoom else {}),
        "series": series,
    }


def cumulated(side: Sequence[Sequence[float]]) -> list[list[float]]:
    """Of levels, best first, price and the quantity up to it."""
    total, found = 0.0, []
    for price, quantity in side:
        total += quantity
        found.append([price, total])
    return found


def depth(book: Row) -> Option:
    """How much there is up to each price: bids to the left of the mid, asks to the right."""
    bids, asks = cumulated(book["bids"]), cumulated(book["asks"])
    sides = (("bids", bids[::-1], BUY, "end"), ("asks", asks, SELL, "start"))
    return {
        "animation": False,
        "tooltip": _CROSS | {"axisPointer": {"type": "line"}},
        "grid": _grid(top=12, bottom=24),
        "xAxis": {"type": "value", "scale": True, "splitNumber": 3, "min": "dataMin", "max": "dataMax",
                  "splitLine": {"show": False}, "axisLabel": {"hideOverlap": True}},
        "yAxis": _right(min=0, splitNumber=3),
        "series": [
            {"name": name, "type": "line", "data": data, "step": step, "showSymbol": False,
             "lineStyle": {"width": 1.5, "color": colour}, "itemStyle": {"color": colour},
             "areaStyle": {"opacity": 0.22, "color": colour}, "tooltip": {"valueFormatter": "%.4f"}}
            for name, data, colour, step in sides
        ],
    }  # fmt: skip


def measures(stretch: Stretch) -> Option:
    """Imbalance over spread, as they moved in the last minutes."""
    lines = [
        ("imbalance", 0, [[m.time, round(m.imbalance, 4)] for m in stretch], ACCENT, 0.18),
        ("weighted", 0, [[m.time, round(m.weighted_imbalance, 4)] for m in stretch], NEUTRAL, 0.0),
        ("spread, bps", 1, [[m.time, round(m.spread_bps, 5)] for m in stretch], SELL, 0.12),
    ]
    time = {"type": "time", "axisTick": {"show": False}, "splitLine": {"show": False}}
    short = bool(stretch) and stretch[-1].time - stretch[0].time < 150_000
    labels = {"hideOverlap": True, "formatter": "{HH}:{mm}:{ss}" if short else "{HH}:{mm}"}
    return {
        "animation": False,
        "useUTC": True,
        "tooltip": _CROSS | {"axisPointer": {"type": "line"}},
        "axisPointer": _LINKED,
        "grid": [_grid(top=10, bottom="42%"), _grid(top="66%", bottom=24)],
        "xAxis": [
            time | {"gridIndex": 0, "axisLabel": {"show": False}},
            time | {"gridIndex": 1, "axisLabel": labels, "splitNumber": 4},
        ],
        "yAxis": [
            _right(min=-1, max=1, interval=0.5, axisLabel={"formatter": "{value}", "hideOverlap": True}),
            _right(gridIndex=1, scale=True, splitNumber=2, axisLabel={"hideOverlap": True}),
        ],
        "series": [
            {"name": name, "type": "line", "data": data, "xAxisIndex": at, "yAxisIndex": at, "showSymbol": False,
             "lineStyle": {"width": 1.5, "color": colour}, "itemStyle": {"color": colour},
             **({"areaStyle": {"opacity": opacity, "color": colour}} if opacity else {})}
            for name, at, data, colour, opacity in lines
        ],
    }  # fmt: skip


def _grid(**sides: Any) -> Option:
    return {"left": 10, "right": 64, **sides}


def _right(**more: Any) -> Option:
    return {"type": "value", "position": "right", "splitLine": _FAINT, "axisLine": {"show": False}, **more}


def _zoom(kind: str, **more: Any) -> Option:
    return {"type": kind, "xAxisIndex": [0, 1], **more}


def _last(row: Row, decimals: int) -> Option:
    """The last price, as a line to the axis."""
    colour = BUY if row["close"] >= row["open"] else SELL
    return {
        "symbol": "none", "animation": False, "silent": True,
        "lineStyle": {"color": colour, "type": "dotted", "width": 1},
        "label": {"position": "end", "formatter": f"{row['close']:,.{decimals}f}", "color": "#fff",
                  "backgroundColor": colour, "padding": [2, 4], "borderRadius": 3, "fontSize": 11},
        "data": [{"yAxis": row["close"]}],
    }  # fmt: skip


def _marks(rows: Sequence[Row], alerts: Sequence[Row]) -> list[Option]:
    """A pin at the candle in which each alert started; those of one candle are one pin with their number."""
    if not rows:
        return []
    starts = [milliseconds(row["open_time"]) for row in rows]
    length = microseconds(rows[0]["interval"]) // 1_000
    places = {start: number for number, start in enumerate(starts)}
    counts: dict[int, int] = {}
    for alert in alerts:
        at = milliseconds(alert["started_at"])
        if (number := places.get(at - at % length)) is not None:
            counts[number] = counts.get(number, 0) + 1
    return [
        {"coord": [number, rows[number]["high"]], "value": count, "symbolSize": 26, "itemStyle": {"color": "#d9822b"}}
        for number, count in counts.items()
    ]


def _label(text: str, interval: int) -> str:
    """A candle's time on the axis: a day has no hours, and only a long stretch needs the day."""
    return (
        text[5:10] if interval >= _DAY else f"{text[8:10]}. {text[11:16]}" if interval >= 3_600_000_000 else text[11:16]
    )
