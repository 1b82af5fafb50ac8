"""What every page lets a viewer choose, kept in the page's address, so that a view can be shared and linked to."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from marketpipeline.dashboard import pieces
from marketpipeline.dashboard.desk import Desk
from marketpipeline.schema import microseconds

__all__ = ["choose_interval", "choose_one", "choose_some", "choose_symbol", "state_badge"]

_FEW = 6
_QUIET_SECONDS = 10.0


def choose_symbol(desk: Desk) -> str:
    """The symbol; a few are buttons, many are a list to type into."""
    symbols = desk.settings.symbols
    if not symbols:
        st.info("No symbol is followed yet: the exchanges have not said which there are.", icon=":material/search_off:")
        st.stop()
    asked = st.query_params.get("symbol", "")
    first = asked if asked in symbols else symbols[0]
    if len(symbols) <= _FEW:
        chosen = st.pills("Symbol", symbols, default=first, key="symbol", required=True)
    else:
        chosen = st.selectbox("Symbol", symbols, index=symbols.index(first), key="symbol")
    st.query_params["symbol"] = symbol = str(chosen or first)
    return symbol


def choose_interval(desk: Desk) -> str | None:
    """The length of a candle; None where there are none."""
    windows = sorted(desk.settings.windows, key=microseconds)
    if not windows:
        return None
    return choose_one("Candles", windows, "interval")


def choose_one(title: str, options: Sequence[str], name: str, *, default: str | None = None) -> str:
    """One of a few words, `name` in the address."""
    asked = st.query_params.get(name, "")
    first = asked if asked in options else default or options[0]
    chosen = str(st.segmented_control(title, options, default=first, key=name, required=True) or first)
    st.query_params[name] = chosen
    return chosen


def choose_some(title: str, options: Sequence[str], *, buttons: bool = False) -> list[str]:
    """Some of the words; none means all."""
    name = title.lower()
    asked = [word for word in st.query_params.get(name, "").split(",") if word in options]
    if buttons:
        found = st.pills(title, options, default=asked, selection_mode="multi", key=name)
    else:
        found = st.multiselect(title, options, default=asked, key=name, placeholder="all")
    if found:
        st.query_params[name] = ",".join(found)
    elif name in st.query_params:
        del st.query_params[name]
    return [str(word) for word in found]


def state_badge(desk: Desk, symbol: str | None = None) -> str:
    """Whether what is shown is of now."""
    if (problem := desk.problem) is not None:
        return pieces.badge(f"no live data: {problem}", "away")
    age = None if symbol is None else desk.market.age(symbol)
    if symbol is not None and age is None:
        return pieces.badge("live, nothing of this symbol yet", "wait")
    if age is not None and age > _QUIET_SECONDS:
        return pieces.badge(f"live, quiet for {age:.0f} s", "wait")
    return pieces.badge("live", "live")
