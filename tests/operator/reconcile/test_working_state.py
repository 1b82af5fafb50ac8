"""What a pipeline that rests costs the operator: a thousand of them shall fit into half a gigabyte."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

from marketpipeline.plan import plan
from marketpipeline.spec import API_VERSION, KIND, load_object
from marketpipeline_operator.builders import Capabilities, Context
from marketpipeline_operator.cluster.cache import Cache
from marketpipeline_operator.reconcile.working_state import WorkingState
from marketpipeline_operator.settings import OperatorSettings

SETTINGS = OperatorSettings()
MANY = 8
MOST = 150 * 1024
"""Bytes of a pipeline with 19 children, of what is the operator's own: the watches' library adds 1 KB an object."""


def known(cache: Cache, number: int) -> WorkingState:
    """What is kept of one after a pass over it."""
    metadata = {"name": f"p{number:04}", "namespace": "markets"}
    spec = {"symbols": ["binance:BTCUSDT", "binance:ETHUSDT"], "processing": {"mode": "operator"}}
    thing: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
    working = WorkingState.of(lambda: None, SETTINGS.reconcile)
    loaded = working.loaded.of(number, make=lambda: load_object(thing))
    planned = working.planned.of(loaded, make=lambda: plan(loaded))
    context = Context(loaded, planned, f"u{number}", SETTINGS, Capabilities(flink=True))
    working.processes(context)
    cache.put(thing | {"metadata": metadata | {"uid": f"u{number}", "resourceVersion": "1"}})
    for child in working.build(context):
        name = f"{child['kind']}/{child['metadata']['name']}"
        cache.put(child | {"metadata": child["metadata"] | {"uid": name, "resourceVersion": "1"}})
    return working


def test_a_pipeline_that_rests_takes_little_memory() -> None:
    cache = Cache()
    kept = [known(cache, 0)]
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept += [known(cache, number) for number in range(1, 1 + MANY)]
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / MANY
    finally:
        tracemalloc.stop()
    children = cache.children(("markets", "p0001"))
    assert len(children) >= 19, sorted(children)
    assert each < MOST, f"{each / 1024:.0f} KB a pipeline"
    assert len(kept) == 1 + MANY
