"""What the project has and what it lacks: gaps, what filled them, trades that came too late for their candle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from marketpipeline.dashboard import pieces
from marketpipeline.dashboard.client import NoAnswer
from marketpipeline.dashboard.desk import Desk
from marketpipeline.dashboard.market import Row
from marketpipeline.dashboard.views.choosing import choose_one, choose_some, state_badge
from marketpipeline.dashboard.views.history import span_of
from marketpipeline.store.rows import iso

__all__ = ["show", "totals"]

PAINT_SECONDS = 10.0
_MOST = 1_000
_KINDS = ("gap", "backfill", "resync", "disconnect", "stale", "moved", "rejected")


def show(desk: Desk) -> None:
    """The page."""
    left, right = st.columns([2, 3])
    with left:
        name = choose_one("Range", ["1 h", "6 h", "24 h", "7 d"], "range", default="24 h")
    with right:
        symbols = choose_some("Symbols", desk.settings.symbols)
    st.fragment(_paint, run_every=PAINT_SECONDS)(desk, name, tuple(symbols) or tuple(desk.settings.symbols))


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
