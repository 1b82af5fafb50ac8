"""Pieces of a page: numbers as a trader reads them, and nothing that came from elsewhere as markup."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from marketpipeline.dashboard import pieces
from marketpipeline.dashboard.views.completeness import held
from marketpipeline.store.rows import json_of

from tests.services.sinks.samples import BTC, alert, raw_book


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.5, "0.5000"), (150.26, "150.3"), (12_300, "12.3 k"), (4.2e6, "4.20 M"), (-3e9, "-3.00 B")],
)
def test_amounts(value: float | None, shown: str) -> None:
    assert pieces.amount(value) == shown


def test_prices_have_the_decimals_of_the_book() -> None:
    assert pieces.decimals_of(61_000.0, 61_000.5) == 2
    assert pieces.decimals_of(0.0001234, 0.00012) == 7
    assert pieces.decimals_of() == 2
    assert pieces.price(1234.5, 2) == "1,234.50"
    assert pieces.price(None, 2) == "–"


def test_the_ladder_has_both_sides_with_the_best_at_the_mid() -> None:
    html = pieces.ladder(json_of(raw_book(1)), 2)
    order = [html.index(text) for text in ("61,004.50", "61,000.50", "61,000.25", "61,000.00", "60,996.00")]
    assert order == sorted(order)
    assert "spread 0.50 · 0.08 bps" in html
    one_sided = pieces.ladder({"bids": [[1.0, 2.0]], "asks": []}, 2)
    assert "spread" not in one_sided


def test_alerts_say_what_is_and_how_far_it_went() -> None:
    html = pieces.alert_list([json_of(alert(0, extreme=0.61))], "none")
    assert "0.61 (limit 0.5)" in html
    whale = pieces.alert_list([json_of(alert(0, rule="whale_trade", extreme=250_000.4, threshold=100_000.0))], "none")
    assert "250,000 (limit 100,000)" in whale
    near = pieces.alert_list([json_of(alert(0, rule="whale_trade", extreme=9_999.6, threshold=9_999.4))], "none")
    assert "10,000 (limit 9,999)" in near
    assert f"{BTC} · " in html
    assert "since 08-08 23:54:00" in html
    assert (
        BTC not in pieces.alert_list([json_of(alert(0))], "none", with_symbol=False).replace('data-symbol="', "")[60:]
    )
    assert "none" in pieces.alert_list([], "none")


def test_what_came_from_elsewhere_is_text() -> None:
    evil = "<img src=x onerror=alert(1)>"
    shown = [
        pieces.alert_list([json_of(alert(0, rule=evil))], ""),
        pieces.badge(evil, "away"),
        pieces.table({"a": "A"}, [{"a": evil}], ""),
        pieces.tiles([(evil, evil, "")]),
        pieces.alert_list([], evil),
        pieces.heading(evil),
    ]
    assert not [html for html in shown if "<img" in html]


def test_a_table_marks_its_numbers_and_what_is_absent() -> None:
    html = pieces.table({"a": "A", "b": ">B"}, [{"a": "x"}], "empty")
    assert '<td>x</td><td class="num">–</td>' in html
    assert "empty" in pieces.table({"a": "A"}, [], "empty")


def test_days_are_whole_partly_there_or_not_at_all() -> None:
    """A first day begins with its first candle, and today ends now; a day of which only a gap is known has its foot."""
    first, now = date(2026, 11, 1), datetime(2026, 11, 4, 6, tzinfo=UTC)
    days = [first + timedelta(days=number) for number in range(5)]
    row = {"symbol": BTC, "store": "lake", "gaps": 0}
    rows = [
        row | {"day": "2026-11-01", "rows": 60, "first": "2026-11-01T23:00:00Z"},
        row | {"day": "2026-11-02", "rows": 720, "first": "2026-11-02T00:00:00Z", "gaps": 2},
        row | {"day": "2026-11-03", "rows": 0, "first": None, "gaps": 1, "store": None},
        row | {"day": "2026-11-04", "rows": 360, "first": "2026-11-04T00:00:00Z", "store": "timescale"},
    ]
    html = pieces.calendar(days, held([BTC], rows, 60_000_000, now))
    for words in (
        "2026-11-01: 60 of 60 (100.0%), in lake",
        "2026-11-02: 720 of 1,440 (50.0%), 2 gaps, in lake",
        "2026-11-03: 0 of 1,440 (0.0%), 1 gap",
        "2026-11-04: 360 of 360 (100.0%), in timescale",
        "2026-11-05: nothing",
    ):
        assert f'title="{words}"' in html
    assert html.count("--share: 100%") == 2 + 1, "two days, and the key"
