"""The operator's metrics: passes, queue, pipelines by phase, requests to the API server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from marketpipeline_operator.application import Operator
from marketpipeline_operator.cluster.cache import Child, Key
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.names import Object
from marketpipeline_operator.observe.components import cron_job_fault
from marketpipeline_operator.status.conditions import find, holds

__all__ = ["observe"]

Found = Iterable[Observation]


@dataclass(frozen=True)
class _Told:
    """What is told of a pipeline; `resting` is of one that has nothing to do by its spec: suspended, or asleep."""

    phase: str
    ready: int
    resting: int
    problem: str | None

    @classmethod
    def of(cls, pipeline: Object) -> _Told:
        status, reason = pipeline.get("status") or {}, find(pipeline, "Ready").get("reason")
        resting = reason in ("Hibernating", "Suspended")
        return cls(status.get("phase", "Pending"), int(holds(pipeline, "Ready")), int(resting), status.get("problem"))


def _own(key: Key) -> dict[str, str]:
    return {"pipeline_namespace": key[0], "pipeline": key[1]}


def observe(meter: Meter, operator: Operator, kubernetes: Kubernetes) -> None:
    """Make the instruments; all but the durations are read when they are asked for."""

    known: dict[Key, tuple[Child, _Told]] = {}

    def look() -> list[tuple[Key, _Told]]:
        """Of every pipeline what is told; read anew only where it has changed, since a scrape asks several times."""
        nonlocal known
        before, known = known, {}
        for key, seen in operator.cache.pipelines():
            same = key in before and before[key][0] is seen
            known[key] = before[key] if same else (seen, _Told.of(seen.body))
        return [(key, told) for key, (_, told) in known.items()]

    def passes(_: CallbackOptions) -> Found:
        return [Observation(count, {"result": result}) for result, count in operator.queue.results.items()]

    def depth(_: CallbackOptions) -> Found:
        return [Observation(operator.queue.depth)]

    def oldest(_: CallbackOptions) -> Found:
        return [Observation(operator.queue.oldest())]

    def phases(_: CallbackOptions) -> Found:
        return [Observation(n, {"phase": phase}) for phase, n in Counter(told.phase for _, told in look()).items()]

    def ready(_: CallbackOptions) -> Found:
        return [Observation(told.ready, _own(key)) for key, told in look()]

    def resting(_: CallbackOptions) -> Found:
        return [Observation(told.resting, _own(key)) for key, told in look()]

    def problems(_: CallbackOptions) -> Found:
        return [Observation(1, _own(key) | {"problem": told.problem}) for key, told in look() if told.problem]

    def scheduled(_: CallbackOptions) -> Found:
        for key, _pipeline in operator.cache.pipelines():
            for (kind, name), job in operator.cache.children(key).items():
                if kind == "CronJob":
                    failed = cron_job_fault(name, job.body) is not None
                    yield Observation(int(failed), _own(key) | {"job": name.removeprefix(f"{key[1]}-")})

    def requests(_: CallbackOptions) -> Found:
        return [
            Observation(count, {"verb": verb, "resource": plural, "status": status})
            for (verb, plural, status), count in list(kubernetes.requests.items())
        ]

    def request_seconds(_: CallbackOptions) -> Found:
        return [Observation(kubernetes.seconds)]

    meter.create_observable_counter("operator.reconciles", [passes], "1", "Passes over a pipeline, by result.")
    meter.create_observable_gauge("operator.queue", [depth], "{pipeline}", "Pipelines that wait for a worker.")
    meter.create_observable_gauge("operator.queue.oldest", [oldest], "s", "Age of the oldest work that is overdue.")
    meter.create_observable_gauge("operator.pipelines", [phases], "{pipeline}", "Pipelines, by phase.")
    meter.create_observable_gauge("operator.pipeline.ready", [ready], "", "1 for a pipeline that is ready, else 0.")
    meter.create_observable_gauge(
        "operator.pipeline.resting", [resting], "", "1 for a pipeline that is suspended or asleep by its spec, else 0."
    )
    meter.create_observable_gauge(
        "operator.pipeline.problem", [problems], "", "1 for a pipeline with a problem, which it names; else absent."
    )
    meter.create_observable_gauge(
        "operator.scheduled_job.failed", [scheduled], "", "1 for a scheduled job whose last run failed, else 0."
    )
    meter.create_observable_counter("operator.requests", [requests], "1", "Requests to the API server.")
    meter.create_observable_counter("operator.requests.time", [request_seconds], "s", "Time of these requests.")
    duration = meter.create_histogram("operator.reconcile.duration", "s", "Time of a pass.")
    operator.queue.on_duration = duration.record
