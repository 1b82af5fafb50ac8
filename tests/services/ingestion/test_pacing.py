from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from marketpipeline.ingestion.pacing import Window


@given(st.lists(st.floats(0, 0.5), max_size=200), st.integers(1, 6))
def test_no_window_holds_more_than_its_limit(steps: list[float], limit: int) -> None:
    window = Window(limit, 1.0)
    now, taken = 0.0, []
    for step in steps:
        now += step
        if window.take(now):
            taken.append(now)
    for start in taken:
        assert sum(start <= time < start + 1.0 for time in taken) <= limit


def test_window_of_weights() -> None:
    window = Window(100, 60.0)
    assert window.take(0.0, 60)
    assert not window.take(1.0, 50)
    assert window.take(1.0, 40)
    assert not window.take(59.9, 1)
    assert window.take(60.0, 60)


def test_what_is_larger_than_the_budget_passes_alone() -> None:
    window = Window(100, 60.0)
    assert window.take(0.0, 250)
    assert not window.take(1.0, 1)


def test_window_learns_what_others_spent() -> None:
    window = Window(100, 60.0)
    assert window.take(0.0, 10)
    window.correct(0.5, 95)
    assert window.used == 95
    assert not window.take(1.0, 10)
    window.correct(1.0, 20)
    assert window.used == 95, "a lower count is an older one"
    assert window.take(61.0, 10)
