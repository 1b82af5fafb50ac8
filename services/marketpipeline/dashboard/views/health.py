"""Whether the pipeline does its work: the stream, the stores, and how old the newest of each symbol is."""

from __future__ import annotations

import streamlit as st

from marketpipeline.dashboard import pieces
from marketpipeline.dashboard.client import NoAnswer
from marketpipeline.dashboard.desk import Desk
from marketpipeline.dashboard.market import Row
from marketpipeline.dashboard.views.choosing import state_badge

__all__ = ["show"]

PAINT_SECONDS = 5.0
_LATE_MS = 10_000
_SIGNS = {"ok": "live", "degraded": "wait", "failed": "away"}


def show(desk: Desk) -> None:
    """The page."""
    st.fragment(_paint, run_every=PAINT_SECONDS)(desk)


def _paint(desk: Desk) -> None:
    try:
        found = desk.ask("system/health", PAINT_SECONDS - 1)
    except NoAnswer as error:
        st.html(state_badge(desk))
        st.error(f"Nothing is known of the pipeline: {error}. It is asked again.", icon=":material/cloud_off:")
        return
    state = pieces.badge(f"stores: {found['status']}", _SIGNS.get(found["status"], "wait"))
    st.html(f"{state_badge(desk)} {state}")
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.html(pieces.heading("Stores"))
        columns = {"name": "Store", "status": "State", "latency": ">Answers in", "error": "Why"}
        stores = [_store(name, store) for name, store in found["stores"].items()]
        st.html(pieces.table(columns, stores, "This pipeline has no store that can be asked."))
        _tiers(desk)
    with right:
        st.html(pieces.heading("Symbols"))
        titles = {"symbol": "Symbol", "trade": ">Trade", "book": ">Book", "candle": ">Candle", "state": "State"}
        st.html(pieces.table(titles, [_symbol(row) for row in found["symbols"]], "No symbol."))
        st.caption("How long ago the newest of each was received.")


def _tiers(desk: Desk) -> None:
    try:
        tiers = desk.ask("system/tiers", PAINT_SECONDS * 2).get("tiers", [])
    except NoAnswer:
        return
    if tiers:
        st.html(pieces.heading("Tiers"))
        columns = {"tier": "Tier", "store": "Store", "error": "State", "archived": ">Days archived"}
        st.html(pieces.table(columns, [_tier(row) for row in tiers], "No tiers."))


def _tier(row: Row) -> dict[str, str]:
    days = max(row["archived_days"].values(), default=None)
    found = {"tier": row["tier"], "store": row["store"], "error": row["error"] or "ok"}
    return found if days is None else {**found, "archived": f"{days:,}"}


def _store(name: str, store: Row) -> dict[str, str]:
    latency = store.get("latency_ms")
    found = {"name": name, "status": store["status"], "error": store.get("error") or ""}
    return found if latency is None else {**found, "latency": f"{latency:,.1f} ms"}


def _symbol(row: Row) -> dict[str, str]:
    ages = {kind: row[f"{kind}_age_ms"] for kind in ("trade", "book", "candle")}
    newest = row["age_ms"]
    state = "nothing yet" if newest is None else "live" if newest < _LATE_MS else "quiet"
    shown = {kind: _age(age) for kind, age in ages.items() if age is not None}
    return {"symbol": row["symbol"], "state": state, **shown}


def _age(milliseconds: float) -> str:
    seconds = milliseconds / 1_000
    if seconds < 100:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7_200 else f"{seconds / 3_600:,.0f} h"
