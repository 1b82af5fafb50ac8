"""Times in every unit, told apart by their digits or refused; ids that are text."""

from __future__ import annotations

import pytest
from marketpipeline.venues.messages import FrameError
from marketpipeline.venues.values import TimeUnit, microseconds, text_id

TIME = 1_723_161_255_343_123


@pytest.mark.parametrize(
    ("time", "unit", "expected"),
    [
        (TIME // 1_000_000, TimeUnit.SECONDS, TIME // 1_000_000 * 1_000_000),
        (TIME // 1_000, TimeUnit.MILLISECONDS, TIME // 1_000 * 1_000),
        (TIME, TimeUnit.MICROSECONDS, TIME),
        (TIME * 1_000 + 999, TimeUnit.NANOSECONDS, TIME),
    ],
)
def test_a_time_is_told_by_its_digits(time: int, unit: TimeUnit, expected: int) -> None:
    assert TimeUnit.of(time) is unit
    assert microseconds(time) == microseconds(time, unit) == expected


@pytest.mark.parametrize("year", [1974, 2026, 5000])
def test_units_do_not_overlap(year: int) -> None:
    seconds = (year - 1970) * 31_556_952
    for unit, factor in zip(TimeUnit, (1, 10**3, 10**6, 10**9), strict=True):
        assert TimeUnit.of(seconds * factor) is unit
        assert microseconds(seconds * factor) == seconds * 10**6


def test_another_unit_than_the_exchanges_is_refused_by_name() -> None:
    with pytest.raises(FrameError, match=r"is in nanoseconds; must be in milliseconds or microseconds"):
        microseconds(TIME * 1_000, TimeUnit.MILLISECONDS, TimeUnit.MICROSECONDS)
    with pytest.raises(FrameError, match="time 0 must be positive"):
        microseconds(0)


def test_an_id_that_is_text_is_a_number_of_63_bits_that_follows_from_it() -> None:
    ids = {text_id(f"20f43950-d8dd-5b31-9112-{number:012x}") for number in range(10_000)}
    assert len(ids) == 10_000
    assert all(0 <= number < 2**63 for number in ids)
    assert text_id("20f43950-d8dd-5b31-9112-a178eb6023af") == 8_048_523_045_598_429_434
