"""Sequences of alerts on one symbol within a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Opening", "sequences"]


@dataclass(frozen=True, order=True)
class Opening:
    """An alert that opened; `time` in microseconds."""

    time: int
    id: str
    rule: str


def sequences(openings: Sequence[Opening], rules: Sequence[str], within: int) -> list[tuple[Opening, ...]]:
    """Of each opening of the first rule the earliest sequence that it begins; what is not completed is left out.

    Openings count in the order of (time, id), in whatever order they are given.
    """
    found = []
    for first in (one for one in sorted(set(openings)) if one.rule == rules[0]):
        chain = [first]
        for rule in rules[1:]:
            later = [
                one for one in openings if one > chain[-1] and one.rule == rule and one.time <= first.time + within
            ]
            if not later:
                break
            chain.append(min(later))
        if len(chain) == len(rules):
            found.append(tuple(chain))
    return found
