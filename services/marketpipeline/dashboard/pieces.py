"""Pieces of a page as HTML: what Streamlit has no widget for, or would need one too many for. Pure.

Whatever came from elsewhere is escaped. Colours are of the page's own text, mixed, so that they hold on light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from html import escape
from typing import NamedTuple

from marketpipeline.alert_kinds import alert_kinds
from marketpipeline.dashboard.charts import BUY, SELL, cumulated
from marketpipeline.dashboard.market import Row

__all__ = [
    "STYLE",
    "Day",
    "alert_list",
    "amount",
    "badge",
    "calendar",
    "clock",
    "decimals_of",
    "heading",
    "ladder",
    "price",
    "table",
    "tiles",
]

_ROWS = 10

STYLE = f"""<style>
.stMainBlockContainer {{padding: 3.4rem 1.6rem 1rem; max-width: 1700px}}
.stMainBlockContainer [data-testid="stVerticalBlock"] {{gap: .6rem}}
.mp-head {{font-size: .95rem; font-weight: 600; padding: .5rem 0 .15rem}}
.mp-tiles {{display: flex; flex-wrap: wrap; gap: .35rem 1.7rem; align-items: flex-end; min-height: 3.3rem}}
.mp-tile small {{display: block; opacity: .62; font-size: .72rem; line-height: 1.2}}
.mp-tile b {{font-size: 1.08rem; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap}}
.mp-tile.big b {{font-size: 1.9rem; line-height: 1.15}}
.mp-up > b, span.mp-up {{color: {BUY}}} .mp-down > b, span.mp-down {{color: {SELL}}}
.mp-badge {{display: inline-block; padding: .12rem .55rem; border-radius: 1rem; font-size: .78rem; font-weight: 600;
  background: color-mix(in srgb, currentColor 13%, transparent); white-space: nowrap}}
.mp-live {{color: {BUY}}} .mp-away {{color: {SELL}}} .mp-wait {{color: #d9822b}}
.mp-ladder {{font-variant-numeric: tabular-nums; font-size: .8rem; line-height: 1.4}}
.mp-ladder div {{display: grid; grid-template-columns: 1fr 1fr 1fr; padding: 0 .4rem; text-align: right}}
.mp-ladder .head {{opacity: .6; font-size: .72rem}}
.mp-ladder .mid {{margin: .2rem 0; padding: .15rem .4rem; font-weight: 600; border-radius: .3rem; text-align: left;
  grid-template-columns: auto 1fr; background: color-mix(in srgb, currentColor 8%, transparent)}}
.mp-ladder .mid span:last-child {{text-align: right; opacity: .7; font-weight: 400}}
.mp-scroll {{overflow-x: auto}}
.mp-tiles > .mp-badge {{margin: 0 0 .3rem auto}}
.mp-table {{width: 100%; border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums}}
.mp-table th {{text-align: left; font-weight: 500; opacity: .6; font-size: .74rem; padding: .2rem .6rem .3rem 0}}
.mp-table td {{padding: .28rem .6rem .28rem 0; border-top: 1px solid color-mix(in srgb, currentColor 12%, transparent);
  white-space: nowrap}}
.mp-table .num {{text-align: right; padding-right: 1.5rem}}
.mp-alert {{display: grid; grid-template-columns: 4.4rem 1fr auto; gap: 0 .6rem; padding: .3rem 0; font-size: .84rem;
  border-top: 1px solid color-mix(in srgb, currentColor 12%, transparent); font-variant-numeric: tabular-nums}}
.mp-alert i {{font-style: normal; opacity: .62}}
.mp-HIGH {{color: {SELL}}} .mp-MEDIUM {{color: #d9822b}}
.mp-days {{display: grid; grid-template-columns: max-content 1fr; gap: .3rem .9rem; font-size: .8rem; min-width: 34rem;
  align-items: center}}
.mp-days div {{display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 2px}}
.mp-days i {{height: 1.25rem; border-radius: 2px; cursor: help;
  background: color-mix(in srgb, {BUY} var(--share), #d9822b)}}
.mp-days i.none {{background: color-mix(in srgb, currentColor 9%, transparent)}}
.mp-days i.gaps {{border-bottom: 4px solid {SELL}}}
.mp-days small {{opacity: .6; font-style: normal; white-space: nowrap; width: 0}}
.mp-key i {{display: inline-block; width: .8rem; height: .8rem; vertical-align: -1px; margin: 0 .3rem 0 .9rem}}
.mp-key i:first-child {{margin-left: 0}}
.mp-empty {{opacity: .62; padding: 1.2rem 0; font-size: .88rem}}
@media (max-width: 640px) {{
  .stMainBlockContainer {{padding: 4.2rem .8rem 1rem}}
  .mp-days {{grid-template-columns: 1fr; min-width: 0; gap: .2rem}} .mp-days > span:empty {{display: none}}
  .mp-tiles {{gap: .3rem 1.1rem}} .mp-tile b {{font-size: .96rem}} .mp-tile.big b {{font-size: 1.5rem}}
}}
</style>"""


def decimals_of(*prices: float) -> int:
    """As many decimals as the prices of a book have: from 2 to 8."""
    digits = (f"{value:.8f}".rstrip("0").partition(".")[2] for value in prices)
    return max([2, *map(len, digits)])


def price(value: float | None, decimals: int) -> str:
    """A price with its thousands."""
    return "–" if value is None else f"{value:,.{decimals}f}"


def amount(value: float | None) -> str:
    """A quantity or a sum, short enough for a tile."""
    if value is None:
        return "–"
    for limit, sign in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / limit:,.2f} {sign}" if sign != "k" else f"{value / 1e3:,.1f} k"
    return f"{value:,.4f}" if abs(value) < 100 else f"{value:,.1f}"


def clock(text: str | None, *, day: bool = False) -> str:
    """The time of an ISO 8601 time in UTC; the day too where it is another one, or asked for."""
    if text is None:
        return "–"
    other = day or text[:10] != datetime.now(UTC).strftime("%Y-%m-%d")
    return f"{text[5:10]} {text[11:19]}" if other else text[11:19]


def badge(words: str, kind: str) -> str:
    """A word about the state: `live`, `wait` or `away`."""
    return f'<span class="mp-badge mp-{kind}" role="status">{escape(words)}</span>'


def heading(text: str) -> str:
    """Over a part of a page."""
    return f'<div class="mp-head" role="heading" aria-level="2">{escape(text)}</div>'


def tiles(found: Iterable[tuple[str, str, str]], state: str = "") -> str:
    """A line of values: title, value and class (`big`, `mp-up`, `mp-down`), and a badge at its end."""
    parts = (
        f'<div class="mp-tile {kind}"><small>{escape(title)}</small><b>{escape(value)}</b></div>'
        for title, value, kind in found
    )
    return f'<div class="mp-tiles">{"".join(parts)}{state}</div>'


def ladder(book: Row, decimals: int) -> str:
    """The best levels of each side with the quantity up to each, as a bar behind it."""
    sides = [(book[name][:_ROWS], cumulated(book[name][:_ROWS])) for name in ("asks", "bids")]
    most = max((row[1] for _, totals in sides for row in totals), default=0.0) or 1.0
    asks, bids = ([*zip(levels, totals, strict=True)] for levels, totals in sides)
    lines = [_level(level, total, most, SELL, "mp-down", decimals) for level, total in reversed(asks)]
    if asks and bids:
        best_bid, best_ask = bids[0][0][0], asks[0][0][0]
        mid = (best_bid + best_ask) / 2
        spread = best_ask - best_bid
        lines.append(
            f'<div class="mid"><span>{price(mid, decimals)}</span>'
            f"<span>spread {price(spread, decimals)} · {spread / mid * 1e4:.2f} bps</span></div>"
        )
    lines += [_level(level, total, most, BUY, "mp-up", decimals) for level, total in bids]
    head = '<div class="head"><span>price</span><span>quantity</span><span>total</span></div>'
    return f'<div class="mp-ladder" role="table" aria-label="order book">{head}{"".join(lines)}</div>'


def _level(level: Sequence[float], total: Sequence[float], most: float, colour: str, kind: str, decimals: int) -> str:
    share = 100 * total[1] / most
    bar = f"linear-gradient(to left, {colour}2b {share:.1f}%, transparent {share:.1f}%)"
    cells = f'<span class="{kind}">{price(level[0], decimals)}</span><span>{level[1]:,.4f}</span>'
    return f'<div style="background: {bar}">{cells}<span>{total[1]:,.3f}</span></div>'


def alert_list(rows: Sequence[Row], empty: str, *, with_symbol: bool = True) -> str:
    """Alerts, each with its severity, what it is, and how far it went."""
    if not rows:
        return f'<div class="mp-empty">{escape(empty)}</div>'
    return "".join(_alert(row, with_symbol=with_symbol) for row in rows)


def _alert(row: Row, *, with_symbol: bool) -> str:
    kind = alert_kinds().get(row["rule"])
    title = kind.title if kind is not None else row["rule"].replace("_", " ")
    what = f"{row['symbol']} · {title}" if with_symbol else title
    state = {"open": "since", "escalated": "escalated", "closed": "closed"}[row["status"]]
    reached, limit = (f"{x:,.0f}" if abs(x) >= 9_999.5 else f"{x:,.4g}" for x in (row["extreme"], row["threshold"]))
    extent = f"{reached} (limit {limit})"
    return (
        f'<div class="mp-alert" data-rule="{escape(row["rule"])}" data-symbol="{escape(row["symbol"])}"'
        f' data-severity="{escape(row["severity"])}">'
        f'<b class="mp-{escape(row["severity"])}">{escape(row["severity"])}</b>'
        f"<span>{escape(what)} <i>{escape(row['side'])} · {extent}</i></span>"
        f"<i>{state} {clock(row['started_at'])}</i></div>"
    )


def table(columns: Mapping[str, str], rows: Sequence[Mapping[str, str]], empty: str) -> str:
    """A table of texts. `columns` are the titles by name; one whose title begins with `>` has numbers."""
    if not rows:
        return f'<div class="mp-empty">{escape(empty)}</div>'

    def mark(title: str) -> str:
        return ' class="num"' if title.startswith(">") else ""

    head = "".join(f"<th{mark(title)}>{escape(title.lstrip('>'))}</th>" for title in columns.values())
    body = "".join(
        "<tr>" + "".join(f"<td{mark(t)}>{escape(row.get(name, '–'))}</td>" for name, t in columns.items()) + "</tr>"
        for row in rows
    )
    return f'<div class="mp-scroll"><table class="mp-table"><tr>{head}</tr>{body}</table></div>'


class Day(NamedTuple):
    """How much of a day is there, of how much there could be, how many gaps are known, and the store that has it."""

    there: int
    most: int
    gaps: int
    store: str | None


_KEY = (
    ('style="--share: 100%"', "whole"),
    ('style="--share: 0%"', "partly"),
    ('class="gaps none"', "gaps are known"),
    ('class="none"', "nothing"),
)


def calendar(days: Sequence[date], rows: Mapping[str, Mapping[date, Day]]) -> str:
    """A line a row and a cell a day: from whole to partly, gaps as a red foot, nothing as a shade."""
    labels = "".join(
        f"<small>{day:%d %b}</small>" if number % 7 == 0 else "<small></small>" for number, day in enumerate(days)
    )
    lines = (
        f'<span>{escape(name)}</span><div role="row">{"".join(_day(day, known.get(day)) for day in days)}</div>'
        for name, known in rows.items()
    )
    key = "".join(f"<i {mark}></i>{word}" for mark, word in _KEY)
    return (
        f'<div class="mp-scroll"><div class="mp-days" role="table" aria-label="days">{"".join(lines)}'
        f'<span></span><div>{labels}</div><span></span><span class="mp-key">{key}</span></div></div>'
    )


def _day(day: date, known: Day | None) -> str:
    if known is None or (known.there == 0 and known.gaps == 0):
        return f'<i class="none" role="cell" title="{day}: nothing"></i>'
    share = known.there / known.most
    gaps = f", {known.gaps:,} gap{'s' * (known.gaps != 1)}" if known.gaps else ""
    store = f", in {known.store}" if known.store else ""
    words = f"{day}: {known.there:,} of {known.most:,} ({share:.1%}){gaps}{store}"
    kind = " ".join(filter(None, ("gaps" if known.gaps else "", "none" if known.there == 0 else "")))
    # Nine tenths and less are the colour of a part: what is lacking is to be seen.
    shown = max(0.0, (share - 0.9) * 10)
    return f'<i class="{kind}" style="--share: {shown:.0%}" role="cell" title="{escape(words)}"></i>'
