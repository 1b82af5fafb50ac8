"""Events of a pipeline, for `kubectl describe`: posted through the API, bounded, and once each.

An event's name follows from what it says, so that an operator that restarts does not repeat it within the hour that
events live.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from datetime import UTC, datetime

from marketpipeline.errors import MarketPipelineError

from marketpipeline_operator.builders.context import digest
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import Conflict
from marketpipeline_operator.cluster.kinds import EVENT
from marketpipeline_operator.names import FIELD_MANAGER, Object

__all__ = ["Events"]

_log = logging.getLogger(__name__)
_REMEMBERED = 10_000
_LONGEST = 1_000


class Events:
    """Posts events; one that cannot be posted is logged and forgotten, since it is not a reason to stop the work."""

    def __init__(self, kubernetes: Kubernetes, instance: str) -> None:
        self._kubernetes = kubernetes
        self._instance = instance
        self._said: OrderedDict[str, None] = OrderedDict()

    async def post(
        self, pipeline: Object, reason: str, message: str, *, warning: bool = False, once: str = "", about: str = ""
    ) -> None:
        """Say `message` of `pipeline`. The same is said once for each `once`, by default for each generation.

        Two messages of one reason that are `about` the same, where it is given, count as the same.
        """
        metadata = pipeline["metadata"]
        mark = digest([reason, about or message, once or metadata.get("generation")])
        name = f"{metadata['name']}.{metadata['uid'][:8]}.{mark}"
        if name in self._said:
            return
        self._said[name] = None
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        try:
            await self._kubernetes.create(
                EVENT, metadata["namespace"], self._event(pipeline, name, reason, message, warning)
            )
        except Conflict:
            pass  # said by an operator before this one
        except MarketPipelineError as error:
            _log.warning("event not posted", extra={"reason": reason, "error": str(error)})

    def _event(self, pipeline: Object, name: str, reason: str, message: str, warning: bool) -> Object:
        metadata = pipeline["metadata"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": pipeline["apiVersion"],
                "kind": pipeline["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "reason": reason,
            "message": message[:_LONGEST],
            "type": "Warning" if warning else "Normal",
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._instance,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
