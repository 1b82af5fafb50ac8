"""The topics of a plan."""

from __future__ import annotations

from marketpipeline.plan.model import Topic
from marketpipeline.spec import MarketPipeline, milliseconds
from marketpipeline.topics import DERIVED, FEED_TOPIC, Feed, TopicKind, topic_name

__all__ = ["plan_topics"]

_COMPACTED = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}


def plan_topics(pipeline: MarketPipeline) -> tuple[Topic, ...]:
    """The topics that the pipeline's feeds and outputs need, in a fixed order."""
    spec = pipeline.spec
    kinds = {FEED_TOPIC[feed] for feed in spec.feeds} | {TopicKind.EVENTS, TopicKind.DEAD_LETTERS}
    if Feed.BOOK in spec.feeds or Feed.TRADES in spec.feeds:
        kinds |= {TopicKind.THRESHOLDS, TopicKind.ALERTS}
    if Feed.BOOK in spec.feeds:
        kinds.add(TopicKind.BOOK_METRICS)
    if Feed.TRADES in spec.feeds:
        kinds |= {TopicKind.CANDLES, TopicKind.LATE}
    return tuple(_topic(pipeline, kind) for kind in TopicKind if kind in kinds)


def _topic(pipeline: MarketPipeline, kind: TopicKind) -> Topic:
    broker = pipeline.spec.broker
    return Topic(
        name=topic_name(pipeline.topic_prefix, kind),
        kind=kind,
        partitions=1 if kind in (TopicKind.THRESHOLDS, TopicKind.DEAD_LETTERS) else broker.partitions,
        replication_factor=broker.replication_factor,
        config=_config(pipeline, kind),
    )


def _config(pipeline: MarketPipeline, kind: TopicKind) -> dict[str, str]:
    retention = pipeline.spec.retention.topics
    if kind is TopicKind.THRESHOLDS:
        return dict(_COMPACTED)
    kept = retention.derived if kind in DERIVED else retention.raw
    if kind is TopicKind.DEAD_LETTERS:
        kept = retention.dead_letters
    return {"cleanup.policy": "delete", "retention.ms": str(milliseconds(kept))}
