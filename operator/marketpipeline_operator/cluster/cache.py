"""What the watches have seen: every pipeline, and every child that carries our label.

A pass over a pipeline reads this and not the API server. Objects are kept packed. Events are ordered by
resourceVersion, so that what the operator has just written is not replaced by an older event that was still on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from marketpipeline_operator.cluster.kinds import AUTOSCALER, PIPELINE_KIND, POD, TOPIC_KINDS, Kind, kind_of
from marketpipeline_operator.names import NAMESPACE, PIPELINE, Object
from marketpipeline_operator.packed import pack, unpack

__all__ = ["Cache", "Child", "Key"]

_TOPICS = frozenset(kind.kind for kind in TOPIC_KINDS)

Key = tuple[str, str]
"""Namespace and name of a pipeline."""

_HEALTH = "/health"


@dataclass(frozen=True, slots=True)
class Child:
    """A child as it was last seen."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    version: int
    data: bytes
    health_url: str | None = None
    """Of a ready Pod: where its process says how it is."""

    @property
    def body(self) -> Object:
        """The object, without what nobody here reads."""
        found: Object = unpack(self.data)
        return found


class Cache:
    """Pipelines and children by key. Not thread-safe: it belongs to the event loop."""

    def __init__(self) -> None:
        self._pipelines: dict[Key, Child] = {}
        self._children: dict[Key, dict[tuple[str, str], Child]] = {}
        self._scaled: dict[str, tuple[str, str]] = {}
        """By uid of an autoscaler: namespace and name of the Deployment that it scales."""
        self._asked: dict[str, tuple[Key, str]] = {}
        self._changed: set[Key] = set()

    def put(self, thing: Object) -> Key | None:
        """Remember an object; the key of its pipeline when that is news, None when it is not."""
        metadata, kind = thing["metadata"], kind_of(thing)
        if kind == AUTOSCALER:
            return self._put_autoscaler(thing)
        key = self.key_of(thing)
        if key is None:
            return None
        place = self._pipelines if kind == PIPELINE_KIND else self._children.setdefault(key, {})
        mark = key if kind == PIPELINE_KIND else (kind.kind, metadata["name"])
        version = int(metadata["resourceVersion"])
        known = place.get(mark)
        if known is not None and known.uid == metadata["uid"] and known.version >= version:
            return None
        data = pack(_trimmed(thing, kind))
        url = _health_url(thing) if kind == POD else None
        place[mark] = Child(kind, metadata["namespace"], metadata["name"], metadata["uid"], version, data, url)
        self._note(key, kind, known, place[mark])
        return key

    def drop(self, thing: Object) -> Key | None:
        """Forget an object that is gone; the key of its pipeline, None when it was not known or is another by now."""
        metadata, kind = thing["metadata"], kind_of(thing)
        if kind == AUTOSCALER:
            target = self._scaled.pop(metadata["uid"], None)
            return self._owner_of(target) if target else None
        key = self.key_of(thing)
        if key is None:
            return None
        place = self._pipelines if kind == PIPELINE_KIND else self._children.get(key, {})
        mark = key if kind == PIPELINE_KIND else (kind.kind, metadata["name"])
        known = place.get(mark)
        if known is None or known.uid != metadata["uid"]:
            return None
        del place[mark]
        self._note(key, kind, known, None)
        return key

    def _note(self, key: Key, kind: Kind, before: Child | None, now: Child | None) -> None:
        """Keep what is looked up across all pipelines: where Pods are asked, which pipelines have changed."""
        if before is not None and before.health_url:
            self._asked.pop(before.uid, None)
        if now is not None and now.health_url:
            self._asked[now.uid] = (key, now.health_url)
        if kind == PIPELINE_KIND:
            self._changed.add(key)

    def _put_autoscaler(self, thing: Object) -> Key | None:
        reference, metadata = thing["spec"]["scaleTargetRef"], thing["metadata"]
        target = (metadata["namespace"], reference["name"])
        if reference["kind"] != "Deployment" or self._scaled.get(metadata["uid"]) == target:
            return None
        self._scaled[metadata["uid"]] = target
        return self._owner_of(target)

    def _owner_of(self, target: tuple[str, str]) -> Key | None:
        namespace, name = target
        mine = (key for key in self._children if key[0] == namespace)
        return next((key for key in mine if ("Deployment", name) in self._children[key]), None)

    def is_scaled(self, namespace: str, name: str) -> bool:
        """Whether an autoscaler that is not ours scales a Deployment."""
        return (namespace, name) in self._scaled.values()

    @staticmethod
    def key_of(thing: Object) -> Key | None:
        """The pipeline that an object is or belongs to by its labels; only a topic may be in another namespace."""
        metadata = thing["metadata"]
        if thing["kind"] == PIPELINE_KIND.kind:
            return metadata["namespace"], metadata["name"]
        marks = metadata.get("labels") or {}
        name, place = marks.get(PIPELINE), metadata["namespace"]
        if thing["kind"] in _TOPICS:
            place = marks.get(NAMESPACE, place)
        return (place, name) if name else None

    def pipeline(self, key: Key) -> Object | None:
        """A pipeline's object."""
        found = self._pipelines.get(key)
        return found.body if found else None

    def pipelines(self) -> list[tuple[Key, Child]]:
        """All pipelines as they were last seen."""
        return list(self._pipelines.items())

    def changes(self) -> set[Key]:
        """Pipelines that came, went or became others since the last call."""
        found, self._changed = self._changed, set()
        return found

    def keys(self) -> list[Key]:
        """The keys of all pipelines."""
        return list(self._pipelines)

    def children(self, key: Key, *, pods: bool = False) -> dict[tuple[str, str], Child]:
        """Children of a pipeline by (kind, name), Pods left out unless they are asked for."""
        return {mark: child for mark, child in self._children.get(key, {}).items() if pods or child.kind != POD}

    def child(self, key: Key, kind: str, name: str) -> Object | None:
        """One child's object."""
        found = self._children.get(key, {}).get((kind, name))
        return found.body if found else None

    def pods(self, key: Key) -> list[Object]:
        """Pods of a pipeline."""
        return [child.body for child in self._children.get(key, {}).values() if child.kind == POD]

    def health_urls(self) -> Mapping[str, tuple[Key, str]]:
        """By uid of each ready Pod: its pipeline, and where its process says how it is."""
        return self._asked

    def forget(self, key: Key) -> None:
        """Drop an empty entry of a pipeline that is gone."""
        if not self._children.get(key):
            self._children.pop(key, None)

    def stale(self, kind: Kind, listed: Iterable[Object]) -> set[str]:
        """Of a listing: the uids of objects that are newer than what is known of them."""
        versions = self._versions(kind)
        mine = [thing["metadata"] for thing in listed if self.key_of(thing)]
        return {m["uid"] for m in mine if versions.get(m["uid"], -1) < int(m["resourceVersion"])}

    def gone_from(self, kind: Kind, listed: Iterable[Object]) -> set[str]:
        """Of a listing: the uids that are known and not in it."""
        return set(self._versions(kind)) - {thing["metadata"]["uid"] for thing in listed}

    def _versions(self, kind: Kind) -> dict[str, int]:
        known = self._pipelines.values() if kind == PIPELINE_KIND else self._all_children(kind)
        return {child.uid: child.version for child in known}

    def _all_children(self, kind: Kind) -> Iterator[Child]:
        for children in self._children.values():
            yield from (child for child in children.values() if child.kind == kind)


def _health_url(pod: Object) -> str | None:
    """Where a ready Pod says how it is, where it is a process of ours: on the port that its readiness probe asks."""
    status, spec = pod.get("status", {}), pod.get("spec") or {}
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    address, containers = status.get("podIP"), spec.get("containers") or [{}]
    probe = (containers[0].get("readinessProbe") or {}).get("httpGet") or {}
    numbers = {port.get("name"): port["containerPort"] for port in containers[0].get("ports", [])}
    port = numbers.get(probe.get("port"), probe.get("port"))
    if not ready or not address or "deletionTimestamp" in pod["metadata"]:
        return None
    if not str(probe.get("path")).startswith(_HEALTH):  # of ingestion it is below: whether it is in sync
        return None
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}{_HEALTH}"


def _trimmed(thing: Object, kind: Kind) -> Object:
    metadata = {key: value for key, value in thing["metadata"].items() if key != "managedFields"}
    if kind == POD:
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": thing.get("status", {})}
    return {**thing, "metadata": metadata}
