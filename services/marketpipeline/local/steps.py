"""What is done once on the way up: topics and thresholds, and a look whether an exchange has the symbols."""

from __future__ import annotations

from marketpipeline.errors import Problem
from marketpipeline.local.http import get_json
from marketpipeline.local.machine import SYMBOLS, TOPICS, Machine
from marketpipeline.local.supervisor import Step
from marketpipeline.local.topics import ensure_topics, publish_thresholds
from marketpipeline.local.unit import Failure
from marketpipeline.plan import Plan
from marketpipeline.spec import MarketPipeline
from marketpipeline.topics import TopicKind
from marketpipeline.venues import split_symbol

__all__ = ["steps_of"]


def steps_of(pipeline: MarketPipeline, plan: Plan, machine: Machine) -> list[Step]:
    """The steps of a run; components name them in what they start after."""
    found = [Step(TOPICS, [machine.broker.name], lambda: _make_topics(plan, machine))]
    if machine.exchanges:
        names = [service.name for service in machine.exchanges.values()]
        found.append(Step(SYMBOLS, names, lambda: _check_symbols(pipeline, machine)))
    return found


def _make_topics(plan: Plan, machine: Machine) -> None:
    ensure_topics(machine.kafka, plan.topics)
    thresholds = plan.topic(TopicKind.THRESHOLDS)
    if thresholds is not None:
        publish_thresholds(machine.kafka, thresholds, plan.thresholds)


def _check_symbols(pipeline: MarketPipeline, machine: Machine) -> None:
    """Raise Failure that names the symbols that what is replayed lacks: they would be waited for in vain."""
    for exchange, service in machine.exchanges.items():
        _, health = get_json(f"{service.url}/health")
        offered = health.get("symbols")
        wanted = {name for e, name in map(split_symbol, pipeline.spec.symbols) if e == exchange}
        if isinstance(offered, list) and (absent := sorted(wanted - set(offered))):
            expected = f"must be in the captures, which hold {', '.join(sorted(offered)) or 'none'}"
            problem = Problem("spec.symbols", [f"{exchange}:{name}" for name in absent], expected)
            raise Failure(f"replay: {problem}", invalid_input=True)
