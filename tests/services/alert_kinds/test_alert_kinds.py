"""The entries of the alerts, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
from marketpipeline import alert_kinds as registry
from marketpipeline.alert_kinds import (
    AlertKind,
    Severity,
    Threshold,
    Unit,
    alert_kinds,
    threshold_defaults,
    thresholds,
    watched_alerts,
)
from marketpipeline.alert_kinds.whale_trade import ALERT as WHALE
from marketpipeline.errors import PermanentError
from marketpipeline.spec import Thresholds
from marketpipeline.topics import Feed


def test_those_of_the_book_come_first() -> None:
    assert list(alert_kinds()) == [
        "extreme_imbalance", "imbalance_flip", "liquidity_stress", "spread_widening", "outlier", "price_spike",
        "trade_burst", "volume_spike", "whale_trade",
    ]  # fmt: skip
    assert list(watched_alerts()) == list(alert_kinds())


def test_a_threshold_is_named_after_its_place_in_the_spec() -> None:
    assert {threshold.path: name for name, threshold in thresholds().items()} == {
        "imbalance.medium": "imbalance_medium",
        "imbalance.high": "imbalance_high",
        "imbalanceFlip": "imbalance_flip",
        "liquidityStress": "liquidity_stress",
        "spreadWidening": "spread_widening",
        "outlier": "outlier",
        "priceSpike": "price_spike",
        "tradeBurst": "trade_burst",
        "volumeSpike": "volume_spike",
        "whaleTrade": "whale_trade",
    }


@pytest.mark.parametrize("kind", alert_kinds().values(), ids=lambda kind: kind.name)
def test_severities_ascend(kind: AlertKind) -> None:
    order = [get_args(Severity).index(threshold.severity) for threshold in kind.thresholds]
    assert order == sorted(order)
    assert len({threshold.unit for threshold in kind.thresholds}) == 1


@pytest.mark.parametrize("threshold", thresholds().values(), ids=lambda threshold: threshold.name)
def test_a_default_is_within_its_bounds(threshold: Threshold) -> None:
    assert threshold.default > threshold.above
    assert threshold.at_most is None or threshold.default <= threshold.at_most


def test_a_table_shows_a_multiple_as_such() -> None:
    spread = thresholds()["spread_widening"]
    assert (spread.shown(2.0), thresholds()["price_spike"].shown(0.02)) == ("x2", "0.02")


def test_the_spec_has_them_all_and_their_defaults() -> None:
    assert Thresholds().by_name() == threshold_defaults()
    assert threshold_defaults().items() >= {name: threshold.default for name, threshold in thresholds().items()}.items()


@pytest.mark.parametrize("path", ["whaleTrade", "imbalance.low", "imbalance", "whaleTradeUsual"])
def test_a_threshold_belongs_to_one_alert(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threshold = replace(WHALE.thresholds[0], path=path, unit=Unit.BASE)
    other = replace(WHALE, name="a_second", thresholds=(threshold,))
    found = dict(alert_kinds()) | {other.name: other}
    monkeypatch.setattr(registry, "discover", lambda *_: found)
    with pytest.raises(PermanentError, match=r"threshold [a-z_]+ is one of alert"):
        alert_kinds.__wrapped__()  # past the cache


def entry(*thresholds: Threshold, name: str = "some", feed: Any = Feed.TRADES) -> AlertKind:
    return AlertKind(name=name, title="Some", description="Some.", feed=feed, thresholds=thresholds)


def limit(path: str, default: float = 1.0, at_most: float | None = None) -> Threshold:
    return Threshold(
        path=path, unit=Unit.RATIO, default=default, description="It.", severity="HIGH", at_most=at_most
    )  # fmt: skip


def test_an_alert_of_a_group_of_one_and_of_digits() -> None:
    kind = entry(limit("group.only"), limit("top10Share"))
    assert [threshold.name for threshold in kind.thresholds] == ["group_only", "top10_share"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: entry(), "has no threshold"),
        (lambda: entry(limit("x"), name="it's"), "the name must be of a to z"),
        (lambda: entry(limit("x"), feed=Feed.TICKERS), "must be book or trades"),
        (lambda: entry(limit("my_share")), "camelCase"),
        (lambda: entry(limit("a.b.c")), "camelCase"),
        (lambda: entry(limit("cooldown")), "is taken"),
        (lambda: entry(limit("byName")), "is taken"),
        (lambda: entry(limit("x"), limit("x")), "named once"),
        (lambda: entry(limit("g.low"), limit("mid"), limit("g.high")), "stand together"),
        (lambda: entry(limit("g"), limit("g.high")), "stand together"),
        (lambda: entry(limit("x", 0.0)), "not within its bounds"),
        (lambda: entry(limit("x", 2.0, at_most=1.0)), "not within its bounds"),
        (lambda: entry(limit("g.low", 3.0), limit("g.high", 1.0)), "default of g.low is above"),
    ],
)
def test_an_entry_that_could_not_work_says_why(make: Callable[[], AlertKind], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
