"""The topics of a plan."""

from __future__ import annotations

from marketpipeline.plan.model import Topic
from marketpipeline.record_kinds import RecordKind, Writer, kind_in
from marketpipeline.schema import retention_milliseconds
from marketpipeline.spec import MarketPipeline
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["plan_topics"]

_COMPACTED = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}


def plan_topics(pipeline: MarketPipeline) -> tuple[Topic, ...]:
    """The topics that the pipeline's feeds and outputs need, in a fixed order."""
    feeds = frozenset(pipeline.spec.feeds)
    return tuple(_topic(pipeline, kind_in(topic)) for topic in TopicKind if kind_in(topic).exists_with(feeds))


def _topic(pipeline: MarketPipeline, kind: RecordKind) -> Topic:
    broker, retention = pipeline.spec.broker, pipeline.spec.retention.topics
    kept = {
        Writer.INGESTION: retention.raw,
        Writer.STREAM_JOB: retention.derived,
        Writer.ANYONE: retention.dead_letters,
    }.get(kind.writer)
    config = _COMPACTED if kept is None else {"cleanup.policy": "delete", "retention.ms": _retention(kept)}
    return Topic(
        name=topic_name(pipeline.topic_prefix, kind.topic),
        kind=kind.topic,
        partitions=1 if kind.writer in (Writer.PLATFORM, Writer.ANYONE) else broker.partitions,
        replication_factor=broker.replication_factor,
        config=config | _acknowledged(broker.replication_factor),
    )


def _acknowledged(copies: int) -> dict[str, str]:
    """Producers wait for all copies in sync: with three or more that are to be two at least, so that what was
    acknowledged outlives the loss of a broker, and writing goes on without one."""
    return {"min.insync.replicas": "2"} if copies >= 3 else {}


def _retention(kept: str) -> str:
    """In Kafka's terms, where -1 is for ever."""
    limit = retention_milliseconds(kept)
    return "-1" if limit is None else str(limit)
