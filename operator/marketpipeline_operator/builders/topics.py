"""Topics as resources of Redpanda's or Strimzi's operator, where the cluster has one of them.

They have no owner: with them their data would go, and `deletionPolicy: Retain` is the default. A deletion with
`Delete` removes them by name.
"""

from __future__ import annotations

import re

from marketpipeline.plan import Topic

from marketpipeline_operator.builders.context import Context, child, digest
from marketpipeline_operator.names import NAMESPACE, Object

__all__ = ["kafka_topic", "redpanda_topic", "topic_resource_name"]

_INVALID = re.compile(r"[^a-z0-9.-]")


def topic_resource_name(topic: str) -> str:
    """A resource's name for a topic: the topic's own, or where Kubernetes forbids that, one that follows from it."""
    name = _INVALID.sub("-", topic.lower()).strip("-.")
    return name if name == topic and len(name) <= 253 else f"{name[:200]}-{digest(topic)}"


def _head(context: Context, api_version: str, kind: str, topic: Topic) -> Object:
    """It is where the broker's operator looks for it: a label leads from there to the pipeline."""
    head = child(context, api_version, kind, "topic", owned=False)
    metadata, place = head["metadata"], context.pipeline.spec.broker.namespace
    metadata["name"] = topic_resource_name(topic.name)
    if place is not None and place != context.namespace:
        metadata |= {"namespace": place, "labels": metadata["labels"] | {NAMESPACE: context.namespace}}
    return head


def redpanda_topic(context: Context, topic: Topic) -> Object:
    """A `Topic` of Redpanda's operator. All settings are named, since it resets those that are absent."""
    return _head(context, "cluster.redpanda.com/v1alpha2", "Topic", topic) | {
        "spec": {
            "overwriteTopicName": topic.name,
            "cluster": {"clusterRef": {"name": context.pipeline.spec.broker.cluster}},
            "partitions": topic.partitions,
            "replicationFactor": topic.replication_factor,
            "additionalConfig": dict(topic.config),
        }
    }


def kafka_topic(context: Context, topic: Topic) -> Object:
    """A `KafkaTopic` of Strimzi."""
    head = _head(context, f"kafka.strimzi.io/{context.capabilities.strimzi_version}", "KafkaTopic", topic)
    head["metadata"]["labels"]["strimzi.io/cluster"] = context.pipeline.spec.broker.cluster
    return head | {
        "spec": {
            "topicName": topic.name,
            "partitions": topic.partitions,
            "replicas": topic.replication_factor,
            "config": dict(topic.config),
        }
    }
