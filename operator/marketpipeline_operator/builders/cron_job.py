"""CronJobs: the jobs of the sinks, e.g. the daily clean-up, and the staleness check."""

from __future__ import annotations

from marketpipeline.plan import ScheduledJob

from marketpipeline_operator.builders.config_map import settings_hash
from marketpipeline_operator.builders.context import Context
from marketpipeline_operator.builders.metadata import child
from marketpipeline_operator.builders.pod import (
    SETTINGS_FILE,
    container_security,
    environment,
    pod_template,
    resources,
)
from marketpipeline_operator.names import Object

__all__ = ["cron_job"]

_DRAIN_SECONDS = 20
_START_WITHIN_SECONDS = 300


def cron_job(context: Context, job: ScheduledJob) -> Object:
    """The CronJob; times are UTC, a run that is late by more than 5 minutes is left out, two never overlap."""
    images = context.settings.images
    container = {
        "name": job.component.value,
        "image": images.of(job.component),
        "imagePullPolicy": images.pull_policy,
        "command": ["marketpipeline", job.component.value, "--config", SETTINGS_FILE],
        "env": environment(job.secrets),
        "resources": resources("100m", "256Mi"),
        "securityContext": container_security(),
    }
    template = pod_template(
        context,
        process=job.name,
        workload=job.name,
        component=job.component,
        settings_hash=settings_hash(job.settings),
        container=container,
        drain_seconds=_DRAIN_SECONDS,
        restart_policy="Never",
    )
    name, component = job.name, job.component.value
    head = child(context, "batch/v1", "CronJob", name, component=component, workload=name, process=name)
    return head | {
        "spec": {
            "schedule": job.schedule,
            "timeZone": "Etc/UTC",
            "suspend": context.plan.suspended,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _START_WITHIN_SECONDS,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "metadata": {"labels": head["metadata"]["labels"]},
                "spec": {"activeDeadlineSeconds": job.timeout_seconds, "backoffLimit": 1, "template": template},
            },
        }
    }
