"""Applying what a pipeline wants, one child at a time, and removing what it wants no more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from marketpipeline.errors import MarketPipelineError, RetryableError

from marketpipeline_operator.cluster.cache import Cache, Child, Key
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import Conflict
from marketpipeline_operator.cluster.kinds import SERVICE_ACCOUNT, TOPIC_KINDS, kind_of
from marketpipeline_operator.names import FIELD_MANAGER, MANAGED_BY, RENDERED, Object, is_owned
from marketpipeline_operator.reconcile.diff import Matched, difference

__all__ = ["Applied", "apply_children", "remove_orphans"]

_log = logging.getLogger(__name__)
_DATA = frozenset(kind.kind for kind in TOPIC_KINDS)


@dataclass
class Applied:
    """What a pass wrote. `restored` are children that were deleted or edited by somebody else, `deferred` those whose
    change waits for a maintenance window."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)
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
    unseen = await _unseen(kubernetes, [thing for thing in wanted if _mark(thing) not in there])
    for thing in wanted:
        kind, name = mark = _mark(thing)
        known, rendered = there.get(mark), thing["metadata"]["annotations"][RENDERED]
        scaled = kind == "Deployment" and cache.is_scaled(thing["metadata"]["namespace"], name)
        rendered += "/scaled" if scaled else ""
        if known is not None and matched.get(mark) == (known, rendered):
            continue
        live = known.body if known else unseen.get(mark)
        if isinstance(live, MarketPipelineError):
            applied.errors.append(live)
            continue
        if live is not None and scaled:
            thing = _with_replicas_of(live, thing)
        path = difference(thing, live) if live else "absent"
        if known is not None and path is None:
            matched[mark] = (known, rendered)
            continue
        try:
            answer = await _apply(kubernetes, thing, uid, live)
        except MarketPipelineError as error:
            applied.errors.append(error)
            continue
        cache.put(answer)
        place = applied.created if live is None else applied.updated if path == "desired state" else applied.restored
        place.append(f"{kind} {name}")
        _log.info("applied", extra={"pipeline_key": "/".join(key), "child": f"{kind} {name}", "because": path})


def _mark(thing: Object) -> tuple[str, str]:
    return thing["kind"], thing["metadata"]["name"]


async def _unseen(
    kubernetes: Kubernetes, things: Sequence[Object]
) -> dict[tuple[str, str], Object | MarketPipelineError]:
    """What is there of children that the watches do not know, all looked for at once: an object without our label is
    not watched. By kind and name the object, or why it is not known."""

    async def look(thing: Object) -> Object | MarketPipelineError | None:
        try:
            return await kubernetes.get(kind_of(thing), thing["metadata"]["namespace"], thing["metadata"]["name"])
        except MarketPipelineError as error:
            return error

    found = await asyncio.gather(*map(look, things))
    return {_mark(thing): live for thing, live in zip(things, found, strict=True) if live is not None}


def _with_replicas_of(live: Object, thing: Object) -> Object:
    """A Deployment that an autoscaler scales keeps its number of replicas, unless it is to stop or resumes."""
    there, wanted = live["spec"].get("replicas", 1), thing["spec"]["replicas"]
    changed = live["metadata"].get("annotations", {}).get(RENDERED) != thing["metadata"]["annotations"][RENDERED]
    if wanted == 0 or (there == 0 and changed):
        return thing
    return thing | {"spec": thing["spec"] | {"replicas": there}}


async def _apply(kubernetes: Kubernetes, thing: Object, uid: str, live: Object | None) -> Object:
    """Write a child; an object of the same name that somebody else made is refused, never adopted."""
    metadata = thing["metadata"]
    if live is None:
        return await _create(kubernetes, thing)
    data = thing["kind"] in _DATA
    _refuse_leftover(live, uid, data)
    if data or not is_owned(live["metadata"], uid):
        live = await kubernetes.get(kind_of(thing), metadata["namespace"], metadata["name"]) or live
        if not _is_made_by_us(live):
            raise _foreign(thing)
    return await kubernetes.apply(thing, force=True)


async def _create(kubernetes: Kubernetes, thing: Object) -> Object:
    """Create by an apply, as only what is applied can be taken back field by field. Where somebody else was quicker,
    nothing of theirs is overwritten, and what was added to it is removed again."""
    try:
        answer = await kubernetes.apply(thing, force=False)
    except Conflict as conflict:
        raise _foreign(thing) from conflict
    if {entry["manager"] for entry in answer["metadata"].get("managedFields", [])} - {FIELD_MANAGER}:
        names = {key: thing["metadata"][key] for key in ("name", "namespace")}
        nothing = {"apiVersion": thing["apiVersion"], "kind": thing["kind"], "metadata": names}
        await kubernetes.apply(nothing, force=False)
        raise _foreign(thing)
    return answer


def _is_made_by_us(live: Object) -> bool:
    """Whether this operator applied the object, whatever became of its labels and owners since."""
    applied = {
        entry.get("manager")
        for entry in live["metadata"].get("managedFields", [])
        if entry.get("operation") == "Apply" and not entry.get("subresource")
    }
    return FIELD_MANAGER in applied


def _foreign(thing: Object) -> RetryableError:
    return RetryableError(
        f"{thing['kind']} {thing['metadata']['name']} exists and is not this pipeline's; "
        "rename the pipeline, or delete the object so that the operator can create its own"
    )


def _refuse_leftover(live: Object, uid: str, data: bool) -> None:
    """A child on its way out, or of an earlier pipeline of this name: it has to be gone first."""
    metadata = live["metadata"]
    what = f"{live['kind']} {metadata['name']}"
    if metadata.get("deletionTimestamp"):
        raise RetryableError(f"{what} is being deleted; it is created again when it is gone", 1.0)
    labelled = (metadata.get("labels") or {}).get(MANAGED_BY) == FIELD_MANAGER
    owners = {owner["uid"] for owner in metadata.get("ownerReferences") or [] if owner.get("controller")}
    if labelled and owners and uid not in owners and not data:
        raise RetryableError(f"{what} belongs to an earlier pipeline of this name; the cluster removes it", 1.0)


async def remove_orphans(
    kubernetes: Kubernetes, cache: Cache, key: Key, uid: str, kept: Collection[tuple[str, str]], applied: Applied
) -> None:
    """Delete our children that are not among `kept`; topics are data and stay."""
    for mark, child in cache.children(key).items():
        # A ServiceAccount goes with its pipeline and never before it: the operator has no right to delete one.
        if mark in kept or mark[0] in _DATA or mark[0] == SERVICE_ACCOUNT.kind or not _is_ours(child, uid):
            continue
        try:
            await kubernetes.delete(child.kind, child.namespace, child.name, child.uid)
        except MarketPipelineError as error:
            applied.errors.append(error)
            continue
        applied.removed.append(f"{mark[0]} {mark[1]}")


def _is_ours(child: Child, uid: str) -> bool:
    body = child.body
    return is_owned(body["metadata"], uid) and "deletionTimestamp" not in body["metadata"]
