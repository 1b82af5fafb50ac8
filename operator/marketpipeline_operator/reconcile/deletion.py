"""Deleting a pipeline: in order, bounded in time, with an event for each step, and never stuck.

Ingestion ends first, the stream job with a savepoint, then the sinks with what they hold, then, if the policy says so,
the topics. Every step has a deadline that counts from the deletion's start, so an operator that takes over keeps it.
Everything else has the pipeline as its owner, and the cluster removes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from marketpipeline.errors import MarketPipelineError
from marketpipeline.plan import Component
from marketpipeline.spec import DeletionPolicy

from marketpipeline_operator.builders import Context, build_topics
from marketpipeline_operator.builders.standalone import JOB_MANAGER
from marketpipeline_operator.cluster.cache import Cache, Child, Key
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.events import Events
from marketpipeline_operator.cluster.kinds import TOPIC_KINDS
from marketpipeline_operator.flink.rest import FlinkRest
from marketpipeline_operator.flink.savepoint import stop_job, why_no_savepoint
from marketpipeline_operator.names import COMPONENT, PROCESS, Object, is_owned
from marketpipeline_operator.observe.topics import remove_topics
from marketpipeline_operator.reconcile.working_state import WorkingState

__all__ = ["Deletion", "elapsed"]

_WORKLOADS = frozenset({"Deployment", "FlinkDeployment"})
_INGESTION = frozenset({Component.INGESTION.value})
_LEAST_SECONDS = 30
_JOB = frozenset({Component.STREAM_JOB.value})


def elapsed(pipeline: Object) -> float:
    """Seconds since the deletion of a pipeline was asked for."""
    began = datetime.fromisoformat(pipeline["metadata"]["deletionTimestamp"])
    return (datetime.now(UTC) - began).total_seconds()


@dataclass
class Deletion:
    """One pass over a pipeline that is being deleted. `context` is None where its spec cannot be read."""

    kubernetes: Kubernetes
    cache: Cache
    events: Events
    rest: FlinkRest
    key: Key
    pipeline: Object
    context: Context | None
    working: WorkingState
    shared_with: str | None = None
    """Another pipeline that has the same topics."""
    problem: str = ""
    """Why a step takes longer than it should, for the status."""

    async def step(self) -> bool:
        """Go as far as possible without waiting; True when all is done."""
        limits = self.context.settings.deletion if self.context else None
        if limits is None or self.context is None:
            await self._say(
                "DeletionUnordered", "the spec cannot be read, so the components are not stopped in order", warning=True
            )
            return True
        if not await self._ended(_INGESTION.__contains__, limits.ingestion, "ingestion"):
            return False
        if not await self._job_ended(limits.job):
            return False
        if not await self._ended(lambda component: component not in _JOB, limits.sinks, "sinks and API"):
            return False
        return await self._topics_settled(limits.topics)

    def _workloads(self, chosen: Callable[[str], bool]) -> list[Child]:
        found = (c for (kind, _), c in self.cache.children(self.key).items() if kind in _WORKLOADS)
        mine = ((c, c.body["metadata"]) for c in found)
        uid = self.pipeline["metadata"]["uid"]
        return [c for c, m in mine if is_owned(m, uid) and chosen(m["labels"].get(COMPONENT, ""))]

    async def _ended(self, chosen: Callable[[str], bool], deadline: float, what: str) -> bool:
        """Delete workloads; whether their last Pod is gone, or the deadline has passed."""
        left = self._workloads(chosen)
        if left:
            await self._say("Stopping", f"stopping {what}: {', '.join(sorted(child.name for child in left))}")
        refused = await self._delete(left)
        pods = [
            pod["metadata"]["name"]
            for pod in self.cache.pods(self.key)
            if chosen(pod["metadata"].get("labels", {}).get(COMPONENT, ""))
            and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        ]
        if not left and not pods:
            return True
        if elapsed(self.pipeline) < deadline:
            self.problem = refused
            return False
        names = ", ".join(sorted([child.name for child in left] + pods))
        text = f"{what} did not stop within {deadline:g} s ({names}); continuing without. {refused}".rstrip(". ")
        await self._say("StopOverdue", text, warning=True, about=what)
        return True

    async def _delete(self, children: list[Child]) -> str:
        """Delete what is not on its way out yet; the refusals, which must not keep the other steps from their turn."""
        refused = []
        for child in children:
            if "deletionTimestamp" in child.body["metadata"]:
                continue
            try:
                await self.kubernetes.delete(child.kind, child.namespace, child.name, child.uid)
            except MarketPipelineError as error:
                refused.append(f"{child.name}: {error}")
        return "; ".join(refused)

    async def _job_ended(self, deadline: float) -> bool:
        """A job of our own is stopped with a savepoint first; Flink's operator does that by itself."""
        assert self.context is not None
        job = self.context.plan.stream_job
        managers = [c for c in self._workloads(_JOB.__contains__) if c.kind.kind == "Deployment"]
        runs = any("deletionTimestamp" not in child.body["metadata"] for child in managers)
        if job is not None and runs and any(child.body["spec"].get("replicas", 1) for child in managers):
            return await self._savepoint_taken(managers, deadline) and await self._ended(
                _JOB.__contains__, deadline, "stream job"
            )
        return await self._ended(_JOB.__contains__, deadline, "stream job")

    async def _savepoint_taken(self, managers: list[Child], deadline: float) -> bool:
        """Whether the job has left a savepoint, or will not."""
        assert self.context is not None
        context, bodies = self.context, (child.body for child in managers)
        manager = next((b for b in bodies if b["metadata"]["labels"].get(PROCESS) == JOB_MANAGER), None)
        if manager is None:
            return True
        if why_not := why_no_savepoint(manager, self.cache.pods(self.key)):
            await self._say("JobStopped", f"the job is stopped without a savepoint ({why_not})", warning=True)
            return True
        self.working.job.stop.ask("deletion", lambda: stop_job(self.rest, context))
        ended = self.working.job.stop.result("deletion")
        if ended is None and elapsed(self.pipeline) < deadline:
            return False
        text = ended.message if ended else f"the job took no savepoint within {deadline:g} s; continuing without"
        await self._say("JobStopped", text, warning=ended is None or ended.savepoint is None)
        return True

    async def _topics_settled(self, deadline: float) -> bool:
        assert self.context is not None
        names = ", ".join(topic.name for topic in self.context.plan.topics)
        if self.context.pipeline.spec.deletion_policy is DeletionPolicy.RETAIN:
            await self._say("TopicsRetained", f"deletionPolicy Retain keeps the topics {names}")
            return True
        if self.shared_with:
            text = f"{self.shared_with} uses the topics {names} too: they stay, whatever deletionPolicy says"
            await self._say("TopicsRetained", text, warning=True)
            return True
        if self.working.topics.writing and elapsed(self.pipeline) < deadline:
            return False  # what is still on its way to the broker would create them again
        gone, error = await self._remove_topics()
        if gone:
            await self._say("TopicsDeleted", f"deletionPolicy Delete removed the topics {names}")
            return True
        # Removal is attempted at least once, however late it is.
        if elapsed(self.pipeline) < deadline + (0 if error else _LEAST_SECONDS):
            if error:
                await self._say("TopicsNotDeleted", f"trying again: {error}", warning=True)
            return False
        await self._say(
            "TopicsLeft", f"not removed within {deadline:g} s, continuing without: {names}: {error}", warning=True
        )
        return True

    async def _remove_topics(self) -> tuple[bool, MarketPipelineError | None]:
        """Whether they are gone, and the error if not."""
        assert self.context is not None
        context = self.context
        if context.topic_provider == "admin":
            self.working.topics.removal.ask("topics", lambda: remove_topics(self.kubernetes, context))
            return bool(self.working.topics.removal.result("topics")), self.working.topics.removal.error("topics")
        kinds = {kind.kind for kind in TOPIC_KINDS}
        wanted = {thing["metadata"]["name"] for thing in build_topics(context)}
        left = [c for (kind, name), c in self.cache.children(self.key).items() if kind in kinds and name in wanted]
        try:
            await asyncio.gather(*(self.kubernetes.delete(c.kind, c.namespace, c.name, c.uid) for c in left))
        except MarketPipelineError as error:
            return False, error
        return not left, None

    async def _say(self, reason: str, message: str, *, warning: bool = False, about: str = "") -> None:
        await self.events.post(self.pipeline, reason, message, warning=warning, once="deletion", about=about)
