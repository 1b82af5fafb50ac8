"""The feed of alerts, as they open, escalate and close, with filters that stay in the page's address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

import streamlit as st

from marketpipeline.alert_kinds import Severity, watched_alerts
from marketpipeline.dashboard import pieces
from marketpipeline.dashboard.client import NoAnswer
from marketpipeline.dashboard.desk import Desk
from marketpipeline.dashboard.market import Row
from marketpipeline.dashboard.views.choosing import choose_some, state_badge

__all__ = ["chosen", "show"]

PAINT_SECONDS = 1.0
_SHOWN = 100


def show(desk: Desk) -> None:
    """The page."""
    settings = desk.settings
    first, second, third = st.columns([2, 3, 3])
    with first:
        severities = choose_some("Severity", [*get_args(Severity)][::-1], buttons=True)
    with second:
        rules = choose_some("Rule", [*watched_alerts(), *settings.patterns])
    with third:
        symbols = choose_some("Symbols", settings.symbols)
    wanted = {"severity": severities, "rule": rules, "symbol": symbols}
    st.fragment(_paint, run_every=PAINT_SECONDS)(desk, wanted)


def _paint(desk: Desk, wanted: Mapping[str, Sequence[str]]) -> None:
    try:
        known = desk.alerts()
    except NoAnswer as error:
        st.html(state_badge(desk))
        st.warning(f"No alerts: {error}. It is asked again.", icon=":material/cloud_off:")
        return
    found = chosen(known, wanted)
    counts = Counter(row["severity"] for row in found)
    going_on = sum(row["status"] != "closed" for row in found)
    st.html(
        pieces.tiles(
            [
                ("alerts", f"{len(found):,}", ""),
                *((name, f"{counts[name]:,}", "") for name in [*get_args(Severity)][::-1]),
                ("going on", f"{going_on:,}", ""),
            ],
            state_badge(desk),
        )
    )
    empty = "No alert passes these filters." if known else "No alert so far. A quiet market is a good one."
    st.html(pieces.alert_list(found[:_SHOWN], empty))
    if len(found) > _SHOWN:
        st.caption(f"The newest {_SHOWN} of {len(found):,}; earlier ones are on the page History.")


def chosen(rows: Sequence[Row], wanted: Mapping[str, Sequence[str]]) -> list[Row]:
    """Those whose fields are among what is wanted; of a field for which nothing is chosen, all."""
    return [row for row in rows if all(not values or row[name] in values for name, values in wanted.items())]
