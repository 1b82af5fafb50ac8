"""Each rule of continuity, on the messages that its exchanges send; checksums on a capture that has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from marketpipeline.venues.continuity import (
    GAPLESS,
    NONE,
    PREVIOUS,
    PREVIOUS_SEQUENCE,
    RULES,
    SPANNING,
    Continuity,
    InterleavedCrc32,
    Verdict,
)
from marketpipeline.venues.messages import BookChange, BookSnapshot

from tests.services.venues.pushed_books import read_books

CONTINUES, DUPLICATE, GAP = Verdict.CONTINUES, Verdict.DUPLICATE, Verdict.GAP


def change(first: int, last: int, previous: int | None = None, *, empty: bool = False) -> BookChange:
    return BookChange("exchange:X", 1, 1, first, last, [] if empty else [(1.0, 1.0)], [], previous)


@pytest.mark.parametrize(
    ("rule", "message", "verdict"),
    [
        (SPANNING, change(11, 11), CONTINUES),
        (SPANNING, change(11, 15), CONTINUES),
        (SPANNING, change(8, 12), CONTINUES),
        (SPANNING, change(8, 10), DUPLICATE),
        (SPANNING, change(12, 15), GAP),
        (PREVIOUS, change(14, 20, 10), CONTINUES),
        (PREVIOUS, change(11, 20, 9), GAP),
        (PREVIOUS, change(14, 20, 12), GAP),
        (PREVIOUS, change(5, 10, 4), DUPLICATE),
        (PREVIOUS_SEQUENCE, change(11, 17, 10), CONTINUES),
        (PREVIOUS_SEQUENCE, change(11, 10, 10, empty=True), Verdict.HEARTBEAT),
        (PREVIOUS_SEQUENCE, change(11, 3, 10), Verdict.RESET),
        (PREVIOUS_SEQUENCE, change(13, 17, 12), GAP),
        (PREVIOUS_SEQUENCE, change(8, 10, 7), DUPLICATE),
        (GAPLESS, change(11, 11), CONTINUES),
        (GAPLESS, change(12, 12), GAP),
        (GAPLESS, change(10, 10), DUPLICATE),
        (NONE, change(99, 99), CONTINUES),
        (NONE, change(10, 10), DUPLICATE),
    ],
)
def test_what_follows_update_10(rule: Continuity, message: BookChange, verdict: Verdict) -> None:
    assert rule.follows(10, message) is verdict


@pytest.mark.parametrize(
    ("rule", "message", "reaches", "verdict"),
    [
        (SPANNING, change(8, 12), True, CONTINUES),
        (SPANNING, change(11, 15), True, CONTINUES),
        (SPANNING, change(12, 15), False, GAP),
        (PREVIOUS, change(8, 12, 7), True, CONTINUES),
        (PREVIOUS, change(14, 20, 10), True, CONTINUES),
        (PREVIOUS, change(12, 20, 11), False, GAP),
        (PREVIOUS, change(5, 9, 4), True, DUPLICATE),
        (PREVIOUS_SEQUENCE, change(11, 17, 10), True, CONTINUES),
        (PREVIOUS_SEQUENCE, change(13, 17, 12), False, GAP),
        (GAPLESS, change(11, 11), True, CONTINUES),
        (GAPLESS, change(12, 12), False, GAP),
        (NONE, change(12, 12), True, CONTINUES),
    ],
)
def test_what_starts_from_snapshot_10(rule: Continuity, message: BookChange, reaches: bool, verdict: Verdict) -> None:
    assert rule.starts(10, message) is verdict
    assert rule.reaches(10, message) is reaches


def test_rules_have_names_of_their_own() -> None:
    assert [rule.name for rule in RULES] == ["U/u", "pu", "prevSeqId", "gapless", "none"]


def test_every_checksum_of_a_capture_matches_and_its_sequence_continues(capture: Callable[[str], Path]) -> None:
    books: dict[str, InterleavedCrc32] = {}
    last: dict[str, int] = {}
    matched = 0
    for _, message in read_books(capture("okx_20220513.gz")):
        assert message.raw is not None
        assert message.checksum is not None
        if isinstance(message, BookSnapshot):
            books[message.symbol] = InterleavedCrc32()
            books[message.symbol].load(message.raw)
        else:
            assert PREVIOUS_SEQUENCE.follows(last[message.symbol], message) is CONTINUES
            books[message.symbol].apply(message.raw)
        last[message.symbol] = message.last_id
        matched += books[message.symbol].matches(message.checksum)
        assert not books[message.symbol].matches(message.checksum ^ 1)
    assert matched == 290


def test_a_checksum_of_a_side_that_is_shorter() -> None:
    book = InterleavedCrc32(levels=2)
    book.load(([("3366.1", "7")], [("3366.8", "9"), ("3368", "8"), ("3369", "1")]))
    assert book.matches(0xA84A69F5), "3366.1:7:3366.8:9:3368:8"
    book.apply(([("3366.1", "0")], []))
    assert not book.matches(0xA84A69F5)
