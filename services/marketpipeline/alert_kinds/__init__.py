"""The alerts that can be watched for, each an entry that says what it is, from which feed, and by which thresholds.

The spec's `thresholds` and the CRD, the settings of the stream job, the records in the topic of thresholds and what is
written there, the text of `plan`, the filters of the API and of `query`, and the words that people read follow from the
entries. The SQL is the stream job's: module `marketpipeline_job.alerts.<name>`, or what `sql` of an entry names. An
alert is added by a module here that holds an `ALERT`, or by a plugin (see `registry`); CONTRIBUTING.md has the recipe.

Everybody imports this package: an entry imports nothing of the project but this package and `topics`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import groupby, pairwise
from types import MappingProxyType
from typing import Literal

from marketpipeline.errors import PermanentError
from marketpipeline.registry import discover
from marketpipeline.topics import Feed

__all__ = [
    "AlertKind",
    "Severity",
    "Threshold",
    "Unit",
    "alert_kinds",
    "threshold_defaults",
    "thresholds",
    "watched_alerts",
]

_PATH = re.compile(r"[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)?")
_TAKEN = frozenset({"cooldown", "overrides", "by_name"})
"""Names that the spec's `thresholds` has besides."""

Severity = Literal["MEDIUM", "HIGH"]
"""The least severe first."""


class Unit(StrEnum):
    """What a threshold, and the value that is held against it, counts."""

    RATIO = "ratio"
    MULTIPLE = "multiple"
    QUOTE = "quote units"
    BASE = "base units"
    SECONDS = "seconds"
    COUNT = "trades"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A limit that a user can set.

    `path` is its place in the spec below `thresholds`, in camelCase: `whaleTrade`, or `imbalance.high` within a group.
    Its value is `above` a bound and `at_most` another. `severity` is that of an alert which it opens. Where there is a
    `usual`, in words, it can be given as a multiple of that instead.
    """

    path: str
    unit: Unit
    default: float
    description: str
    severity: Severity
    above: float = 0
    at_most: float | None = None
    usual: str | None = None

    @property
    def name(self) -> str:
        """Its name in records and settings, and its column in SQL: `imbalance_high`."""
        return re.sub(r"(?=[A-Z])", "_", self.path).replace(".", "_").lower()

    @property
    def usual_name(self) -> str:
        """The name of the multiple beside it: `whale_trade_usual`, 0 where the threshold itself holds."""
        return f"{self.name}_usual"

    @property
    def group(self) -> str | None:
        """First part of a path of two."""
        head, dot, _ = self.path.partition(".")
        return head if dot else None

    def shown(self, value: float) -> str:
        """A value of it in a table."""
        return f"x{value:g}" if self.unit is Unit.MULTIPLE else f"{value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertKind:
    """One alert.

    `name` is the `rule` of its records, `title` the same in words. `feed` is the feed of the stream job that it is made
    of: the book or the trades. `thresholds` are the least severe first; those of one group must not descend.
    A `momentary` alert is open and closed in the same moment, any other lasts. `measured` is what its values count,
    where it is not what its thresholds do. `sql` is `module:function` of a plugin's
    SQL. An alert that is not `watched` has its thresholds in the spec already, and no SQL yet.
    """

    name: str
    title: str
    description: str
    feed: Literal[Feed.BOOK, Feed.TRADES]
    thresholds: tuple[Threshold, ...]
    momentary: bool = False
    measured: Unit | None = None
    sql: str | None = None
    watched: bool = True

    def __post_init__(self) -> None:
        """Raise ValueError for an entry that could not work; it says what is wrong, and of which alert."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"alert {self.name!r}: the name must be of a to z, 0 to 9 and _, a letter first")
        if self.feed not in (Feed.BOOK, Feed.TRADES):
            raise ValueError(f"alert {self.name}: the feed is {self.feed}, must be book or trades")
        if not self.thresholds:
            raise ValueError(f"alert {self.name} has no threshold")
        for threshold in self.thresholds:
            path, default, most = threshold.path, threshold.default, threshold.at_most
            if not _PATH.fullmatch(path):
                raise ValueError(f"alert {self.name}: threshold {path!r} must be in camelCase, perhaps in one group")
            if {threshold.name, threshold.group} & _TAKEN:
                raise ValueError(f"alert {self.name}: the name of threshold {path} is taken")
            if default <= threshold.above or (most is not None and default > most):
                raise ValueError(f"alert {self.name}: threshold {path}: its default {default} is not within its bounds")
        names = [threshold.name for threshold in self.thresholds]
        groups = [name for (_, name), _ in groupby((t.group, t.group or t.name) for t in self.thresholds)]
        if len({*names}) < len(names) or len({*groups}) < len(groups):
            raise ValueError(f"alert {self.name}: each threshold is named once, and those of a group stand together")
        for lower, higher in pairwise(self.thresholds):
            if lower.group and lower.group == higher.group and lower.default > higher.default:
                raise ValueError(f"alert {self.name}: the default of {lower.path} is above that of {higher.path}")

    @property
    def unit(self) -> Unit:
        """What its values count."""
        return self.measured or self.thresholds[0].unit


@cache
def alert_kinds() -> Mapping[str, AlertKind]:
    """Every alert by name: those of the book first, then those of trades.

    Raises PermanentError as `discover` does, and where two of them have a threshold of the same name.
    """
    kinds = sorted(discover(__name__, "ALERT", AlertKind).values(), key=lambda kind: list(Feed).index(kind.feed))
    owners: dict[str, str] = {}
    for kind in kinds:
        for threshold in kind.thresholds:
            names = {threshold.name, threshold.group or threshold.name}
            for name in names | ({threshold.usual_name} if threshold.usual else set()):
                if owners.setdefault(name, kind.name) != kind.name:
                    raise PermanentError(f"alert {kind.name}: threshold {name} is one of alert {owners[name]} already")
    return MappingProxyType({kind.name: kind for kind in kinds})


def watched_alerts() -> Mapping[str, AlertKind]:
    """The alerts that the stream job can raise."""
    return {name: kind for name, kind in alert_kinds().items() if kind.watched}


def threshold_defaults() -> dict[str, float]:
    """Every value that the stream job knows of a symbol, as it is where a spec says nothing: the thresholds, and the
    `cooldown` in seconds."""
    found = {name: threshold.default for name, threshold in thresholds().items()} | {"cooldown": 60.0}
    return found | {threshold.usual_name: 0.0 for threshold in thresholds().values() if threshold.usual}


def thresholds() -> Mapping[str, Threshold]:
    """Every threshold of every alert, by name."""
    return {threshold.name: threshold for kind in alert_kinds().values() for threshold in kind.thresholds}
