"""What a user may ask for: symbols and times as text, read the same way from a URL and from a command line.

Each function raises ValueError with what would be right; who calls knows the parameter's name and the value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from marketpipeline.venues import split_symbol

__all__ = ["TIME", "choose", "find_symbol", "nearest", "read_time"]

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)
_LEAST_MILLISECONDS = 100_000_000_000
_LEAST_MICROSECONDS = 100_000_000_000_000
"""A whole number below the first counts seconds, one below the second milliseconds, any other microseconds: each
reading of the other two would be a time before 1974 or after 5000."""

TIME = (
    "an ISO 8601 time (2024-08-08T23:54:00Z; UTC when it names no zone) or seconds, milliseconds or microseconds since "
    "the epoch"
)


def find_symbol(text: str, known: Sequence[str]) -> str:
    """The full symbol (`exchange:SYMBOL`) of one given in full, or without its exchange where that is unique."""
    if text in known:
        return text
    names = {symbol: split_symbol(symbol)[1] for symbol in known}
    same = sorted(symbol for symbol in known if names[symbol] == text)
    if len(same) == 1:
        return same[0]
    if same:
        raise ValueError(f"is on several exchanges: give one of {', '.join(same)}")
    if not known:
        raise ValueError("no symbol has any data yet")
    elsewhere = [symbol for symbol in known if names[symbol] == split_symbol(text)[1]]
    raise ValueError(nearest("symbol", text, elsewhere or [*known, *names.values()], sorted(known)))


def choose(what: str, text: str, known: Sequence[str]) -> str:
    """The text, if it is one of `known`."""
    if text not in known:
        raise ValueError(nearest(what, text, known, known))
    return text


def read_time(text: str) -> datetime:
    """A time in UTC, from 1990 to 9999."""
    moment = _from_number(text) if text.isascii() and text.isdigit() else _from_iso(text)
    if moment is None or not _EARLIEST <= moment < _LATEST:
        raise ValueError(f"must be {TIME}, from 1990 to 9999")
    return moment


def nearest(what: str, text: str, near: Iterable[str], known: Sequence[str]) -> str:
    """What would be right instead of an unknown `text`: the closest of `near`, and what there is."""
    candidates = {name.lower(): name for name in near}
    closest = difflib.get_close_matches(text.lower(), candidates, n=1, cutoff=0.6)
    shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    if closest:
        return f"unknown {what}; did you mean {candidates[closest[0]]}? There are: {shown}"
    return f"unknown {what}; there are: {shown}"


def _from_number(text: str) -> datetime | None:
    number = int(text) if len(text) < 20 else 0
    scale = 1_000_000 if number < _LEAST_MILLISECONDS else 1_000 if number < _LEAST_MICROSECONDS else 1
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number * scale)
    except OverflowError:
        return None


def _from_iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
