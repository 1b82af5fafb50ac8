"""Two pipelines that want the same topics: the older one has them."""

from __future__ import annotations

from typing import Any

from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.names import Object

__all__ = ["rival"]


def rival(cache: Cache, key: Key, pipeline: Object) -> str | None:
    """The older pipeline that has topics of the same names at the same broker, as namespace/name, or None."""
    ours = _claim(pipeline)
    for other_key, other in cache.pipelines():
        theirs = _claim(other)
        same = theirs[1] == ours[1] and bool(ours[0] & theirs[0])
        if other_key != key and same and _age(other) < _age(pipeline):
            return "/".join(other_key)
    return None


def _claim(pipeline: Object) -> tuple[set[str], str]:
    """The brokers' addresses, a bare name meaning the pipeline's own namespace, and the topics' prefix."""
    metadata, spec = pipeline["metadata"], pipeline.get("spec") or {}
    broker: dict[str, Any] = spec.get("broker") or {}
    addresses = str(broker.get("bootstrapServers", "redpanda:9092")).split(",")
    namespace = metadata["namespace"]
    qualified = {address if "." in address.partition(":")[0] else f"{namespace}/{address}" for address in addresses}
    return qualified, str(broker.get("topicPrefix") or metadata["name"])


def _age(pipeline: Object) -> tuple[str, str]:
    metadata = pipeline["metadata"]
    return metadata["creationTimestamp"], metadata["uid"]
