"""One pass over a pipeline: look at what is there, and make it what the resource says.

A pass is idempotent and knows nothing of why it was called. It reads what the watches have seen, writes only what
differs, and waits for nothing: what takes time (a broker, a savepoint) is a background task whose end calls for the
next pass.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from marketpipeline.errors import InvalidSpec, MarketPipelineError, RetryableError
from marketpipeline.plan import Component, Plan, plan
from marketpipeline.spec import MarketPipeline, load_object

from marketpipeline_operator.builders import Capabilities, Context, Process, build, build_topics, processes
from marketpipeline_operator.builders.flink_deployment import FLINK_DEPLOYMENT
from marketpipeline_operator.builders.standalone import JOB_MANAGER, TASK_MANAGER
from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import Conflict, KindMissing, Unavailable
from marketpipeline_operator.cluster.events import Events
from marketpipeline_operator.cluster.kinds import PIPELINE_KIND
from marketpipeline_operator.flink.kept_savepoints import decide_savepoints
from marketpipeline_operator.flink.lifecycle import JobDecision, decide_job
from marketpipeline_operator.flink.rest import FlinkRest
from marketpipeline_operator.names import (
    FINALIZER,
    FORCE_DELETE,
    IGNORE_SECRETS,
    PAUSE,
    Object,
    child_name,
    restarts_of,
    switched_on,
)
from marketpipeline_operator.observe.components import ComponentState, Fault, cron_job_fault, deployment_state
from marketpipeline_operator.observe.flow import data_of
from marketpipeline_operator.observe.health import HealthMonitor
from marketpipeline_operator.observe.scaling import JOB as SCALED_JOB
from marketpipeline_operator.observe.scaling import (
    Autoscaler,
    Load,
    Scaled,
    entry_of,
    parts_of,
    scaled_of,
    with_replicas,
)
from marketpipeline_operator.observe.secrets import SecretsState, observe_secrets, secrets_of_pods
from marketpipeline_operator.observe.selection import SelectionState, observe_selection, tell_selection
from marketpipeline_operator.observe.topics import TopicsState, observe_topics
from marketpipeline_operator.reconcile.children import Applied, apply_children, remove_orphans
from marketpipeline_operator.reconcile.deletion import Deletion, elapsed
from marketpipeline_operator.reconcile.hibernation import Hibernation
from marketpipeline_operator.reconcile.maintenance import Windows, can_wait, split_deferred
from marketpipeline_operator.reconcile.ownership import TopicOwnership
from marketpipeline_operator.reconcile.rollout import Rollout, of_ingestion, plan_rollout
from marketpipeline_operator.reconcile.status_writer import StatusWriter
from marketpipeline_operator.reconcile.working_state import WorkingState
from marketpipeline_operator.settings import OperatorSettings
from marketpipeline_operator.status.conditions import Condition, Findings, find, is_at_fault
from marketpipeline_operator.status.report import report, report_halted

__all__ = ["Reconciler"]

_log = logging.getLogger(__name__)

Wake = Callable[[Key], None]


@dataclass(frozen=True)
class _Outcome:
    """Of a pass whose findings are in the status: the seconds until the next, and why it has to be repeated."""

    again: float | None = None
    error: MarketPipelineError | None = None


class Reconciler:
    """Works on any pipeline of the cache. `wake` asks for a pass over one; `health` is what the processes say."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        cache: Cache,
        events: Events,
        settings: OperatorSettings,
        rest: FlinkRest,
        health: HealthMonitor,
        wake: Wake,
    ) -> None:
        self._kubernetes = kubernetes
        self._cache = cache
        self._events = events
        self._status = StatusWriter(kubernetes, cache, events, lambda: self.outdated)
        self._settings = settings
        self._rest = rest
        self._health = health
        self._wake = wake
        self._working: dict[Key, WorkingState] = {}
        self.ownership = TopicOwnership(cache)
        self.capabilities = Capabilities()
        self.outdated: list[str] = []

    async def reconcile(self, key: Key) -> float | None:
        """One pass; the seconds until the next, None for the usual interval, infinity for a pipeline that is gone."""
        pipeline = self._cache.pipeline(key)
        if pipeline is None:
            self._forget(key)
            return math.inf
        if key not in self._working:
            self._working[key] = WorkingState.of(lambda: self._wake(key), self._settings.reconcile)
        try:
            outcome = await self._pass(key, pipeline)
        except (Conflict, Unavailable):
            raise  # passes by itself, or no status can be written either
        except Exception as error:
            await self._report_failure(key, pipeline, error)
            raise
        if outcome.error:
            raise outcome.error
        return outcome.again

    async def _pass(self, key: Key, pipeline: Object) -> _Outcome:
        await self._check_annotations(pipeline)
        if pipeline["metadata"].get("deletionTimestamp"):
            return await self._delete(key, pipeline)
        if switched_on(pipeline, PAUSE):
            paused = Condition("Paused", True, "Annotation", f"the annotation {PAUSE} is true: nothing is changed")
            await self._status.write(pipeline, report_halted(pipeline, "Paused", paused, _now()))
            return _Outcome()
        try:
            context, selection = self._context(key, pipeline)
        except InvalidSpec as error:
            text = "; ".join(map(str, error.problems))
            return await self._halt(pipeline, "Invalid", Condition("Degraded", True, "InvalidSpec", text))
        if other := self.ownership.owner_before(key):
            prefix = context.pipeline.topic_prefix
            text = (
                f"{other} has the topics {prefix}.* at this broker already; delete this pipeline and create it with "
                "another broker.topicPrefix"
            )
            return await self._halt(pipeline, "Degraded", Condition("Degraded", True, "TopicConflict", text))
        return await self._make(key, pipeline, context, selection)

    def close(self) -> None:
        """Stop all background tasks."""
        for working in self._working.values():
            working.close()

    def _context(self, key: Key, pipeline: Object) -> tuple[Context, SelectionState]:
        """Read the resource again, though the API server has checked it: an older CRD may have let it past. What its
        selectors stand for is asked anew, but not when it is about to go."""
        working, metadata = self._working[key], pipeline["metadata"]
        mark, status = f"{metadata['uid']}/{metadata['generation']}", pipeline.get("status") or {}
        bare = {name: value for name, value in pipeline.items() if name != "status"}
        written, before = working.loaded.of(mark, make=lambda: load_object(bare, "spec")), status.get("selection", {})
        working.hibernation = hibernation = Hibernation.of(written, datetime.now(UTC))
        loaded = working.asleep.of(mark, hibernation.asleep, make=lambda: hibernation.put_to(written))
        if metadata.get("deletionTimestamp"):
            selection = SelectionState(tuple(before.get("symbols", [])))
        else:
            interval = self._settings.reconcile.listing_interval
            selection = observe_selection(loaded, working.selection, before, interval)
        context = Context(
            pipeline=loaded,
            plan=working.planned.of(loaded, selection.symbols, make=lambda: plan(loaded, selection.symbols)),
            uid=metadata["uid"],
            settings=self._settings,
            capabilities=self.capabilities,
            restarts=restarts_of(pipeline),
            decided=(status.get("job") or {}).get("mode") or self._mode_of_children(key),
        )
        return self._scaled(key, pipeline, context, selection), selection

    def _scaled(self, key: Key, pipeline: Object, context: Context, selection: SelectionState) -> Context:
        """With as many processes of each part that is scaled as its load takes; nothing is decided of a pipeline that
        is suspended, or of which nobody knows yet what it follows."""
        working, job = self._working[key], context.plan.stream_job
        with_job = job is not None and job.settings["keeps_state"] and not context.uses_flink_operator
        parts = parts_of(context.pipeline, context.plan.symbols, with_job=with_job)
        parts = [part for part in parts if not self._cache.is_scaled(key[0], child_name(key[1], part.name))]
        resting = context.plan.suspended or selection.never_known
        status, at = pipeline.get("status") or {}, time.time()
        known = {entry["name"]: scaled_of(entry) for entry in status.get("scaling", [])}
        working.scaled = {}
        if not parts:
            return context
        data = data_of(self._cache.pods(key), self._health.readings, self._health.patience)
        percent = (status.get("job") or {}).get("busyPercent")
        load = Load(data, None if percent is None else percent / 100)
        for part in parts:
            now = known.get(part.name) or Scaled(part.bounded(self._replicas_of(key, part.name) or part.start))
            scaler = working.scalers.setdefault(part.name, Autoscaler())
            working.scaled[part.name] = now if resting else scaler.decide(part, now, load, at)
        numbers = {name: each.replicas for name, each in working.scaled.items()}

        def make() -> tuple[MarketPipeline, Plan]:
            effective = with_replicas(context.pipeline, numbers)
            return effective, plan(effective, selection.symbols)

        effective, planned = working.scaled_plan.of(context.pipeline, selection.symbols, numbers, make=make)
        return replace(context, pipeline=effective, plan=planned)

    def _replicas_of(self, key: Key, part: str) -> int:
        """As many processes as a part has, where the status was lost: by what there is of it; 0 where nothing is."""
        name = TASK_MANAGER if part == SCALED_JOB else part
        live = self._cache.child(key, "Deployment", child_name(key[1], name))
        if live is not None:
            return int(live["spec"].get("replicas", 1))
        there = of_ingestion(self._cache.children(key))
        shards = Counter(name.rpartition("-")[0] for kind, name in there if kind == "Deployment")
        return max(shards.values(), default=0) if part == Component.INGESTION.value else 0

    def _mode_of_children(self, key: Key) -> str | None:
        """How the job runs, where the status was lost: by what there is of it."""
        if self._cache.child(key, "Deployment", child_name(key[1], JOB_MANAGER)):
            return "standalone"
        return "operator" if self._cache.child(key, "FlinkDeployment", child_name(key[1], FLINK_DEPLOYMENT)) else None

    def _templates(self, key: Key) -> Iterator[Object]:
        """Of the Pods of every workload that there is."""
        for (kind, _), child in self._cache.children(key).items():
            if kind in ("Deployment", "FlinkDeployment"):
                yield child.body["spec"].get("template") or child.body["spec"].get("podTemplate") or {}

    async def _make(self, key: Key, pipeline: Object, context: Context, selection: SelectionState) -> _Outcome:
        pipeline = await self._ensure_finalizer(key, pipeline)
        working, before = self._working[key], pipeline.get("status") or {}
        secrets = observe_secrets(
            context,
            self._kubernetes,
            working.secrets,
            before.get("secrets") or [],
            lambda: secrets_of_pods(self._templates(key)),
            ignore_changes=bool(switched_on(pipeline, IGNORE_SECRETS)),
        )
        context = replace(context, secret_changes=secrets.changes)
        topics = observe_topics(context, self._kubernetes, self._cache, key, working.topics, before)
        told = tell_selection(
            context, self._kubernetes, selection, topics, working.selection, before.get("selection", {})
        )
        now = datetime.now(UTC)
        windows = Windows.of(context.pipeline, now)
        unlisted = selection.never_known and not context.plan.suspended
        job_waits = windows.opens and not is_at_fault(find(pipeline, "ProcessingReady"))
        waits = _always if unlisted else can_wait if job_waits else _never
        job = decide_job(context, self._cache, key, working.job, self._rest, before.get("job", {}), waits=waits)
        if job.events:
            # Where the job's state is must be known before the Deployments that held it are written.
            await self._status.write(pipeline, {**before, "job": job.status})
            pipeline = self._cache.pipeline(key) or pipeline
            before = pipeline.get("status") or {}
        held = not topics.known or unlisted
        context = replace(context, job=job.state, stopped=_stopped(context, job), hold_workloads=held)
        savepoints = decide_savepoints(context, pipeline, job.view, working.job.kept, self._rest, now)
        at_once = None if windows.opens is None else self._broken(key, context, job=not job_waits)
        applied, rollout = await self._apply(key, context, job, at_once)
        faults = [*self._own_faults(context, applied), *selection.faults, *savepoints.faults]
        found = self._findings(key, context, topics, job, secrets, rollout, faults)
        pending = found.pending or selection.pending
        found = replace(found, selection=selection, selection_status=told, pending=pending, savepoints=savepoints)
        rest = working.hibernation
        found = replace(found, hibernation=rest.status, asleep=str(rest) if rest.asleep else "")
        if applied.deferred and windows.opens:
            opens = windows.opens.strftime("%Y-%m-%dT%H:%M:%SZ")
            found = replace(found, maintenance={"pending": applied.deferred, "opens": opens})
        await self._status.tell(pipeline, context, applied, found, _now())
        generation = pipeline["metadata"]["generation"]
        if not (found.pending and before.get("observedGeneration") == generation):
            await self._status.write(pipeline, report(context, pipeline, found, _now()))
        if applied.errors:
            return _Outcome(error=next((e for e in applied.errors if isinstance(e, RetryableError)), applied.errors[0]))
        looking = self._settings.reconcile.health_interval if self._working[key].scaled else None
        opening = (windows.opens - now).total_seconds() + 0.1 if windows.opens else None
        turn = working.hibernation.seconds(now)
        soon = (opening, turn, secrets.again, job.again, savepoints.again, self._next_listing(context), looking)
        return _Outcome(min((seconds for seconds in soon if seconds is not None), default=None))

    def _next_listing(self, context: Context) -> float | None:
        """Seconds until an exchange has to be asked again, where that is sooner than the usual pass."""
        reconcile = self._settings.reconcile
        sooner = context.pipeline.spec.selectors and reconcile.listing_interval < reconcile.interval
        return reconcile.listing_interval if sooner else None

    def _broken(self, key: Key, context: Context, *, job: bool) -> frozenset[str]:
        """Names of the workloads at which something is wrong: a restart may mend them. `job` says so of the job's."""
        pods = self._cache.pods(key)
        found = [p.name for p in self._working[key].processes(context) if self._state(key, context, p, pods).faults]
        found += [JOB_MANAGER, TASK_MANAGER, FLINK_DEPLOYMENT] if job else []
        return frozenset(child_name(context.name, name) for name in found)

    async def _apply(
        self, key: Key, context: Context, job: JobDecision, at_once: frozenset[str] | None
    ) -> tuple[Applied, Rollout]:
        """Write what differs, remove what is no longer wanted; what the job's decision freezes stays as it is, and so
        does what has to wait for other processes or, but for the workloads `at_once`, for a maintenance window; None
        where nothing waits for one."""
        applied, working = Applied(), self._working[key]
        everything = working.build(replace(context, hold_workloads=False))
        wanted = build(context) if context.hold_workloads else everything
        later: frozenset[tuple[str, str]] = frozenset()
        if at_once is not None:
            wanted, later = split_deferred(wanted, self._cache.children(key), at_once)
        applied.deferred = sorted(name.removeprefix(f"{context.name}-") for _, name in later)
        everything_there = self._cache.children(key, pods=True)
        rollout = plan_rollout(working.processes(context), wanted, everything_there, working.matched)
        kept_back = job.frozen | rollout.held
        if context.hold_workloads:
            # What the processes that run were told stays with them, and none of them is one too many.
            kept_back |= of_ingestion(self._cache.children(key)).keys()
        wanted = [thing for thing in wanted if (thing["kind"], thing["metadata"]["name"]) not in kept_back]
        wanted += build_topics(context)
        await apply_children(self._kubernetes, self._cache, key, context.uid, wanted, applied, working.matched)
        kept = {(thing["kind"], thing["metadata"]["name"]) for thing in everything} | job.frozen | rollout.staying
        if not context.hold_workloads:
            await remove_orphans(self._kubernetes, self._cache, key, context.uid, kept, applied)
        return applied, rollout

    def _findings(
        self,
        key: Key,
        context: Context,
        topics: TopicsState,
        job: JobDecision,
        secrets: SecretsState,
        rollout: Rollout,
        faults: list[Fault],
    ) -> Findings:
        pods = self._cache.pods(key)
        running = self._working[key].processes(context)
        found = [(process, rollout.seen(self._state(key, context, process, pods))) for process in running]
        faults += rollout.faults([each for _, each in found])
        for scheduled in context.plan.scheduled_jobs:
            live = self._cache.child(key, "CronJob", child_name(context.name, scheduled.name))
            if fault := cron_job_fault(scheduled.name, live):
                faults.append(fault)
        pending = secrets.pending or topics.pending or job.pending
        everything = [*secrets.faults, *faults]
        data = data_of(pods, self._health.readings, self._health.patience)
        held = context.hold_workloads
        scaling = [entry_of(name, each) for name, each in self._working[key].scaled.items()]
        return Findings(found, topics, job, everything, secrets.entries, held, pending, data, scaling=scaling)

    def _state(self, key: Key, context: Context, process: Process, pods: list[Object]) -> ComponentState:
        """How a process is, as far as the watches and its own words tell."""
        live = self._cache.child(key, "Deployment", child_name(context.name, process.name))
        desired = 0 if process.name in context.stopped else process.replicas
        if live and desired and self._cache.is_scaled(key[0], live["metadata"]["name"]):
            desired = live["spec"].get("replicas", 1)
        return deployment_state(process.name, desired, live, pods, self._health.degraded)

    def _own_faults(self, context: Context, applied: Applied) -> list[Fault]:
        found = []
        for error in applied.errors:
            reason, advice = _reason_of(error, context)
            found.append(Fault(reason, f"{error}{advice}"))
        if self.outdated:
            fields = ", ".join(self.outdated[:5])
            text = f"the cluster's CRD is of an older version and drops {fields}; apply the one of this release"
            found.append(Fault("OutdatedCRD", text))
        return found

    async def _halt(self, pipeline: Object, phase: str, condition: Condition) -> _Outcome:
        await self._events.post(pipeline, condition.reason, condition.message, warning=True)
        await self._status.write(pipeline, report_halted(pipeline, phase, condition, _now()))
        return _Outcome()

    async def _report_failure(self, key: Key, pipeline: Object, error: Exception) -> None:
        """Whatever ends a pass is in the status, of the generation that it happened with."""
        pipeline = self._cache.pipeline(key) or pipeline
        known = isinstance(error, MarketPipelineError)
        text = str(error) if known else f"defect of the operator, please report it: {type(error).__name__}: {error}"
        if pipeline["metadata"].get("deletionTimestamp"):
            phase, condition = "Deleting", Condition("Ready", False, "Deleting", text)
        else:
            phase, condition = "Degraded", Condition("Degraded", True, "ReconcileFailed", text)
        try:
            await self._status.write(pipeline, report_halted(pipeline, phase, condition, _now()))
        except MarketPipelineError as refused:
            _log.warning("status not written", extra={"pipeline_key": "/".join(key), "error": str(refused)})

    async def _check_annotations(self, pipeline: Object) -> None:
        for name in (PAUSE, FORCE_DELETE, IGNORE_SECRETS):
            if switched_on(pipeline, name) is None:
                value = pipeline["metadata"]["annotations"][name]
                text = f"{name}: {value!r} must be true or false; it is taken for false"
                await self._events.post(pipeline, "InvalidAnnotation", text, warning=True)

    async def _ensure_finalizer(self, key: Key, pipeline: Object) -> Object:
        metadata = pipeline["metadata"]
        finalizers = metadata.get("finalizers", [])
        if FINALIZER in finalizers:
            return pipeline
        patch = {"metadata": {"finalizers": [*finalizers, FINALIZER], "resourceVersion": metadata["resourceVersion"]}}
        answer = await self._kubernetes.merge(PIPELINE_KIND, *key, patch)
        self._cache.put(answer)
        return self._cache.pipeline(key) or answer

    async def _delete(self, key: Key, pipeline: Object) -> _Outcome:
        metadata = pipeline["metadata"]
        if FINALIZER not in metadata.get("finalizers", []):
            return _Outcome()
        if switched_on(pipeline, FORCE_DELETE):
            text = f"the annotation {FORCE_DELETE} is true: nothing is waited for"
            await self._events.post(pipeline, "DeletionForced", text, warning=True, once="deletion")
        elif text := await self._deletion_step(key, pipeline):
            deleting = Condition("Ready", False, "Deleting", text)
            await self._status.write(pipeline, report_halted(pipeline, "Deleting", deleting, _now()))
            return _Outcome(1.0)
        left = [name for name in metadata["finalizers"] if name != FINALIZER]
        patch = {"metadata": {"finalizers": left, "resourceVersion": metadata["resourceVersion"]}}
        with contextlib.suppress(KindMissing):  # 404: gone already
            await self._kubernetes.merge(PIPELINE_KIND, *key, patch)
        return _Outcome()

    async def _deletion_step(self, key: Key, pipeline: Object) -> str:
        """One step of a deletion; what is waited for, empty when there is nothing left to wait for."""
        try:
            deletion = self._deletion(key, pipeline)
            done = await deletion.step()
        except Exception as error:
            if elapsed(pipeline) < self._settings.deletion.topics:
                raise
            text = f"{type(error).__name__}: {error}; continuing without"
            await self._events.post(pipeline, "DeletionFailed", text, warning=True, once="deletion")
            return ""
        text = "the components are stopped in order; see the events"
        return "" if done else f"{text}: {deletion.problem}" if deletion.problem else text

    def _deletion(self, key: Key, pipeline: Object) -> Deletion:
        try:
            context: Context | None = self._context(key, pipeline)[0]
        except InvalidSpec:
            context = None
        return Deletion(
            self._kubernetes,
            self._cache,
            self._events,
            self._rest,
            key,
            pipeline,
            context,
            self._working[key],
            self.ownership.shared_with(key),
        )

    def _forget(self, key: Key) -> None:
        if working := self._working.pop(key, None):
            working.close()
        self.ownership.forget(key)
        self._cache.forget(key)


def _reason_of(error: MarketPipelineError, context: Context) -> tuple[str, str]:
    """The reason for a child that could not be written, and what to do about it."""
    if not isinstance(error, KindMissing):
        return "ApplyFailed", ""
    if "FlinkDeployment" in str(error):
        return "FlinkOperatorMissing", "; install Flink's operator"
    provider = context.topic_provider
    if "Topic" in str(error) and provider != "admin":
        return "TopicOperatorMissing", f"; install {provider.title()}'s operator, or set broker.provider to admin"
    return "ApplyFailed", ""


def _never(_wanted: Object, _live: Object) -> bool:
    return False


def _always(_wanted: Object, _live: Object) -> bool:
    return True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stopped(context: Context, job: JobDecision) -> frozenset[str]:
    """Processes without replicas: of a suspended pipeline ingestion at once, the others when the job has stopped."""
    if not context.plan.suspended:
        return frozenset()
    last = job.health.stopped
    return frozenset(p.name for p in processes(context) if last or p.component is Component.INGESTION)
