"""A context for builders, from the parts of a spec that matter."""

from __future__ import annotations

from typing import Any

from marketpipeline.plan import plan
from marketpipeline.spec import load_object
from marketpipeline_operator.builders import Context
from marketpipeline_operator.settings import OperatorSettings

__all__ = ["TOPICS", "UID", "context_of"]

UID = "8d3f0c7e-0000-4000-8000-000000000000"


def context_of(name: str = "crypto", **spec: Any) -> Context:
    """The context of a pipeline of two symbols, with `spec` merged over them."""
    pipeline = load_object(
        {
            "apiVersion": "marketpipeline.dev/v1alpha1",
            "kind": "MarketPipeline",
            "metadata": {"name": name, "namespace": "markets"},
            "spec": {"symbols": ["binance:BTCUSDT", "binance:ETHUSDT"]} | spec,
        }
    )
    settings = OperatorSettings.model_validate({"images": {"tag": "1"}})
    return Context(pipeline=pipeline, plan=plan(pipeline), uid=UID, settings=settings)


TOPICS = len(context_of().plan.topics)
"""Of a pipeline that says nothing of its feeds."""
