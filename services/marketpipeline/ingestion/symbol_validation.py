"""What the exchange has of the symbols that are asked for, before anything is subscribed.

An unknown stream may be acknowledged and then silent, so a wrong symbol would never be noticed otherwise. And what a
contract stands for is known only from the list.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from marketpipeline.backoff import Backoff
from marketpipeline.errors import InvalidInput, MarketPipelineError, PermanentError, Problem
from marketpipeline.ingestion.pacing import retry
from marketpipeline.venues.adapter import ExchangeAdapter, RestRequest
from marketpipeline.venues.instruments import Instrument, Instruments

__all__ = ["UNSIZED", "Choice", "choose_symbols", "find_unlisted"]

_log = logging.getLogger(__name__)

Fetch = Callable[[RestRequest[Any]], Awaitable[Any]]

UNSIZED = "is traded in contracts, and the exchange does not say what one stands for"


@dataclass(frozen=True, slots=True)
class Choice:
    """The symbols to follow, each with its instrument, and what is wrong with each of the others."""

    instruments: Instruments
    rejected: dict[str, str]


async def find_unlisted(
    symbols: Sequence[str], adapter: ExchangeAdapter, fetch: Fetch
) -> tuple[Instruments, list[Problem]]:
    """The instruments of those that are listed, and a problem for each other, naming the nearest ones that are.

    `fetch` sends a request and returns what it reads; its RetryableError is passed on. A PermanentError of the
    exchange for the whole list too. An exchange that offers no list is not asked.
    """
    if not adapter.instruments(symbols):
        return dict.fromkeys(symbols, Instrument()), []
    try:
        listed = await _fetch(symbols, adapter, fetch)
    except PermanentError:
        listed = await _fetch(None, adapter, fetch)
    missing = [symbol for symbol in symbols if symbol not in listed]
    if missing and len(listed) <= len(symbols):
        listed = await _fetch(None, adapter, fetch)
    found = {symbol: listed[symbol] for symbol in symbols if symbol in listed}
    return found, [Problem("symbols", symbol, _expected(symbol, listed)) for symbol in missing]


async def choose_symbols(symbols: list[str], adapter: ExchangeAdapter, fetch: Fetch, backoff: Backoff) -> Choice:
    """What can be followed.

    Raises InvalidInput when nothing is listed. An exchange that does not answer the question is believed, but for what
    is counted in contracts.
    """
    try:
        instruments, problems = await retry(
            lambda: find_unlisted(symbols, adapter, fetch), backoff, "the exchange does not say which symbols it lists"
        )
    except MarketPipelineError as error:
        _log.warning("the symbols were not checked: %s", error)
        instruments = {symbol: Instrument() for symbol in symbols if not adapter.counts_contracts(symbol)}
        problems = [Problem("symbols", symbol, UNSIZED) for symbol in symbols if symbol not in instruments]
    if len(problems) == len(symbols):
        raise InvalidInput("settings", problems)
    return Choice(instruments, {str(problem.value): str(problem) for problem in problems})


async def _fetch(symbols: Sequence[str] | None, adapter: ExchangeAdapter, fetch: Fetch) -> dict[str, Instrument]:
    found: dict[str, Instrument] = {}
    for request in adapter.instruments(symbols):
        found |= await fetch(request)
    return found


def _expected(symbol: str, listed: Instruments) -> str:
    near = get_close_matches(symbol, sorted(listed), n=3, cutoff=0.7)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    return f"must be a symbol that the exchange lists{hint}"
