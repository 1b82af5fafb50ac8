"""One operator at a time: a Lease that the one at work renews, and that any other waits for.

kopf's peering freezes operators of equal priority, all of them; with a Lease a second replica, by mistake or during a
rollout, stands by and takes over when the first is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from marketpipeline.errors import MarketPipelineError

from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import Conflict
from marketpipeline_operator.cluster.kinds import LEASE
from marketpipeline_operator.names import Object
from marketpipeline_operator.settings import LeaseSettings

__all__ = ["Lease"]

_log = logging.getLogger(__name__)
_SAFE = 2 / 3
"""Part of the lease's duration that its holder uses. The rest is for a write that the API server has received, and for
clocks that run at different speeds."""


class Lease:
    """The Lease, seen by one process that calls itself `identity`.

    Another's claim is timed by this process's own clock, from when its last renewal was seen: clocks of two machines
    need not agree. After each renewal `on_renewal` gets the time, by the monotonic clock, until which the holder may
    act: well before anybody else can take the Lease, whatever becomes of the next renewal.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        settings: LeaseSettings,
        identity: str,
        on_renewal: Callable[[float], None] = lambda until: None,
    ) -> None:
        self._kubernetes = kubernetes
        self._on_renewal = on_renewal
        self._settings = settings
        self._identity = identity
        self._seen: tuple[str, float] = ("", 0.0)
        self._taken = False
        self._until = 0.0

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        waiting = False
        while not await self._attempt():
            if not waiting:
                _log.info("another operator holds the lease; standing by", extra={"lease": self._settings.name})
            waiting = True
            await asyncio.sleep(self._settings.renew)
        _log.info("holding the lease", extra={"lease": self._settings.name, "identity": self._identity})

    async def hold(self) -> None:
        """Renew until the Lease is lost: then return, and the process must stop its work."""
        while (left := self._until - time.monotonic()) > 0:
            await asyncio.sleep(min(self._settings.renew, left))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                    if not await self._attempt() and self._taken:
                        break
        _log.error("the lease is lost", extra={"lease": self._settings.name})

    async def release(self) -> None:
        """Give it up, so that a successor need not wait."""
        try:
            found = await self._kubernetes.get(LEASE, self._settings.namespace, self._settings.name)
            if found and found["spec"].get("holderIdentity") == self._identity:
                found["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._put(found)
        except MarketPipelineError as error:
            _log.warning("lease not released", extra={"error": str(error)})

    async def _attempt(self) -> bool:
        """Take or renew it; False when another has it, or the API server does not say so."""
        began, self._taken = time.monotonic(), False
        try:
            found = await self._kubernetes.get(LEASE, self._settings.namespace, self._settings.name)
            if found is None:
                await self._kubernetes.create(LEASE, self._settings.namespace, self._claim({}))
            elif self._may_take(found):
                await self._put(self._claim(found))
            else:
                self._taken = True
                return False
        except Conflict:
            return False
        except MarketPipelineError as error:
            _log.warning("lease not reached", extra={"error": str(error)})
            return False
        self._until = began + self._settings.duration * _SAFE
        self._on_renewal(self._until)
        return True

    def _may_take(self, found: Object) -> bool:
        spec = found["spec"]
        holder = spec.get("holderIdentity")
        mark = f"{holder} {spec.get('renewTime')}"
        if mark != self._seen[0]:
            self._seen = (mark, time.monotonic())
        over = time.monotonic() - self._seen[1] > float(spec.get("leaseDurationSeconds", 0))
        return not holder or holder == self._identity or over

    def _claim(self, found: Object) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = found.get("spec", {})
        mine = before.get("holderIdentity") == self._identity
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": found.get("metadata", {"name": self._settings.name, "namespace": self._settings.namespace}),
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": round(self._settings.duration),
                "acquireTime": before.get("acquireTime", now) if mine else now,
                "renewTime": now,
                "leaseTransitions": before.get("leaseTransitions", 0) + (not mine),
            },
        }

    async def _put(self, lease: Object) -> None:
        await self._kubernetes.replace(LEASE, self._settings.namespace, self._settings.name, lease)
