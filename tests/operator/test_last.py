"""What is kept of the last time, as long as it is of the same sources."""

from __future__ import annotations

from marketpipeline_operator.last import Last


def test_it_is_made_anew_when_a_source_is_another() -> None:
    last: Last[int] = Last()
    made = iter(range(10))
    numbers = [1, 2]
    found = [last.of(*sources, make=lambda: next(made)) for sources in ((numbers, "a"), ([1, 2], "a"), ([1, 3], "a"))]
    assert found == [0, 0, 1]
    assert last.of([1, 3], "b", make=lambda: next(made)) == 2
    assert last.of([1, 3], make=lambda: next(made)) == 3
