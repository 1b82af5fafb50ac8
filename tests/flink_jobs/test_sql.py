"""Small pieces of SQL."""

from __future__ import annotations

import re

import pytest
from marketpipeline_job.sql import total


@pytest.mark.parametrize("count", [1, 2, 32, 33, 1_000, 1_024, 1_025, 40_000])
def test_a_sum_has_each_term_once_in_order_and_no_long_row(count: int) -> None:
    terms = [f"t{number}" for number in range(count)]
    text = total(terms)
    assert re.findall(r"t\d+", text) == terms
    assert len(re.findall(r"\+", text)) == count - 1
    while "(" in text:
        text, replaced = re.subn(r"\(([^()]*)\)", lambda block: row(block[1]), text)
        assert replaced
    row(text)


def row(text: str) -> str:
    """A row of terms without brackets, as one term."""
    assert text.count("+") < 32
    return "t"
