"""The script that Streamlit runs for each viewer, whenever one opens a page or chooses something."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from marketpipeline.dashboard import pieces
from marketpipeline.dashboard.desk import Desk
from marketpipeline.dashboard.serving import the_desk
from marketpipeline.dashboard.views import alerts, completeness, health, history, market

__all__ = ["show"]


def show(desk: Desk) -> None:
    """The page that the address names."""

    def page(view: Callable[[Desk], None], title: str, icon: str, path: str) -> Any:
        return st.Page(
            partial(view, desk), title=title, icon=f":material/{icon}:", url_path=path or None, default=not path
        )

    st.set_page_config(page_title=f"{desk.settings.pipeline} · market", page_icon="📈", layout="wide")
    st.html(pieces.STYLE)
    pages = [
        page(market.show, "Market", "candlestick_chart", ""),
        page(alerts.show, "Alerts", "notifications", "alerts"),
        page(history.show, "History", "history", "history"),
        page(completeness.show, "Completeness", "rule", "completeness"),
        page(health.show, "Health", "monitor_heart", "pipeline"),
    ]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":
    show(the_desk())
