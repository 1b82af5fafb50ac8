"""Whether the exchange has the symbols that are asked for, before anything is subscribed.

An unknown stream is acknowledged and then silent, so a wrong symbol would never be noticed otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches
from typing import Any

from marketpipeline.backoff import Backoff
from marketpipeline.errors import InvalidInput, MarketPipelineError, PermanentError, Problem
from marketpipeline.ingestion.pacing import retry
from marketpipeline.venues.adapter import ExchangeAdapter, RestRequest

__all__ = ["choose_symbols", "find_unlisted"]

_log = logging.getLogger(__name__)

Fetch = Callable[[RestRequest[Any]], Awaitable[Any]]


async def find_unlisted(symbols: Sequence[str], adapter: ExchangeAdapter, fetch: Fetch) -> list[Problem]:
    """A problem for each symbol that is not listed, naming the nearest ones that are.

    `fetch` sends a request and returns what it reads; its RetryableError is passed on. A PermanentError of the
    exchange for the whole listing too. An exchange that offers no listing is not asked.
    """
    some, every = adapter.listed(symbols), adapter.listing()
    if every is None:
        return []
    try:
        listed: frozenset[str] = await fetch(some if some is not None else every)
    except PermanentError:
        listed = await fetch(every)
    missing = [symbol for symbol in symbols if symbol not in listed]
    if missing and len(listed) <= len(symbols):
        listed = await fetch(every)
    return [Problem("symbols", symbol, _expected(symbol, listed)) for symbol in missing]


async def choose_symbols(
    symbols: list[str], adapter: ExchangeAdapter, fetch: Fetch, backoff: Backoff
) -> tuple[list[str], dict[str, str]]:
    """The symbols that the exchange lists, and what is wrong with each of the others.

    Raises InvalidInput when none is listed. An exchange that does not answer the question is believed.
    """

    try:
        problems = await retry(
            lambda: find_unlisted(symbols, adapter, fetch), backoff, "the exchange does not say which symbols it lists"
        )
    except MarketPipelineError as error:
        _log.warning("the symbols were not checked: %s", error)
        return symbols, {}
    if len(problems) == len(symbols):
        raise InvalidInput("settings", problems)
    rejected = {str(problem.value): str(problem) for problem in problems}
    return [symbol for symbol in symbols if symbol not in rejected], rejected


def _expected(symbol: str, listed: frozenset[str]) -> str:
    near = get_close_matches(symbol, sorted(listed), n=3, cutoff=0.7)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    return f"must be a symbol that the exchange lists{hint}"
