"""Secrets that the Pods refer to: that they are there and have the key; a value is never looked at."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from marketpipeline.errors import RetryableError

from marketpipeline_operator.builders import Context
from marketpipeline_operator.builders.context import digest
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.kinds import SECRET
from marketpipeline_operator.observe.background import BackgroundTask
from marketpipeline_operator.observe.components import Fault

__all__ = ["SecretsState", "observe_secrets", "read_secret"]

_AGAIN_SECONDS = 5.0


@dataclass(frozen=True)
class SecretsState:
    """What is known to be missing, when to look again if anything is, and whether nothing is known yet."""

    faults: tuple[Fault, ...] = ()
    again: float | None = None
    pending: bool = False


def observe_secrets(context: Context, kubernetes: Kubernetes, task: BackgroundTask[tuple[str, ...]]) -> SecretsState:
    """Look at the Secrets when it is time, and say what is known. Does not wait."""
    wanted = sorted(_references(context))
    if not wanted:
        return SecretsState()
    mark = digest(wanted)

    async def work() -> tuple[str, ...]:
        found = []
        for name, key in wanted:
            try:
                await read_secret(kubernetes, context.namespace, name, key)
            except RetryableError as error:
                found.append(str(error))
        return tuple(found)

    known = task.result(mark)
    task.ask(mark, work, max_age=_AGAIN_SECONDS if known else context.settings.reconcile.interval)
    if known is None:
        return SecretsState(pending=task.error(mark) is None)
    faults = tuple(Fault("SecretMissing", text) for text in known)
    return SecretsState(faults, _AGAIN_SECONDS if faults else None)


def _references(context: Context) -> set[tuple[str, str]]:
    plan = context.plan
    found = [secret for workload in plan.workloads for secret in workload.secrets]
    found += [secret for scheduled in plan.scheduled_jobs for secret in scheduled.secrets]
    found += plan.stream_job.secrets if plan.stream_job else ()
    return {(secret.secret, secret.key) for secret in found}


async def read_secret(kubernetes: Kubernetes, namespace: str, name: str, key: str) -> str:
    """A value of a Secret. Raises RetryableError that says what is missing, and never what is there."""
    found = await kubernetes.get(SECRET, namespace, name)
    if found is None:
        raise RetryableError(f"Secret {name} is missing in namespace {namespace}; make it with a key {key}")
    value = (found.get("data") or {}).get(key)
    if value is None:
        has = ", ".join(sorted(found.get("data") or {})) or "none"
        raise RetryableError(f"Secret {name} has no key {key}; its keys: {has}")
    return base64.b64decode(value).decode()
