"""Spans of ids, and what they lack."""

from __future__ import annotations

import pytest
from marketpipeline.ingestion.written import Written, merged


@pytest.mark.parametrize(
    ("spans", "missing"),
    [
        ([], [(11, 20)]),
        ([(0, 10)], [(11, 20)]),
        ([(10, 20)], []),
        ([(5, 30)], []),
        ([(10, 15)], [(16, 20)]),
        ([(14, 25)], [(11, 14)]),
        ([(12, 13), (15, 17)], [(11, 12), (14, 15), (18, 20)]),
        ([(20, 25)], [(11, 20)]),
    ],
)
def test_what_is_missing(spans: list[tuple[int, int]], missing: list[tuple[int, int]]) -> None:
    assert Written(spans).missing(11, 20) == missing


def test_spans_that_touch_are_one_and_ids_that_go_back_are_none() -> None:
    assert merged([(7, 9), (1, 3), (3, 5), (4, 6), (9, 8), (5, 5)]) == [(1, 6), (7, 9)]
