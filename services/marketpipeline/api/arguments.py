"""What a query asks for: text from a URL or a command line, read and checked; every finding is told."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from marketpipeline.errors import InvalidQuery, Problem
from marketpipeline.venues import split_symbol

__all__ = ["Arguments", "Span"]

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)
_LEAST_MILLISECONDS = 100_000_000_000
_LEAST_MICROSECONDS = 100_000_000_000_000
"""A whole number below the first counts seconds, one below the second milliseconds, any other microseconds: each
reading of the other two would be a time before 1974 or after 5000."""

_TIME = "an ISO 8601 time (2024-08-08T23:54:00Z; UTC when it names no zone) or seconds or milliseconds since the epoch"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time: `since` is in it, `until` is not; None is without a bound. At most `limit` rows of it."""

    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


class Arguments:
    """Reads arguments one by one and collects what is wrong; `check` raises InvalidQuery if anything is."""

    def __init__(self, source: str, prefix: str = "") -> None:
        """`source` is what is asked, `prefix` what stands before the name of an option where the user wrote it."""
        self._source = source
        self._prefix = prefix
        self._problems: list[Problem] = []

    def check(self) -> None:
        """Raise InvalidQuery with every problem found so far."""
        if self._problems:
            raise InvalidQuery(self._source, self._problems)

    def symbol(self, text: str, known: Sequence[str], field: str = "symbol") -> str:
        """The full symbol (`exchange:SYMBOL`) of one given in full, or without its exchange where that is unique."""
        if text in known:
            return text
        names = {symbol: split_symbol(symbol)[1] for symbol in known}
        same = [symbol for symbol in known if names[symbol] == text]
        if len(same) == 1:
            return same[0]
        if same:
            self._add(field, text, f"is on several exchanges: give one of {', '.join(sorted(same))}")
        elif not known:
            self._add(field, text, "no symbol has any data yet")
        else:
            elsewhere = [symbol for symbol in known if names[symbol] == split_symbol(text)[1]]
            self._add(field, text, _one_of("symbol", text, elsewhere or [*known, *names.values()], sorted(known)))
        return text

    def symbols(self, text: str | None, known: Sequence[str], field: str = "symbols") -> list[str]:
        """A comma-separated list of symbols, each once; all that are known when it is absent."""
        if text is None:
            return list(known)
        names = [name.strip() for name in text.split(",")]
        return list(dict.fromkeys(self.symbol(name, known, field) for name in names))

    def choice(self, field: str, text: str | None, known: Sequence[str]) -> str | None:
        """One of `known`, or None when it is absent."""
        if text is not None and text not in known:
            self._add(self._prefix + field, text, _one_of(field, text, known, known))
        return text

    def only(self, given: Mapping[str, str], known: Sequence[str]) -> None:
        """An argument that does not exist is told, since leaving it out would answer another question."""
        for name, value in given.items():
            if name not in known:
                self._add(name, value, _one_of("parameter", name, known, known) if known else "takes no parameters")

    def limit(self, text: str | None, default: int, most: int) -> int:
        """The most rows to give, 1 to `most`."""
        if text is None:
            return min(default, most)
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        if not 1 <= number <= most:
            self._add(self._prefix + "limit", text, f"must be a whole number from 1 to {most}")
        return number

    def time(self, field: str, text: str | None) -> datetime | None:
        """A time in UTC."""
        if text is None:
            return None
        moment = self._from_number(field, text) if text.isascii() and text.isdigit() else self._from_iso(field, text)
        if moment is not None and not _EARLIEST <= moment < _LATEST:
            self._add(field, text, f"must be {_TIME}, from 1990 to 9999")
            return None
        return moment

    def span(self, since: str | None, until: str | None, limit: int | None) -> Span:
        """`from` and `to`, in order, and a limit that is checked already."""
        begin, end = self.time(self._prefix + "from", since), self.time(self._prefix + "to", until)
        if begin is not None and end is not None and begin >= end:
            self._add(self._prefix + "to", until, f"must be later than `{self._prefix}from` ({since})")
        return Span(begin, end, limit)

    def _from_number(self, field: str, text: str) -> datetime | None:
        number = int(text) if len(text) < 20 else 0
        scale = 1_000_000 if number < _LEAST_MILLISECONDS else 1_000 if number < _LEAST_MICROSECONDS else 1
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number * scale)
        except OverflowError:
            self._add(field, text, f"must be {_TIME}, from 1990 to 9999")
            return None

    def _from_iso(self, field: str, text: str) -> datetime | None:
        try:
            moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self._add(field, text, f"must be {_TIME}")
            return None

    def _add(self, field: str, value: object, expected: str) -> None:
        self._problems.append(Problem(field, value, expected))


def _one_of(what: str, text: str, near: Iterable[str], known: Sequence[str]) -> str:
    """What would be right, the nearest first."""
    candidates = {name.lower(): name for name in near}
    closest = difflib.get_close_matches(text.lower(), candidates, n=1, cutoff=0.6)
    shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    if closest:
        return f"unknown {what}; did you mean {candidates[closest[0]]}? There are: {shown}"
    return f"unknown {what}; there are: {shown}"
