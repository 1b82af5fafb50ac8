"""`plan`: from a MarketPipeline to everything it takes, without touching anything."""

from __future__ import annotations

from marketpipeline.plan.model import Plan
from marketpipeline.plan.topics import plan_topics
from marketpipeline.plan.workloads import plan_scheduled_jobs, plan_stream_job, plan_workloads
from marketpipeline.records import SymbolThresholds
from marketpipeline.spec import MarketPipeline
from marketpipeline.spec.patterns import patterns_text

__all__ = ["plan"]


def plan(pipeline: MarketPipeline) -> Plan:
    """Everything that `pipeline` consists of. Pure: the same pipeline gives the same plan.

    A suspended pipeline has the same plan: `suspended` tells the platform to keep the topics and run nothing.
    """
    thresholds, patterns = pipeline.spec.thresholds, patterns_text(pipeline.spec.patterns)
    return Plan(
        pipeline=pipeline.name,
        suspended=pipeline.spec.suspend,
        topics=plan_topics(pipeline),
        workloads=plan_workloads(pipeline),
        stream_job=plan_stream_job(pipeline),
        scheduled_jobs=plan_scheduled_jobs(pipeline),
        thresholds=tuple(
            SymbolThresholds(symbol=symbol, effective_from=0, values=thresholds.by_name(symbol), patterns=patterns)
            for symbol in pipeline.spec.symbols
        ),
    )
