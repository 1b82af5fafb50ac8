"""Which of several pipelines owns topics that they all name: the one that made them, else the oldest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.names import Object

__all__ = ["TopicOwnership"]


class _Claim(NamedTuple):
    """The brokers' addresses, the topics' prefix, and what decides who has them: the lesser `rank`."""

    addresses: frozenset[str]
    prefix: str
    rank: tuple[bool, str, str]
    leaving: bool


class TopicOwnership:
    """Who owns which topics. `waiting` are the pipelines that wait for another to go."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._known: dict[Key, tuple[tuple[str, int], _Claim]] = {}
        self.waiting: set[Key] = set()

    def owner_before(self, key: Key) -> str | None:
        """The pipeline that has topics of the same names at the same broker before this one, as namespace/name."""
        self.waiting.discard(key)
        ours = self._claim(key)
        for other, theirs in self._same(key):
            if ours is not None and theirs.rank < ours.rank:
                self.waiting.add(key)
                return "/".join(other)
        return None

    def shared_with(self, key: Key) -> str | None:
        """Any pipeline that is to stay and wants topics of the same names at the same broker, as namespace/name."""
        return next(("/".join(other) for other, theirs in self._same(key) if not theirs.leaving), None)

    def _same(self, key: Key) -> Iterator[tuple[Key, _Claim]]:
        ours, everyone = self._claim(key), self._cache.keys()
        for other in everyone if ours is not None else ():
            theirs = self._claim(other)
            if other == key or ours is None or theirs is None or theirs.prefix != ours.prefix:
                continue
            if ours.addresses & theirs.addresses:
                yield other, theirs

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
    made = bool(((pipeline.get("status") or {}).get("topics") or {}).get("applied"))
    return _Claim(
        frozenset(_full_name(address, metadata["namespace"]) for address in addresses),
        str(broker.get("topicPrefix") or metadata["name"]),
        (not made, metadata["creationTimestamp"], metadata["uid"]),
        "deletionTimestamp" in metadata,
    )


def _full_name(address: str, namespace: str) -> str:
    """One spelling of an address: a Service's short names are those of the pipeline's namespace."""
    host, _, port = address.strip().partition(":")
    for end in (".svc.cluster.local", ".svc"):
        host = host.removesuffix(end)
    return f"{host if '.' in host else f'{host}.{namespace}'}:{port}"
