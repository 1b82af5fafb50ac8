"""The table of codes: every class of PostgreSQL's own list has a verdict, chosen or by default."""

from __future__ import annotations

import pytest
from marketpipeline.store.sqlstate import Verdict, verdict


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("40P01", Verdict.AGAIN),
        ("53100", Verdict.AGAIN),
        ("53400", Verdict.SMALLER),
        ("54000", Verdict.SMALLER),
        ("55P03", Verdict.AGAIN),
        ("57014", Verdict.AGAIN),
        ("57P01", Verdict.RECONNECT),
        ("25006", Verdict.RECONNECT),
        ("08006", Verdict.RECONNECT),
        ("23514", Verdict.ROW),
        ("22003", Verdict.ROW),
        ("P0001", Verdict.ROW),
        ("42501", Verdict.NEVER),
        ("28P01", Verdict.NEVER),
        ("TS999", Verdict.RECONNECT),
        ("HV000", Verdict.RECONNECT),
    ],
)
def test_what_a_code_means(code: str, meaning: Verdict) -> None:
    assert verdict(code) is meaning
