from __future__ import annotations

import pytest
from marketpipeline.spec import microseconds, milliseconds, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("250ms", 250), ("1s", 1_000), ("90s", 90_000), ("2m", 120_000), ("3h", 10_800_000), ("7d", 604_800_000)],
)
def test_durations(text: str, value: int) -> None:
    assert milliseconds(text) == value
    assert microseconds(text) == value * 1_000
    assert seconds(text) == value / 1_000


@pytest.mark.parametrize("text", ["", "5", "s", "0s", "-1s", "1.5s", "5 s", "5S", "5w", "1m30s", "5s\n", "9999999999s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        milliseconds(text)
