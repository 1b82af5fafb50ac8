"""Times and ids as exchanges write them, told apart by their digits or refused.

The units do not overlap for any time from 1973 to 5138: seconds have up to 11 digits, milliseconds 12 to 14,
microseconds 15 to 17, nanoseconds 18 and more.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Annotated

from msgspec import Meta

from marketpipeline.venues.messages import FrameError

__all__ = ["FIRST_MICROSECOND", "MillisecondsOrMicroseconds", "TimeUnit", "microseconds", "text_id"]

FIRST_MILLISECOND = 10**11
FIRST_MICROSECOND = 10**14
FIRST_NANOSECOND = 10**17
"""The smallest times of a unit; one below it is of the unit before."""

MillisecondsOrMicroseconds = Annotated[int, Meta(ge=FIRST_MILLISECOND, lt=FIRST_NANOSECOND)]
"""The type of a field that holds either: a decoder refuses seconds and nanoseconds."""


class TimeUnit(Enum):
    """A unit of time since the epoch."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    MICROSECONDS = "microseconds"
    NANOSECONDS = "nanoseconds"

    @classmethod
    def of(cls, time: int) -> TimeUnit:
        """The unit that a time is in, by its digits."""
        if time >= FIRST_NANOSECOND:
            return cls.NANOSECONDS
        if time >= FIRST_MICROSECOND:
            return cls.MICROSECONDS
        return cls.MILLISECONDS if time >= FIRST_MILLISECOND else cls.SECONDS


def microseconds(time: int, *units: TimeUnit) -> int:
    """A time in µs. Raises FrameError for one that is not in one of `units` (any, without them), or not after 1970."""
    if time <= 0:
        raise FrameError(f"time {time} must be positive")
    unit = TimeUnit.of(time)
    if units and unit not in units:
        expected = " or ".join(unit.value for unit in units)
        raise FrameError(f"time {time} is in {unit.value}; must be in {expected}")
    match unit:
        case TimeUnit.SECONDS:
            return time * 1_000_000
        case TimeUnit.MILLISECONDS:
            return time * 1_000
        case TimeUnit.MICROSECONDS:
            return time
        case TimeUnit.NANOSECONDS:
            return time // 1_000


def text_id(text: str) -> int:
    """The number that stands for a trade id that is text: 63 bits that follow from it, the same on every machine.

    It says nothing of the order (`TradeIds.UNORDERED`). A trade's natural key holds its time too, so two trades are
    taken for one only if they are of one symbol and one microsecond and collide in 63 bits.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
