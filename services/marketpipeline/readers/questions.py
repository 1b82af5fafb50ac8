"""What is asked of a history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from marketpipeline.store.tables import Table

__all__ = ["HistoryQuery", "Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time: `since` is in it, `until` is not; None is without a bound. At most `limit` rows of it."""

    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Rows of a table whose columns have the values of `filters` (any of a list), in order of time.

    With a limit they are the first ones of a span that has a beginning, else the newest. `newest_first` gives the
    newest of the span in any case, and in that order. Trades may be asked for `without_outliers`, those that the alert
    `outlier` was raised for; a limit counts what is left. `Readers` see to it: a store is never asked so.
    """

    table: Table
    filters: Mapping[str, Any] = field(default_factory=dict)
    span: Span = Span()
    newest_first: bool = False
    without_outliers: bool = False
