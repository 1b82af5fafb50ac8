"""The status, written when it says something new, and events for what happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from marketpipeline_operator.builders import Context
from marketpipeline_operator.cluster.cache import Cache
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.events import Events
from marketpipeline_operator.flink.lifecycle import STATE_RESET, STATE_UNFIT
from marketpipeline_operator.names import IGNORE_SECRETS, Object, switched_on
from marketpipeline_operator.reconcile.children import Applied
from marketpipeline_operator.status.conditions import Findings, find, is_at_fault
from marketpipeline_operator.status.report import is_news, time_of

__all__ = ["StatusWriter", "without"]

_ANNOUNCED = ("Ready", "Degraded", "Paused")


class StatusWriter:
    """Writes statuses and posts events."""

    def __init__(
        self, kubernetes: Kubernetes, cache: Cache, events: Events, unknown: Callable[[], Iterable[str]]
    ) -> None:
        """`unknown` gives the fields that the cluster's CRD, an older one, does not know: with one of them the API
        server would refuse the status as a whole.
        """
        self._kubernetes = kubernetes
        self._cache = cache
        self._events = events
        self._unknown = unknown

    async def write(self, pipeline: Object, status: Object) -> None:
        """Write the status when it says something new, and an event for each condition that turned."""
        for path in self._unknown():
            status = without({"status": status}, path.split("."))["status"]
        if not is_news(status, pipeline.get("status") or {}, time_of(time.time())):
            return
        metadata = {key: pipeline["metadata"][key] for key in ("name", "namespace", "uid")}
        thing = {"apiVersion": pipeline["apiVersion"], "kind": pipeline["kind"], "metadata": metadata, "status": status}
        answer = await self._kubernetes.apply(thing, force=True, subresource="status")
        self._cache.put(answer)
        for condition in status.get("conditions", []):
            if condition["type"] in _ANNOUNCED and _is_news(condition, find(pipeline, condition["type"])):
                text = f"{condition['type']} is {condition['status']}: {condition['message'] or condition['reason']}"
                bad = condition["type"] == "Degraded" and condition["status"] == "True"
                bad |= condition["type"] == "Ready" and is_at_fault(condition)
                once = condition["lastTransitionTime"]
                await self._events.post(pipeline, condition["reason"], text, warning=bad, once=once)

    async def tell(self, pipeline: Object, context: Context, applied: Applied, found: Findings, now: str) -> None:
        """Events for what was written, here and at the topics."""
        topics = found.topics
        done = {
            "Created": ("created", applied.created),
            "Updated": ("updated", applied.updated),
            "Removed": ("removed", applied.removed),
            "TopicsCreated": ("created topics", topics.created),
            "TopicsChanged": ("changed topics", topics.changed),
        }
        for reason, (words, things) in done.items():
            if things:
                await self._events.post(pipeline, reason, f"{words} {', '.join(things)}")
        if applied.restored:
            await self._events.post(pipeline, "Restored", f"put back {', '.join(applied.restored)}", once=now)
        if topics.thresholds and topics.thresholds != (pipeline.get("status") or {}).get("topics", {}).get(
            "thresholds"
        ):
            text = f"wrote the thresholds of {len(context.plan.thresholds)} symbols to the thresholds topic"
            await self._events.post(pipeline, "ThresholdsWritten", text)
        await self._tell_secrets(pipeline, context, found)
        known = [(entry["name"], entry.get("since")) for entry in (pipeline.get("status") or {}).get("scaling", [])]
        for entry in found.scaling:
            if "since" in entry and (entry["name"], entry["since"]) not in known:
                await self._events.post(pipeline, "Scaled", f"{entry['name']} {entry['reason']}", once=entry["since"])
        for reason, message in found.job.events:
            await self._events.post(pipeline, reason, message, warning=reason in (STATE_RESET, STATE_UNFIT))
        if found.maintenance:
            names, opens = ", ".join(found.maintenance["pending"]), found.maintenance["opens"]
            text = f"restarts wait for the maintenance window of {opens}: {names}"
            await self._events.post(pipeline, "MaintenancePending", text, once=opens)
        for reason, message in found.savepoints.events:
            await self._events.post(pipeline, reason, message, once="savepoint")

    async def _tell_secrets(self, pipeline: Object, context: Context, found: Findings) -> None:
        known = {entry["name"]: entry["version"] for entry in (pipeline.get("status") or {}).get("secrets", [])}
        for name, version in ((entry["name"], entry["version"]) for entry in found.secrets):
            if known.get(name, version) == version:
                continue
            text = f"Secret {name} has changed; the Pods that read it are replaced"
            if context.pipeline.spec.maintenance.windows:
                text += ", within a maintenance window unless they are not ready"
            if switched_on(pipeline, IGNORE_SECRETS):
                text = f"Secret {name} has changed; {IGNORE_SECRETS} keeps the Pods as they are"
            await self._events.post(pipeline, "SecretChanged", text, once=version)


def without(thing: Any, path: Sequence[str]) -> Any:
    """A copy without the field at `path`; in a list, without it in each entry."""
    if isinstance(thing, list):
        return [without(entry, path) for entry in thing]
    if not isinstance(thing, dict) or path[0] not in thing:
        return thing
    kept = {key: value for key, value in thing.items() if key != path[0]}
    return kept if len(path) == 1 else thing | {path[0]: without(thing[path[0]], path[1:])}


def _is_news(condition: Object, before: Object) -> bool:
    """Whether it changed; the first `Degraded is False` of a new pipeline is not news."""
    turned = (condition["status"], condition["reason"]) != (before.get("status"), before.get("reason"))
    quiet = condition["type"] != "Ready" and condition["status"] == "False" and before.get("status") != "True"
    return turned and not quiet
