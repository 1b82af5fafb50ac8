"""What a component does right now, in a few words: its rates and how far it is behind."""

from __future__ import annotations

from collections.abc import Mapping

from marketpipeline.local.unit import Unit
from marketpipeline.local.view.words import count

__all__ = ["Rates", "activity"]

_COUNTERS = (("frames", "frames/s"), ("produced", "records/s"), ("written", "rows/s"))
"""Counters in health reports that are worth showing."""


class Rates:
    """Counters of health reports as rates: from the oldest report of the last seconds to the newest."""

    def __init__(self, span: float = 5.0) -> None:
        self._span = span
        self._seen: dict[str, list[tuple[float, dict[str, int]]]] = {}

    def note(self, name: str, details: Mapping[str, object], now: float) -> None:
        """Take in what a component says."""
        counters = {k: v for k, v in details.items() if isinstance(v, int) and not isinstance(v, bool)}
        seen = self._seen.setdefault(name, [])
        if seen and seen[-1][1] == counters and now - seen[-1][0] < 1.0:
            return
        seen.append((now, counters))
        while len(seen) > 2 and seen[1][0] < now - self._span:
            seen.pop(0)

    def of(self, name: str, key: str) -> float | None:
        """Change by second of a counter, None before there are two reports with it."""
        seen = [(at, counters[key]) for at, counters in self._seen.get(name, []) if key in counters]
        if len(seen) < 2 or seen[-1][0] <= seen[0][0]:
            return None
        return max(0.0, (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0]))


def activity(unit: Unit, rates: Rates, lag: Mapping[str, int]) -> str:
    """What a unit does, as far as it says: rates first, then how many records it is behind."""
    parts = []
    for key, noun in _COUNTERS:
        rate = rates.of(unit.name, key)
        if rate is not None:
            parts.append(f"{count(round(rate))} {noun}")
    if unit.name in lag:
        parts.append(f"{lag[unit.name]:,} behind")
    return "  ".join(parts)
