"""The operator's metrics: passes, queue, pipelines by phase, requests to the API server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from marketpipeline_operator.application import Operator
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.observe.components import cron_job_fault
from marketpipeline_operator.status.conditions import holds

__all__ = ["observe"]

Found = Iterable[Observation]


def observe(meter: Meter, operator: Operator, kubernetes: Kubernetes) -> None:
    """Make the instruments; all but the durations are read when they are asked for."""

    def passes(_: CallbackOptions) -> Found:
        return [Observation(count, {"result": result}) for result, count in operator.queue.results.items()]

    def depth(_: CallbackOptions) -> Found:
        return [Observation(operator.queue.depth)]

    def oldest(_: CallbackOptions) -> Found:
        return [Observation(operator.queue.oldest())]

    def phases(_: CallbackOptions) -> Found:
        found = Counter((p.get("status") or {}).get("phase", "Pending") for _, p in operator.cache.pipelines())
        return [Observation(count, {"phase": phase}) for phase, count in found.items()]

    def ready(_: CallbackOptions) -> Found:
        return [
            Observation(int(holds(pipeline, "Ready")), {"pipeline_namespace": key[0], "pipeline": key[1]})
            for key, pipeline in operator.cache.pipelines()
        ]

    def problems(_: CallbackOptions) -> Found:
        for key, pipeline in operator.cache.pipelines():
            if problem := (pipeline.get("status") or {}).get("problem"):
                yield Observation(1, {"pipeline_namespace": key[0], "pipeline": key[1], "problem": problem})

    def scheduled(_: CallbackOptions) -> Found:
        for key, _pipeline in operator.cache.pipelines():
            own = {"pipeline_namespace": key[0], "pipeline": key[1]}
            for (kind, name), job in operator.cache.children(key).items():
                if kind == "CronJob":
                    failed = cron_job_fault(name, job.body) is not None
                    yield Observation(int(failed), own | {"job": name.removeprefix(f"{key[1]}-")})

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
        "operator.pipeline.problem", [problems], "", "1 for a pipeline with a problem, which it names; else absent."
    )
    meter.create_observable_gauge(
        "operator.scheduled_job.failed", [scheduled], "", "1 for a scheduled job whose last run failed, else 0."
    )
    meter.create_observable_counter("operator.requests", [requests], "1", "Requests to the API server.")
    meter.create_observable_counter("operator.requests.time", [request_seconds], "s", "Time of these requests.")
    duration = meter.create_histogram("operator.reconcile.duration", "s", "Time of a pass.")
    operator.queue.on_duration = duration.record
