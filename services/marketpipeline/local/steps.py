"""What is done once on the way up: topics and thresholds, and a look whether an exchange has the symbols."""

from __future__ import annotations

from marketpipeline.errors import PermanentError, Problem
from marketpipeline.local.http import get_json
from marketpipeline.local.managed_process import Failure
from marketpipeline.local.stack import SYMBOLS, TOPICS, LocalStack
from marketpipeline.local.supervisor import Step
from marketpipeline.plan import Plan
from marketpipeline.spec import MarketPipeline
from marketpipeline.topic_admin import ensure_topics, publish_thresholds
from marketpipeline.topics import TopicKind
from marketpipeline.venues import split_symbol

__all__ = ["steps_of"]


def steps_of(pipeline: MarketPipeline, plan: Plan, stack: LocalStack) -> list[Step]:
    """The steps of a run; components name them in what they start after."""
    found = [Step(TOPICS, [stack.broker.name], lambda: _make_topics(plan, stack))]
    if stack.exchanges:
        names = [service.name for service in stack.exchanges.values()]
        found.append(Step(SYMBOLS, names, lambda: _check_symbols(pipeline, stack)))
    return found


def _make_topics(plan: Plan, stack: LocalStack) -> None:
    report = ensure_topics(stack.kafka, plan.topics)
    if report.unfit:
        raise PermanentError("; ".join(report.mismatches))
    thresholds = plan.topic(TopicKind.THRESHOLDS)
    if thresholds is not None:
        publish_thresholds(stack.kafka, thresholds, plan.thresholds)


def _check_symbols(pipeline: MarketPipeline, stack: LocalStack) -> None:
    """Raise Failure that names the symbols that what is replayed lacks: they would be waited for in vain."""
    for exchange, service in stack.exchanges.items():
        _, health = get_json(f"{service.url}/health")
        offered = health.get("symbols")
        wanted = {name for e, name in map(split_symbol, pipeline.spec.named) if e == exchange}
        if isinstance(offered, list) and (absent := sorted(wanted - set(offered))):
            expected = f"must be in the captures, which hold {', '.join(sorted(offered)) or 'none'}"
            problem = Problem("spec.symbols", [f"{exchange}:{name}" for name in absent], expected)
            raise Failure(f"replay: {problem}", invalid_input=True)
