"""Applying what a pipeline wants, one child at a time, and removing what it wants no more."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from marketpipeline.errors import MarketPipelineError, RetryableError

from marketpipeline_operator.cluster.cache import Cache, Child, Key
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import Conflict
from marketpipeline_operator.cluster.kinds import TOPIC_KINDS, kind_of
from marketpipeline_operator.names import RENDERED, Object
from marketpipeline_operator.reconcile.diff import difference

__all__ = ["Applied", "Matched", "apply_children", "remove_orphans"]

_log = logging.getLogger(__name__)
_DATA = frozenset(kind.kind for kind in TOPIC_KINDS)

Matched = dict[tuple[str, str], tuple[Child, str]]
"""By kind and name: a child that was as wanted, and the hash of what was wanted."""


@dataclass
class Applied:
    """What a pass wrote. `restored` are children that were deleted or edited by somebody else."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    errors: list[MarketPipelineError] = field(default_factory=list)

    @property
    def writes(self) -> int:
        """Children that were written."""
        return len(self.created) + len(self.updated) + len(self.restored) + len(self.removed)


async def apply_children(
    kubernetes: Kubernetes,
    cache: Cache,
    key: Key,
    uid: str,
    wanted: Sequence[Object],
    applied: Applied,
    matched: Matched,
) -> None:
    """Write each child that is absent or not as wanted; one that fails does not keep the others from being written."""
    there = cache.children(key)
    for thing in wanted:
        kind, name = mark = thing["kind"], thing["metadata"]["name"]
        known, rendered = there.get(mark), thing["metadata"]["annotations"][RENDERED]
        if known is not None and matched.get(mark) == (known, rendered):
            continue
        live = known.body if known else None
        path = difference(thing, live) if live else "absent"
        if known is not None and path is None:
            matched[mark] = (known, rendered)
            continue
        try:
            if live is not None:
                _refuse_leftover(live, uid, kind in _DATA)
            answer = await _apply(kubernetes, thing, uid, known is not None)
        except MarketPipelineError as error:
            applied.errors.append(error)
            continue
        cache.put(answer)
        place = applied.created if live is None else applied.updated if path == "desired state" else applied.restored
        place.append(f"{kind} {name}")
        _log.info("applied", extra={"pipeline_key": "/".join(key), "child": f"{kind} {name}", "because": path})


async def _apply(kubernetes: Kubernetes, thing: Object, uid: str, known: bool) -> Object:
    """Take over what is ours; an object of the same name that somebody else made is left alone."""
    if known:
        return await kubernetes.apply(thing, force=True)
    try:
        return await kubernetes.apply(thing, force=False)
    except Conflict as conflict:
        metadata = thing["metadata"]
        found = await kubernetes.get(kind_of(thing), metadata["namespace"], metadata["name"])
        owners = {owner["uid"] for owner in (found or {}).get("metadata", {}).get("ownerReferences", [])}
        if found is None or uid in owners:
            return await kubernetes.apply(thing, force=True)
        raise RetryableError(
            f"{thing['kind']} {metadata['name']} exists and is not this pipeline's; "
            f"rename the pipeline, or delete it so that it can be made ({conflict})"
        ) from conflict


def _refuse_leftover(live: Object, uid: str, data: bool) -> None:
    """A child on its way out, or of a pipeline of this name before: it has to be gone first."""
    metadata = live["metadata"]
    what = f"{live['kind']} {metadata['name']}"
    if metadata.get("deletionTimestamp"):
        raise RetryableError(f"{what} is being deleted; it is made again when it is gone", 1.0)
    owners = {owner["uid"] for owner in metadata.get("ownerReferences", []) if owner.get("controller")}
    if owners and uid not in owners and not data:
        raise RetryableError(f"{what} belongs to a pipeline of this name that is gone; the cluster removes it", 1.0)


async def remove_orphans(
    kubernetes: Kubernetes, cache: Cache, key: Key, uid: str, kept: Collection[tuple[str, str]], applied: Applied
) -> None:
    """Delete our children that are not among `kept`; topics are data and stay."""
    for mark, child in cache.children(key).items():
        if mark in kept or mark[0] in _DATA or not _is_ours(child, uid):
            continue
        try:
            await kubernetes.delete(child.kind, child.namespace, child.name, child.uid)
        except MarketPipelineError as error:
            applied.errors.append(error)
            continue
        applied.removed.append(f"{mark[0]} {mark[1]}")


def _is_ours(child: Child, uid: str) -> bool:
    metadata = child.body["metadata"]
    owners = {owner["uid"] for owner in metadata.get("ownerReferences", [])}
    return uid in owners and "deletionTimestamp" not in metadata
