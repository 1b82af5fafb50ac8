"""`plan`: from a MarketPipeline to everything it takes, without touching anything."""

from __future__ import annotations

from marketpipeline.plan.model import Plan
from marketpipeline.plan.topics import plan_topics
from marketpipeline.plan.workloads import plan_scheduled_jobs, plan_stream_job, plan_workloads
from marketpipeline.records import SymbolThresholds
from marketpipeline.spec import MarketPipeline

__all__ = ["plan"]


def plan(pipeline: MarketPipeline) -> Plan:
    """Everything that `pipeline` consists of. Pure: the same pipeline gives the same plan.

    A suspended pipeline has the same plan: `suspended` tells the platform to keep the topics and run nothing.
    """
    return Plan(
        pipeline=pipeline.name,
        suspended=pipeline.spec.suspend,
        topics=plan_topics(pipeline),
        workloads=plan_workloads(pipeline),
        stream_job=plan_stream_job(pipeline),
        scheduled_jobs=plan_scheduled_jobs(pipeline),
        thresholds=tuple(_thresholds(pipeline, symbol) for symbol in pipeline.spec.symbols),
    )


def _thresholds(pipeline: MarketPipeline, symbol: str) -> SymbolThresholds:
    thresholds = pipeline.spec.thresholds
    return SymbolThresholds(
        symbol=symbol,
        effective_from=0,
        imbalance_medium=thresholds.imbalance.medium,
        imbalance_high=thresholds.imbalance.high,
        spread_widening=thresholds.spread_widening,
        price_spike=thresholds.price_spike,
        whale_trade=thresholds.whale_trade,
        volume_spike=thresholds.volume_spike,
    )
