"""Whether one change of a book continues another: the rules that exchanges have, by name, and the checksum of some.

A rule sees the id of the last change that was applied and the next change. It keeps nothing and does nothing; what
follows from its verdict (apply, drop, fetch a snapshot) is ingestion's.

| rule | of the message | continues when |
|---|---|---|
| `SPANNING` | `U`, `u` | the range from `U` to `u` holds the id after the last |
| `PREVIOUS` | `U`, `u`, `pu` | `pu` is the last `u`; the first after a snapshot spans its id |
| `PREVIOUS_SEQUENCE` | `prevSeqId`, `seqId` | `prevSeqId` is the last `seqId`, whichever way `seqId` goes; else newer |
| `GAPLESS` | `u` | it is one more than the last |
| `NONE` | – | it is newer |
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import chain, zip_longest
from typing import Protocol

from marketpipeline.venues.messages import BookChange, RawLevel, RawLevels

__all__ = [
    "GAPLESS",
    "NONE",
    "PREVIOUS",
    "PREVIOUS_SEQUENCE",
    "RULES",
    "SPANNING",
    "BookChecksum",
    "Continuity",
    "InterleavedCrc32",
    "Verdict",
]


class Verdict(Enum):
    """What a change is to a book that has applied another."""

    CONTINUES = "continues"
    DUPLICATE = "duplicate"
    """It is older than the book, or the same: it has come before."""
    HEARTBEAT = "heartbeat"
    """Nothing changed, and nothing was missed."""
    RESET = "reset"
    """It continues the book, and ids go on from a smaller one."""
    GAP = "gap"
    """Changes between the two were missed."""


_CONTINUES = Verdict.CONTINUES
Judge = Callable[[int, BookChange], Verdict]


@dataclass(frozen=True, slots=True)
class Continuity:
    """A rule. `follows(last, change)` judges a change by the last id applied, `starts(snapshot, change)` the first one
    after a snapshot. `reaches(snapshot, change)` tells whether a snapshot is new enough for a change that is held to
    follow: else a newer one has to be fetched."""

    name: str
    follows: Judge
    starts: Judge
    reaches: Callable[[int, BookChange], bool]


def _older_or_gap(last: int, change: BookChange) -> Verdict:
    return Verdict.DUPLICATE if change.last_id <= last else Verdict.GAP


def _spanning(last: int, change: BookChange) -> Verdict:
    if change.first_id <= last + 1 <= change.last_id:
        return _CONTINUES
    return _older_or_gap(last, change)


def _previous(last: int, change: BookChange) -> Verdict:
    return Verdict.CONTINUES if change.previous_id == last else _older_or_gap(last, change)


def _previous_first(snapshot: int, change: BookChange) -> Verdict:
    if change.previous_id == snapshot or change.first_id <= snapshot < change.last_id:
        return Verdict.CONTINUES
    return _older_or_gap(snapshot, change)


def _previous_sequence(last: int, change: BookChange) -> Verdict:
    if change.previous_id != last:
        return _older_or_gap(last, change) if change.previous_id is not None else _newer(last, change)
    if change.last_id == last:
        return Verdict.CONTINUES if change.bids or change.asks else Verdict.HEARTBEAT
    return Verdict.CONTINUES if change.last_id > last else Verdict.RESET


def _previous_sequence_first(snapshot: int, change: BookChange) -> Verdict:
    if change.previous_id is not None and change.previous_id < snapshot < change.last_id:
        return Verdict.CONTINUES  # a snapshot that was fetched may lie between two messages
    return _previous_sequence(snapshot, change)


def _gapless(last: int, change: BookChange) -> Verdict:
    return Verdict.CONTINUES if change.last_id == last + 1 else _older_or_gap(last, change)


def _newer(last: int, change: BookChange) -> Verdict:
    return Verdict.CONTINUES if change.last_id > last else Verdict.DUPLICATE


def _at_first(snapshot: int, change: BookChange) -> bool:
    return snapshot >= change.first_id - 1


def _at_first_or_previous(snapshot: int, change: BookChange) -> bool:
    return snapshot >= change.first_id or snapshot == change.previous_id


def _at_previous(snapshot: int, change: BookChange) -> bool:
    return change.previous_id is None or snapshot >= change.previous_id


SPANNING = Continuity("U/u", _spanning, _spanning, _at_first)
PREVIOUS = Continuity("pu", _previous, _previous_first, _at_first_or_previous)
PREVIOUS_SEQUENCE = Continuity("prevSeqId", _previous_sequence, _previous_sequence_first, _at_previous)
GAPLESS = Continuity("gapless", _gapless, _gapless, lambda snapshot, change: snapshot >= change.last_id - 1)
NONE = Continuity("none", _newer, _newer, lambda snapshot, change: True)
RULES = (SPANNING, PREVIOUS, PREVIOUS_SEQUENCE, GAPLESS, NONE)


class BookChecksum(Protocol):
    """Follows one book in the exchange's own text to compare its checksums."""

    def load(self, raw: RawLevels) -> None:
        """Start from a snapshot."""

    def apply(self, raw: RawLevels) -> None:
        """Apply a change."""

    def matches(self, checksum: int) -> bool:
        """Whether the book has this checksum."""


class InterleavedCrc32:
    """CRC32 over the best `levels` of both sides as `bid:size:ask:size:…`, the exchange's own text, signed 32 bits.

    A side that is shorter leaves its places out.
    """

    def __init__(self, levels: int = 25) -> None:
        self._levels = levels
        self._sides: tuple[dict[float, RawLevel], dict[float, RawLevel]] = ({}, {})

    def load(self, raw: RawLevels) -> None:
        """Start from a snapshot."""
        for side in self._sides:
            side.clear()
        self.apply(raw)

    def apply(self, raw: RawLevels) -> None:
        """Apply a change; a quantity of zero removes its level."""
        for side, levels in zip(self._sides, raw, strict=True):
            for level in levels:
                if float(level[1]):
                    side[float(level[0])] = level
                else:
                    side.pop(float(level[0]), None)

    def matches(self, checksum: int) -> bool:
        """Whether the book has this checksum, signed or not."""
        bids, asks = self._sides
        best_bids = [bids[price] for price in sorted(bids, reverse=True)[: self._levels]]
        best_asks = [asks[price] for price in sorted(asks)[: self._levels]]
        pairs = zip_longest(best_bids, best_asks, fillvalue=())
        text = ":".join(chain.from_iterable(chain.from_iterable(pairs)))
        return zlib.crc32(text.encode()) == checksum & 0xFFFFFFFF
