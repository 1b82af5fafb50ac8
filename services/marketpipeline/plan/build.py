"""`plan`: from a MarketPipeline to everything it takes, without touching anything."""

from __future__ import annotations

from collections.abc import Iterable

from marketpipeline.plan.model import Plan
from marketpipeline.plan.topics import plan_topics
from marketpipeline.plan.workloads import plan_scheduled_jobs, plan_stream_job, plan_workloads
from marketpipeline.records import SymbolThresholds
from marketpipeline.spec import MarketPipeline
from marketpipeline.spec.patterns import patterns_text

__all__ = ["plan"]


def plan(pipeline: MarketPipeline, selected: Iterable[str] = ()) -> Plan:
    """Everything that `pipeline` consists of. Pure: the same pipeline and symbols give the same plan.

    `selected` are the symbols that its selectors stand for by now, which only the exchanges know
    (`marketpipeline.selection`); they are followed beside those that it names.

    A suspended pipeline has the same plan: `suspended` tells the platform to keep the topics and run nothing.
    """
    named = pipeline.spec.named
    symbols = [*named, *sorted(set(selected) - set(named))]
    thresholds, patterns = pipeline.spec.thresholds, patterns_text(pipeline.spec.patterns)
    return Plan(
        pipeline=pipeline.name,
        suspended=pipeline.spec.suspend,
        symbols=tuple(symbols),
        topics=plan_topics(pipeline),
        workloads=plan_workloads(pipeline, symbols),
        stream_job=plan_stream_job(pipeline),
        scheduled_jobs=plan_scheduled_jobs(pipeline, symbols),
        thresholds=tuple(
            SymbolThresholds(symbol=symbol, effective_from=0, values=thresholds.by_name(symbol), patterns=patterns)
            for symbol in symbols
        ),
    )
