"""What a topic holds of a symbol, whoever wrote it, as spans of ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from marketpipeline.records import AggTrade, Trade

__all__ = ["LOOK_AGAIN", "Span", "Written", "merged"]

LOOK_AGAIN = 0.5
"""Seconds between two looks, while another process lives that may still write what is missing."""

Span = tuple[int, int]
"""Ids after the first, up to the second: (4, 6) are 5 and 6."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that touch joined."""
    found: list[Span] = []
    for before, last in sorted(spans):
        if found and before <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        elif last > before:
            found.append((before, last))
    return found


@dataclass(frozen=True, slots=True)
class Written:
    """What a topic holds of one symbol: `spans` of ids, merged.

    `reached` is the trade that ids without a hole lead to from the one that was asked for. `others` are the processes
    but this one that gave a sign of life, with the exchange's time that each has promised, in µs.
    """

    spans: list[Span] = field(default_factory=list)
    reached: Trade | AggTrade | None = None
    others: Mapping[str, int] = field(default_factory=dict)

    def missing(self, first: int, last: int) -> list[Span]:
        """What is not written of `first` to `last`, as first and last ids, both inclusive."""
        found, next_id = [], first
        for before, until in self.spans:
            if before >= last:
                break
            if before >= next_id:
                found.append((next_id, before))
            next_id = max(next_id, until + 1)
        return found if next_id > last else [*found, (next_id, last)]
