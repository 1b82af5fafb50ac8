"""How long Flink keeps the state of a key, put into the compiled plan: the documented place for it, node by node.

Most state is a row a symbol (clocks, thresholds in force, open episodes) and is kept for ever. Two kinds grow with
time: the ids of trades that came, and the candles. They are kept, from the last change on, by the clock of the machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from marketpipeline.schema import milliseconds

__all__ = ["DEDUPLICATION_MS", "PLAN_FORMAT", "with_state_ttl"]

PLAN_FORMAT = 1
"""Part of what state belongs to: to be raised when the same SQL gives another plan, by what is done to it here or in
runtime/submit.py. How long state is kept is no such change."""

DEDUPLICATION_MS = 3_600_000
"""At least so long the ids of trades are known, and as long as the smallest candle is open: a trade that comes again
later than that is late by the symbol's clock. The time that the job is down counts too."""

_BEYOND_WINDOW_MS = 86_400_000
"""A forming candle outlives a day without the job; after that a job that is restored would start it again."""


def with_state_ttl(plan: str, windows: Sequence[str], lateness_ms: int) -> str:
    """The compiled plan, with how long to keep it in each node whose state grows.

    Raises LookupError where the planner has made no such node: then it names them otherwise, and nothing would expire.
    """
    widths = [milliseconds(window) for window in windows] or [0]
    wanted = {
        "deduplicateState": max(DEDUPLICATION_MS, min(widths) + lateness_ms),
        "groupAggregateState": max(widths) + _BEYOND_WINDOW_MS,
    }
    found = json.loads(plan)
    states = [state for node in found["nodes"] for state in node.get("state") or []]
    unknown = {state["name"] for state in states} - set(wanted)
    if unknown:
        raise LookupError(f"no time to live is set for the state {', '.join(sorted(unknown))}")
    for state in states:
        state["ttl"] = f"{wanted[state['name']]} ms"
    return json.dumps(found)
