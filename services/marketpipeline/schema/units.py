"""Quantities that a spec writes as text: durations and sizes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

__all__ = ["DURATION_PATTERN", "Duration", "microseconds", "milliseconds", "seconds"]

DURATION_PATTERN = r"^[1-9][0-9]{0,8}(ms|s|m|h|d)$"
Duration = Annotated[str, StringConstraints(pattern=DURATION_PATTERN, max_length=11)]
"""A length of time: a whole number and one of ms, s, m, h, d (`250ms`, `1m`, `7d`)."""

_UNIT_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(duration: str) -> int:
    """A duration in milliseconds. Raises ValueError for anything that `DURATION_PATTERN` does not match."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is no duration; write a whole number and ms, s, m, h or d, e.g. 90s")
    digits = duration.rstrip("dhms")
    return int(digits) * _UNIT_MILLISECONDS[duration[len(digits) :]]


def microseconds(duration: str) -> int:
    """A duration in microseconds, the unit of every time in a record."""
    return milliseconds(duration) * 1_000


def seconds(duration: str) -> float:
    """A duration in seconds."""
    return milliseconds(duration) / 1_000
