"""The entries of the alerts, and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from marketpipeline import alert_kinds as registry
from marketpipeline.alert_kinds import AlertKind, Severity, Threshold, Unit, alert_kinds, thresholds, watched_alerts
from marketpipeline.alert_kinds.whale_trade import ALERT as WHALE
from marketpipeline.errors import PermanentError
from marketpipeline.spec import Thresholds


def test_those_of_the_book_come_first() -> None:
    assert list(alert_kinds()) == [
        "extreme_imbalance", "spread_widening", "price_spike", "volume_spike", "whale_trade",
    ]  # fmt: skip
    assert list(watched_alerts()) == ["extreme_imbalance", "whale_trade"]


def test_a_threshold_is_named_after_its_place_in_the_spec() -> None:
    assert {threshold.path: name for name, threshold in thresholds().items()} == {
        "imbalance.medium": "imbalance_medium",
        "imbalance.high": "imbalance_high",
        "spreadWidening": "spread_widening",
        "priceSpike": "price_spike",
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
    assert Thresholds().by_name() == {name: threshold.default for name, threshold in thresholds().items()}


@pytest.mark.parametrize("path", ["whaleTrade", "imbalance.low", "imbalance"])
def test_a_threshold_belongs_to_one_alert(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threshold = replace(WHALE.thresholds[0], path=path, unit=Unit.BASE)
    other = replace(WHALE, name="a_second", thresholds=(threshold,))
    found = dict(alert_kinds()) | {other.name: other}
    monkeypatch.setattr(registry, "discover", lambda *_: found)
    with pytest.raises(PermanentError, match=f"threshold {threshold.group or threshold.name} is one of alert"):
        alert_kinds.__wrapped__()  # past the cache
