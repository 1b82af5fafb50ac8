"""The operator as a whole: what the watches see goes into the cache, and the pipelines concerned into the queue.

It also checks itself: from time to time it lists everything and compares, so that a watch which has died silently is
noticed; and it exits when the cluster serves kinds that it does not watch yet, to be restarted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import replace

from marketpipeline.errors import MarketPipelineError

from marketpipeline_operator.builders.context import Capabilities
from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.discovery import (
    capabilities_of,
    discover,
    flink_namespaces,
    is_openshift,
    outdated_fields,
)
from marketpipeline_operator.cluster.events import Events
from marketpipeline_operator.cluster.kinds import AUTOSCALER, CHILD_KINDS, PIPELINE_KIND, POD, Kind, kind_of
from marketpipeline_operator.flink.rest import FlinkRest
from marketpipeline_operator.names import FIELD_MANAGER, MANAGED_BY, Object
from marketpipeline_operator.observe.health import HealthMonitor
from marketpipeline_operator.reconcile.queue import Queue
from marketpipeline_operator.reconcile.reconciler import Reconciler
from marketpipeline_operator.settings import OperatorSettings

__all__ = ["Operator"]

_log = logging.getLogger(__name__)
_GRACE_SECONDS = 10.0
"""How long a watch may take to deliver what a listing shows."""


class Operator:
    """Belongs to the event loop. `seen`, `gone` and `synced` are what the handlers call."""

    def __init__(self, kubernetes: Kubernetes, settings: OperatorSettings, instance: str) -> None:
        self._kubernetes = kubernetes
        self._settings = settings
        self.cache = Cache()
        events = Events(kubernetes, instance)
        self.health = HealthMonitor(
            self.cache, self.wake, settings.reconcile.health_interval, settings.reconcile.silent_after
        )
        self.reconciler = Reconciler(kubernetes, self.cache, events, settings, FlinkRest(), self.health, self.wake)
        self.queue = Queue(self.reconciler.reconcile, settings.reconcile)
        self.kinds: frozenset[Kind] = frozenset()
        self.deaf_since: float | None = None
        self._synced = False
        self._before: set[Key] = set()

    async def look_around(self) -> None:
        """Discover what the cluster serves. Raises the errors of `cluster.errors`."""
        self.kinds = await discover(self._kubernetes)
        found = capabilities_of(self.kinds, openshift=await is_openshift(self._kubernetes))
        self.reconciler.capabilities = found = await self._with_flink(found)
        if found.flink and not (found.flink_namespaces or self._settings.flink.operator_namespace):
            lacks = {"setting": "flink.operator_namespace", "taken": self._settings.lease.namespace}
            _log.warning("the namespace of Flink's operator is not known: it may be kept from its jobs", extra=lacks)
        self.reconciler.outdated = await outdated_fields(self._kubernetes)
        if self.reconciler.outdated:
            _log.error("the cluster's CRD is of an older version", extra={"lacks": self.reconciler.outdated})

    async def _with_flink(self, found: Capabilities) -> Capabilities:
        """With the namespaces that operators of Flink are in, or were when they could last be found; who serves some
        namespaces has no right to look into others."""
        if not found.flink or self._settings.namespaces or self._settings.flink.operator_namespace:
            return found
        places = await flink_namespaces(self._kubernetes) or self.reconciler.capabilities.flink_namespaces
        return replace(found, flink_namespaces=places)

    @property
    def watched(self) -> tuple[Kind, ...]:
        """Kinds of children, and of what acts on them, to watch."""
        return (*CHILD_KINDS, POD, AUTOSCALER, *sorted(self.kinds, key=lambda kind: kind.kind))

    def seen(self, thing: Object) -> None:
        """Remember an object; look at its pipeline if it is news."""
        if key := self.cache.put(thing):
            self._news(key, thing)

    def gone(self, thing: Object) -> None:
        """Forget an object; look at its pipeline, and at those that wait for it to go."""
        if key := self.cache.drop(thing):
            self._news(key, thing)

    def _news(self, key: Key, thing: Object) -> None:
        self.wake(key)
        if kind_of(thing) == PIPELINE_KIND:
            for other in tuple(self.reconciler.ownership.waiting):
                self.wake(other)

    def synced(self) -> None:
        """Passes run from now on; before, they would take objects for missing that are only not listed yet."""
        if not self._synced:
            self._synced = True
            for key in self._before:
                self.queue.add(key)
            self._before.clear()

    def wake(self, key: Key) -> None:
        """Look at a pipeline."""
        if self._synced:
            self.queue.add(key)
        else:
            self._before.add(key)

    @property
    def alive(self) -> bool:
        """Whether work makes progress: nothing waits too long, and the watches deliver."""
        return self.queue.oldest() < self._settings.reconcile.stalled_after and self.deaf_since is None

    async def keep_watch(self) -> None:
        """Compare with full listings, for ever; returns when the operator has to be restarted."""
        while True:
            await asyncio.sleep(self._settings.reconcile.resync)
            try:
                if await discover(self._kubernetes) != self.kinds:
                    _log.warning("the cluster serves other kinds than before; restarting")
                    return
                self.reconciler.outdated = await outdated_fields(self._kubernetes)
                self.reconciler.capabilities = await self._with_flink(self.reconciler.capabilities)
                await self._resync()
            except MarketPipelineError as error:
                _log.warning("no listing", extra={"error": str(error)})

    async def _resync(self) -> None:
        for kind in (PIPELINE_KIND, *self.watched):
            found = await self._listing(kind)
            stale, gone = self.cache.stale(kind, found), self.cache.gone_from(kind, found)
            if not stale and not gone:
                continue
            await asyncio.sleep(_GRACE_SECONDS)
            stale &= self.cache.stale(kind, found)
            if gone:  # what was created during the listing is in a new one
                gone &= self.cache.gone_from(kind, await self._listing(kind))
            if stale or gone:
                _log.error("a watch does not deliver changes", extra={"kind": kind.kind})
                self.deaf_since = self.deaf_since or time.monotonic()

    async def _listing(self, kind: Kind) -> list[Object]:
        namespaces: Collection[str | None] = self._settings.namespaces or [None]
        selector = None if kind == PIPELINE_KIND else f"{MANAGED_BY}={FIELD_MANAGER}"
        return [
            {"metadata": _marks(thing), "apiVersion": thing["apiVersion"], "kind": thing["kind"]}
            for namespace in namespaces
            async for thing in self._kubernetes.list(kind, namespace, selector)
        ]

    async def close(self) -> None:
        """Stop all work."""
        await self.queue.close()
        self.reconciler.close()


def _marks(thing: Object) -> Object:
    metadata = thing["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "labels")
    return {name: metadata[name] for name in names if name in metadata}
