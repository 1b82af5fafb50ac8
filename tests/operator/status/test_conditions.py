"""Conditions keep the time since when they hold."""

from __future__ import annotations

from marketpipeline_operator.status.conditions import Condition, as_objects


def test_the_time_changes_with_the_status_only() -> None:
    first = as_objects([Condition("Ready", False, "Waiting", "for a")], [], 1, "T1")
    second = as_objects([Condition("Ready", False, "Waiting", "for b")], first, 2, "T2")
    third = as_objects([Condition("Ready", True, "AllReady")], second, 2, "T3")
    unknown = as_objects([Condition("Ready", None, "Lost")], third, 2, "T4")
    assert [c[0]["lastTransitionTime"] for c in (first, second, third, unknown)] == ["T1", "T1", "T3", "T4"]
    assert [c[0]["status"] for c in (first, third, unknown)] == ["False", "True", "Unknown"]
    assert second[0]["message"] == "for b"
    assert second[0]["observedGeneration"] == 2


def test_a_message_is_bounded() -> None:
    [found] = as_objects([Condition("Ready", False, "Long", "x" * 10_000)], [], 1, "T1")
    assert len(found["message"]) == 2_000
