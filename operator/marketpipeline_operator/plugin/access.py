"""The cluster through the eyes of a user: a pipeline with its Pods, events and logs, by the kubeconfig's rights."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from kubernetes import config as kube_config
from marketpipeline.errors import InvalidInput, MarketPipelineError, PermanentError, Problem

from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import KindMissing
from marketpipeline_operator.cluster.kinds import CHILD_KINDS, EVENT, OPTIONAL_KINDS, PIPELINE_KIND, POD, Kind
from marketpipeline_operator.names import PIPELINE, Object

__all__ = ["Access", "Seen", "conditions", "time_of_event"]

T = TypeVar("T")
_EVERY_SECONDS = 0.5
_BETWEEN = (Kind("apps", "v1", "ReplicaSet", "replicasets"), Kind("batch", "v1", "Job", "jobs"))
"""What stands between a child and its Pods, and says why there are none."""


@dataclass(frozen=True)
class Seen:
    """A pipeline as the cluster has it: itself, its Pods and the events of it and of what is its own, oldest first."""

    pipeline: Object
    pods: tuple[Object, ...]
    events: tuple[Object, ...]


class Access:
    """One namespace of a cluster. Every method raises the errors of `cluster.errors`, and InvalidInput for a name
    that is not there."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self.namespace = namespace
        self._kubernetes = kubernetes

    @classmethod
    def connect(cls, kubeconfig: str | None, context: str | None, namespace: str | None) -> Self:
        """As kubectl does: flags, then $KUBECONFIG, then the context's own namespace. Raises PermanentError."""
        kubeconfig = kubeconfig or kube_config.KUBE_CONFIG_DEFAULT_LOCATION
        try:
            contexts, active = kube_config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]  # the client has no types
        except kube_config.ConfigException as error:
            raise PermanentError(f"no way to an API server: {error}") from error
        chosen = next((one for one in contexts if one["name"] == context), active if context is None else None)
        if chosen is None:
            names = ", ".join(one["name"] for one in contexts)
            raise InvalidInput("kubeconfig", [Problem("--context", context, f"must be one of {names}")])
        kubernetes = Kubernetes.connect(kubeconfig=kubeconfig, context=context)
        return cls(kubernetes, namespace or chosen["context"].get("namespace") or "default")

    def pipelines(self) -> list[Object]:
        """All of the namespace, by name."""

        async def work() -> list[Object]:
            found = [one async for one in self._kubernetes.list(PIPELINE_KIND, self.namespace)]
            return sorted(found, key=lambda one: str(one["metadata"]["name"]))

        return self._run(work())

    def pipeline(self, name: str) -> Object:
        """One pipeline; where it is absent the error tells those that are there."""
        found = self._run(self._kubernetes.get(PIPELINE_KIND, self.namespace, name))
        if found is None:
            names = ", ".join(one["metadata"]["name"] for one in self.pipelines())
            expected = f"must be one of {names}" if names else "there is no MarketPipeline"
            raise InvalidInput(f"namespace {self.namespace}", [Problem("NAME", name, expected)])
        return found

    def seen(self, name: str) -> Seen:
        """The pipeline with what belongs to it."""
        pipeline = self.pipeline(name)

        async def work() -> Seen:
            pods = [pod async for pod in self._kubernetes.list(POD, self.namespace, f"{PIPELINE}={name}")]
            mine = {name} | {pod["metadata"]["name"] for pod in pods}
            for kind in (*_BETWEEN, *CHILD_KINDS):
                listed = self._kubernetes.list(kind, self.namespace, f"{PIPELINE}={name}")
                mine |= {thing["metadata"]["name"] async for thing in listed}
            events = [
                event
                async for event in self._kubernetes.list(EVENT, self.namespace)
                if event["involvedObject"].get("name") in mine
            ]
            return Seen(pipeline, tuple(pods), tuple(sorted(events, key=time_of_event)))

        return self._run(work())

    def children(self, name: str) -> dict[Kind, list[Object]]:
        """What the operator made of a pipeline, by kind; kinds that may not be read are left out."""

        async def work() -> dict[Kind, list[Object]]:
            found: dict[Kind, list[Object]] = {}
            for kind in (*CHILD_KINDS, *OPTIONAL_KINDS):
                try:
                    listed = self._kubernetes.list(kind, self.namespace, f"{PIPELINE}={name}")
                    found[kind] = [thing async for thing in listed]
                except MarketPipelineError:
                    continue
            return {kind: things for kind, things in found.items() if things}

        return self._run(work())

    def annotate(self, name: str, **annotations: str | None) -> Object:
        """Set annotations by their whole names, or remove those that are None."""
        return self.merge(name, {"metadata": {"annotations": annotations}})

    def merge(self, name: str, patch: Object) -> Object:
        """Change a pipeline; InvalidInput where it is absent."""
        self.pipeline(name)
        return self._run(self._kubernetes.merge(PIPELINE_KIND, self.namespace, name, patch))

    def wait(self, name: str, met: Callable[[Object], bool], seconds: float) -> Object:
        """The pipeline once `met` says so of it. Raises PermanentError, with its status's words, if it takes longer."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.pipeline(name)
            if met(found):
                return found
            if time.monotonic() > deadline:
                said = next(iter(conditions(found, "Ready")), {}).get("message") or "its status says nothing yet"
                raise PermanentError(f"not within {seconds:g} s; the operator says: {said}")
            time.sleep(_EVERY_SECONDS)

    def log(self, pod: str, **options: object) -> Iterator[str]:
        """The log of a Pod; none where its container has not started."""
        try:
            yield from self._kubernetes.lines(self.namespace, pod, **options)
        except KindMissing:
            return

    def close(self) -> None:
        """End the connection."""
        self._kubernetes.close()

    @staticmethod
    def _run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work)


def conditions(pipeline: Object, *types: str) -> list[Object]:
    """The conditions of a pipeline, of some types or of all."""
    found = (pipeline.get("status") or {}).get("conditions", [])
    return [one for one in found if not types or one["type"] in types]


def time_of_event(event: Object) -> str:
    """When an event happened last, as Kubernetes writes times; they sort as texts."""
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return next((str(time) for time in times if time), "")
