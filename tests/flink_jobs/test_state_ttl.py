"""The time to live of state, in a compiled plan."""

from __future__ import annotations

import json

import pytest
from marketpipeline_job.state_ttl import DEDUPLICATION_MS, with_state_ttl


def plan(*names: str) -> str:
    nodes = [{"id": n, "state": [{"index": 0, "ttl": "0 ms", "name": name}]} for n, name in enumerate(names)]
    return json.dumps({"flinkVersion": "2.2", "nodes": [*nodes, {"id": 99, "type": "calc"}], "edges": []})


def test_ids_are_kept_for_an_hour_and_candles_for_a_day_behind_the_longest() -> None:
    found = json.loads(with_state_ttl(plan("deduplicateState", "groupAggregateState"), ["1m", "1h"], 2_000))
    ttl = {node["state"][0]["name"]: node["state"][0]["ttl"] for node in found["nodes"] if "state" in node}
    assert ttl == {"deduplicateState": f"{DEDUPLICATION_MS} ms", "groupAggregateState": f"{25 * 3_600_000} ms"}


def test_state_that_nothing_is_said_of_is_refused() -> None:
    with pytest.raises(LookupError, match="joinState"):
        with_state_ttl(plan("joinState"), ["1m"], 2_000)


def test_ids_are_known_as_long_as_the_smallest_candle_is_open() -> None:
    found = json.loads(with_state_ttl(plan("deduplicateState"), ["4h", "1d"], 2_000))
    (state,) = (state for node in found["nodes"] for state in node.get("state", []))
    assert state["ttl"] == f"{4 * 3_600_000 + 2_000} ms"
