"""Which of several pipelines owns topics that they all name: the one that made them, else the oldest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.names import Object

__all__ = ["TopicOwnership"]


class _Claim(NamedTuple):
    """The topics' prefix at each of the broker's addresses, and what decides who has them: the lesser `rank`."""

    topics: frozenset[str]
    rank: tuple[bool, str, str]
    leaving: bool


class TopicOwnership:
    """Who owns which topics. `waiting` are the pipelines that wait for another to go."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._claims: dict[Key, _Claim] = {}
        self._claimed: dict[str, set[Key]] = {}
        """By address and prefix of topics: who names them."""
        self.waiting: set[Key] = set()

    def owner_before(self, key: Key) -> str | None:
        """The pipeline that has topics of the same names at the same broker before this one, as namespace/name."""
        self.waiting.discard(key)
        for other, theirs in self._same(key):
            if theirs.rank < self._claims[key].rank:
                self.waiting.add(key)
                return "/".join(other)
        return None

    def shared_with(self, key: Key) -> str | None:
        """Any pipeline that is to stay and wants topics of the same names at the same broker, as namespace/name."""
        return next(("/".join(other) for other, theirs in self._same(key) if not theirs.leaving), None)

    def _same(self, key: Key) -> Iterator[tuple[Key, _Claim]]:
        self._look()
        ours = self._claims.get(key)
        others = {other for topics in ours.topics for other in self._claimed[topics]} if ours else set()
        for other in sorted(others - {key}):
            yield other, self._claims[other]

    def _look(self) -> None:
        """Take up what has changed of pipelines."""
        for key in self._cache.changes():
            if before := self._claims.pop(key, None):
                for topics in before.topics:
                    self._claimed[topics].discard(key)
                    if not self._claimed[topics]:
                        del self._claimed[topics]
            if pipeline := self._cache.pipeline(key):
                claim = self._claims[key] = _claim_of(pipeline)
                for topics in claim.topics:
                    self._claimed.setdefault(topics, set()).add(key)

    def forget(self, key: Key) -> None:
        """Of a pipeline that is gone."""
        self.waiting.discard(key)


def _claim_of(pipeline: Object) -> _Claim:
    metadata, spec = pipeline["metadata"], pipeline.get("spec") or {}
    broker: dict[str, Any] = spec.get("broker") or {}
    addresses = str(broker.get("bootstrapServers", "redpanda:9092")).split(",")
    made = bool(((pipeline.get("status") or {}).get("topics") or {}).get("applied"))
    prefix = broker.get("topicPrefix") or metadata["name"]
    return _Claim(
        frozenset(f"{_full_name(address, metadata['namespace'])}/{prefix}" for address in addresses),
        (not made, metadata["creationTimestamp"], metadata["uid"]),
        "deletionTimestamp" in metadata,
    )


def _full_name(address: str, namespace: str) -> str:
    """One spelling of an address: a Service's short names are those of the pipeline's namespace; `[::1]` is no name."""
    host, _, port = address.strip().rpartition(":")
    for end in (".svc.cluster.local", ".svc"):
        host = host.removesuffix(end)
    return f"{host if '.' in host or ':' in host else f'{host}.{namespace}'}:{port}"
