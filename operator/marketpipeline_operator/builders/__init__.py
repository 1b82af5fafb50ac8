"""From a plan to Kubernetes objects: pure, one kind a module. `build` is the whole."""

from __future__ import annotations

from marketpipeline.plan import Component

from marketpipeline_operator.builders.context import (
    Capabilities,
    Context,
    JobState,
    Process,
    address_of,
    processes,
    sealed,
)
from marketpipeline_operator.builders.flink_deployment import flink_deployment
from marketpipeline_operator.builders.monitoring import prometheus_rule, service_monitor
from marketpipeline_operator.builders.network import job_network_policy, metrics_service, network_policy, service
from marketpipeline_operator.builders.pod import service_account, settings_config_map
from marketpipeline_operator.builders.standalone import job_manager, job_manager_service, task_manager
from marketpipeline_operator.builders.stream_job import job_config_map
from marketpipeline_operator.builders.topics import kafka_topic, redpanda_topic
from marketpipeline_operator.builders.workloads import cron_job, deployment, disruption_budget
from marketpipeline_operator.names import Object

__all__ = [
    "Capabilities",
    "Context",
    "JobState",
    "Process",
    "address_of",
    "build",
    "build_topics",
    "processes",
]


_CALLED = (Component.API, Component.DASHBOARD)
"""What has a Service: it is called from elsewhere."""


def build(context: Context) -> list[Object]:
    """Every child that the operator keeps, in the order to apply them: what is referred to comes first.

    Without the workloads where the context holds them back, as long as their topics were never there.
    """
    running = processes(context)
    found = [service_account(context), network_policy(context), metrics_service(context)]
    found += [settings_config_map(context, p.name, p.component, p.settings, p.preparation) for p in running]
    found += [service(context, p) for p in running if p.component in _CALLED]
    several = (workload for workload in context.plan.workloads if workload.replicas * workload.copies > 1)
    found += [disruption_budget(context, workload.name) for workload in several]
    found += [settings_config_map(context, s.name, s.component, s.settings) for s in context.plan.scheduled_jobs]
    if context.capabilities.prometheus and context.settings.monitoring.enabled:
        found.append(service_monitor(context))
        found += [] if context.plan.suspended else [prometheus_rule(context)]
    found += _job_surroundings(context)
    if not context.hold_workloads:
        found += _workloads(context, running)
    return [sealed(thing) for thing in found]


def build_topics(context: Context) -> list[Object]:
    """The topics as resources; none where the operator makes them at the broker itself."""
    builder = {"redpanda": redpanda_topic, "strimzi": kafka_topic}.get(context.topic_provider)
    return [sealed(builder(context, topic)) for topic in context.plan.topics] if builder else []


def _job_surroundings(context: Context) -> list[Object]:
    job = context.plan.stream_job
    if job is None:
        return []
    found = [job_network_policy(context), job_config_map(context, job)]
    return found if context.uses_flink_operator else [*found, job_manager_service(context)]


def _workloads(context: Context, running: list[Process]) -> list[Object]:
    found = [deployment(context, process) for process in running]
    if (job := context.plan.stream_job) is not None:
        if context.uses_flink_operator:
            found.append(flink_deployment(context, job))
        else:
            found += [job_manager(context, job), task_manager(context, job)]
    return found + [cron_job(context, scheduled) for scheduled in context.plan.scheduled_jobs]
