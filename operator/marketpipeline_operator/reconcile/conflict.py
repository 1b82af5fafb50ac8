"""Two pipelines that want the same topics: the older one has them."""

from __future__ import annotations

from typing import Any, NamedTuple

from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.names import Object

__all__ = ["Claims"]


class _Claim(NamedTuple):
    """The brokers' addresses, a bare name meaning the pipeline's own namespace, the topics' prefix, and since when."""

    addresses: frozenset[str]
    prefix: str
    age: tuple[str, str]


class Claims:
    """What each pipeline claims, read once for each version of it. `waiting` are those that wait for another to go."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._known: dict[Key, tuple[tuple[str, int], _Claim]] = {}
        self.waiting: set[Key] = set()

    def rival(self, key: Key) -> str | None:
        """The older pipeline that has topics of the same names at the same broker, as namespace/name, or None."""
        self.waiting.discard(key)
        ours, everyone = self._claim(key), self._cache.keys()
        if ours is None:
            return None
        for other in everyone:
            theirs = self._claim(other)
            if other == key or theirs is None or theirs.prefix != ours.prefix or theirs.age >= ours.age:
                continue
            if ours.addresses & theirs.addresses:
                self.waiting.add(key)
                return "/".join(other)
        return None

    def forget(self, key: Key) -> None:
        """Of a pipeline that is gone."""
        self._known.pop(key, None)
        self.waiting.discard(key)

    def _claim(self, key: Key) -> _Claim | None:
        version, known = self._cache.version(key), self._known.get(key)
        if known is None or known[0] != version:
            pipeline = self._cache.pipeline(key)
            if version is None or pipeline is None:
                return None
            known = self._known[key] = (version, _claim_of(pipeline))
        return known[1]


def _claim_of(pipeline: Object) -> _Claim:
    metadata, spec = pipeline["metadata"], pipeline.get("spec") or {}
    broker: dict[str, Any] = spec.get("broker") or {}
    addresses = str(broker.get("bootstrapServers", "redpanda:9092")).split(",")
    namespace = metadata["namespace"]
    return _Claim(
        frozenset(address if "." in address.partition(":")[0] else f"{namespace}/{address}" for address in addresses),
        str(broker.get("topicPrefix") or metadata["name"]),
        (metadata["creationTimestamp"], metadata["uid"]),
    )
