"""Whether the exchange has the symbols that are asked for, before anything is subscribed.

An unknown stream is acknowledged and then silent, so a wrong symbol would never be noticed otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from marketpipeline.errors import PermanentError, Problem
from marketpipeline.venues.dialect import Dialect, RestRequest

__all__ = ["find_unlisted"]

T = TypeVar("T")

Fetch = Callable[[RestRequest[Any]], Awaitable[Any]]


async def find_unlisted(symbols: Sequence[str], dialect: Dialect, fetch: Fetch) -> list[Problem]:
    """A problem for each symbol that is not listed, naming the nearest ones that are.

    `fetch` sends a request and returns what it reads; its RetryableError is passed on. A PermanentError of the
    exchange for the whole listing too.
    """
    try:
        listed: frozenset[str] = await fetch(dialect.listed(symbols))
    except PermanentError:
        listed = await fetch(dialect.listing())
    missing = [symbol for symbol in symbols if symbol not in listed]
    if missing and len(listed) <= len(symbols):
        listed = await fetch(dialect.listing())
    return [Problem("symbols", symbol, _expected(symbol, listed)) for symbol in missing]


def _expected(symbol: str, listed: frozenset[str]) -> str:
    near = get_close_matches(symbol, sorted(listed), n=3, cutoff=0.7)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    return f"must be a symbol that the exchange lists{hint}"
