"""Secrets that the Pods refer to: that they are there, have the key, and whether they changed.

A process reads its passwords when it starts, so a change replaces its Pods. What tells a change is the version of the
Secret; a hash of the value would let whoever reads Pods guess at it. A label or an annotation makes another version
too: this process knows, by hashes that it alone can make, since which version the values are these.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from marketpipeline.errors import RetryableError

from marketpipeline_operator.builders import Context
from marketpipeline_operator.builders.context import digest
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.kinds import SECRET
from marketpipeline_operator.names import SECRETS, Object
from marketpipeline_operator.observe.background import BackgroundTask
from marketpipeline_operator.observe.components import Fault

__all__ = ["SecretsSeen", "SecretsState", "observe_secrets", "read_secret", "secrets_of_pods"]

_AGAIN_SECONDS = 5.0
_KEY = secrets.token_bytes(32)
"""Of the hashes: nobody who sees one can guess at values with it."""


@dataclass(frozen=True)
class _Version:
    """A Secret's resourceVersion, a hash of its values, and the first version that was seen with just these."""

    number: str
    values: str
    since: str

    def is_as(self, number: str) -> bool:
        """Whether an earlier version had the same values, as far as this process knows."""
        return number == self.number or int(self.since) <= int(number) <= int(self.number)


@dataclass(frozen=True)
class SecretsSeen:
    """The Secrets that are there, by name, and what is missing, in words."""

    versions: Mapping[str, _Version]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class SecretsState:
    """What is known to be missing, when to look again if anything is, and whether nothing is known yet.

    `entries` is what the status keeps of each Secret: its version, and how often its readers were replaced.
    """

    faults: tuple[Fault, ...] = ()
    again: float | None = None
    pending: bool = False
    entries: Sequence[Object] = ()

    @property
    def changes(self) -> dict[str, int]:
        """By name, of those that have changed: how often."""
        return {entry["name"]: entry["changes"] for entry in self.entries if entry["changes"]}


def observe_secrets(
    context: Context,
    kubernetes: Kubernetes,
    task: BackgroundTask[SecretsSeen],
    before: Sequence[Object],
    lost: Callable[[], Sequence[Object]] = tuple,
    *,
    ignore_changes: bool = False,
) -> SecretsState:
    """Look at the Secrets when it is time, and say what is known. `before` is the status's part, `lost` what is known
    where that is empty. Does not wait."""
    count = not ignore_changes
    read_once = {name for name, _ in _references(context)}
    wanted = sorted(_references(context) | _followed(context))
    if not wanted:
        return SecretsState()
    before, mark = before or lost(), digest(wanted)

    async def work() -> SecretsSeen:
        versions: dict[str, _Version] = {}
        missing = []
        for name, key in wanted:
            try:
                secret = await _secret_with(kubernetes, context.namespace, name, key)
                if name in read_once:
                    versions[name] = _version(secret, known.versions.get(name) if known else None)
            except RetryableError as error:
                missing.append(str(error))
        return SecretsSeen(versions, tuple(missing))

    known = task.result(mark)
    age = _AGAIN_SECONDS if known and known.missing else context.settings.reconcile.interval
    task.ask(mark, work, max_age=age)
    names = sorted(read_once)
    if known is None:
        return SecretsState(pending=task.error(mark) is None, entries=_entries(names, before, {}, count))
    faults = tuple(Fault("SecretMissing", text) for text in known.missing)
    entries = _entries(names, before, known.versions, count)
    return SecretsState(faults, _AGAIN_SECONDS if faults else None, entries=entries)


def _version(secret: Object, before: _Version | None) -> _Version:
    values = hashlib.blake2b(json.dumps(secret["data"], sort_keys=True).encode(), key=_KEY, digest_size=16).hexdigest()
    number = secret["metadata"]["resourceVersion"]
    return _Version(number, values, before.since if before and before.values == values else number)


def _entries(
    names: Sequence[str], before: Sequence[Object], versions: Mapping[str, _Version], count: bool
) -> list[Object]:
    """The first version that is seen changes nothing: the Pods may have started with it."""
    known = {entry["name"]: entry for entry in before}
    found = []
    for name in names:
        old, version = known.get(name), versions.get(name)
        if version is None:
            found += [old] if old else []
        elif old is None or not old["version"]:
            found.append({"name": name, "version": version.number, "changes": old["changes"] if old else 0})
        else:
            changed = count and not version.is_as(old["version"])
            found.append({"name": name, "version": version.number, "changes": old["changes"] + changed})
    return found


def secrets_of_pods(templates: Iterable[Object]) -> list[Object]:
    """The status's part as far as the marks of Pods tell it, where the status was lost: how often each has changed."""
    marks = (template.get("metadata", {}).get("annotations", {}).get(SECRETS, "") for template in templates)
    counts: dict[str, int] = {}
    for name, _, count in (part.partition("=") for mark in marks for part in mark.split()):
        counts[name] = max(int(count) if count.isdecimal() else 0, counts.get(name, 0))
    return [{"name": name, "version": "", "changes": count} for name, count in counts.items()]


def _references(context: Context) -> set[tuple[str, str]]:
    plan = context.plan
    found = [secret for workload in plan.workloads for secret in workload.secrets]
    found += [each for w in plan.workloads if w.preparation for each in w.preparation.secrets]
    found += [secret for scheduled in plan.scheduled_jobs for secret in scheduled.secrets]
    found += plan.stream_job.secrets if plan.stream_job else ()
    return {(secret.secret, secret.key) for secret in found}


def _followed(context: Context) -> set[tuple[str, str]]:
    """Secrets that a process reads as a folder, in which it sees their changes by itself; '' is any key."""
    folders = [folder for workload in context.plan.workloads for folder in workload.secret_folders]
    return {(folder.secret, key) for folder in folders for key in folder.keys or ("",)}


async def read_secret(kubernetes: Kubernetes, namespace: str, name: str, key: str) -> str:
    """A value of a Secret. Raises RetryableError that says what is missing, and never what is there."""
    found = await _secret_with(kubernetes, namespace, name, key)
    return base64.b64decode(found["data"][key]).decode()


async def _secret_with(kubernetes: Kubernetes, namespace: str, name: str, key: str) -> Object:
    found = await kubernetes.get(SECRET, namespace, name)
    if found is None:
        wanted = f"a key {key}" if key else "an entry for each client"
        raise RetryableError(f"Secret {name} is missing in namespace {namespace}; make it with {wanted}")
    if not key and found.get("data"):
        return found
    if (found.get("data") or {}).get(key) is None:
        has = ", ".join(sorted(found.get("data") or {})) or "none"
        raise RetryableError(f"Secret {name} has no {f'key {key}' if key else 'entry'}; its keys: {has}")
    return found
