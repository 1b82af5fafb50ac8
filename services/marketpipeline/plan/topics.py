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
    return Topic(
        name=topic_name(pipeline.topic_prefix, kind.topic),
        kind=kind.topic,
        partitions=1 if kind.writer in (Writer.PLATFORM, Writer.ANYONE) else broker.partitions,
        replication_factor=broker.replication_factor,
        config=_COMPACTED if kept is None else {"cleanup.policy": "delete", "retention.ms": _retention(kept)},
    )


def _retention(kept: str) -> str:
    """In Kafka's terms, where -1 is for ever."""
    limit = retention_milliseconds(kept)
    return "-1" if limit is None else str(limit)
