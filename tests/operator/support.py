"""What the operator's tests share: kubectl, pipelines as a user has them, and the operator in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import kopf
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from marketpipeline.errors import RetryableError
from marketpipeline.records import SymbolThresholds, decode
from marketpipeline_operator.application import Operator
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.errors import KindMissing, Unavailable
from marketpipeline_operator.cluster.kinds import CHILD_KINDS, EVENT, OPTIONAL_KINDS, PIPELINE_KIND, POD, Kind
from marketpipeline_operator.flink.rest import JobView, Savepoint
from marketpipeline_operator.handlers import kopf_settings, registry_of
from marketpipeline_operator.names import PIPELINE, Object
from marketpipeline_operator.settings import OperatorSettings
from marketpipeline_operator.status.conditions import find

from tests.conftest import wait_for
from tests.support.broker import RunningBroker

__all__ = [
    "DEPLOYMENT",
    "FLINK",
    "RUNNING",
    "SAVEPOINT",
    "Kubectl",
    "OperatorUnderTest",
    "Pipelines",
    "ScriptedFlink",
    "eventually",
    "settings_for",
    "thresholds_in",
    "topics_of",
]

T = TypeVar("T")
FLINK = next(kind for kind in OPTIONAL_KINDS if kind.kind == "FlinkDeployment")
DEPLOYMENT = next(kind for kind in CHILD_KINDS if kind.kind == "Deployment")
_CONTAINER = {"name": "process", "image": "image", "imageID": "id", "ready": True, "restartCount": 0, "started": True}
RUNNING: Object = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [_CONTAINER | {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
}
QUICK: dict[str, Any] = {
    "reconcile": {"interval": 30, "resync": 600, "backoff_initial": 0.2, "backoff_max": 2},
    "deletion": {"ingestion": 6, "job": 8, "sinks": 10, "topics": 12},
    "flink": {"savepoint_timeout": 3, "rest_url": "http://127.0.0.1:9"},
}

_STATE = "file:///state/state-0123456789abcdef"
SAVEPOINT = f"{_STATE}/savepoint-1"
"""Where a scripted job leaves its savepoint."""


class Kubectl:
    """The command, as an administrator. Fails the test with what it printed."""

    def __init__(self, program: str, kubeconfig: Path) -> None:
        self.program = program
        self.kubeconfig = kubeconfig

    def __call__(self, *arguments: str, stdin: str | None = None, status: int = 0) -> str:
        """What it printed, on both streams where a `status` other than 0 is expected."""
        command = [self.program, f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout if status == 0 else done.stdout + done.stderr

    def apply(self, *things: Object) -> None:
        """Server-side apply."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(things)}
        self("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(items))

    def define(self, crd: Object) -> None:
        """Apply a CRD and wait until its objects can be asked for: while their storage begins, that is answered 429."""
        name = crd["metadata"]["name"]
        self.apply(crd)
        established = ("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
        wait_for(lambda: self.succeeds(*established), f"{name} established")  # one without any status is an error
        wait_for(lambda: self.succeeds("get", name, "--all-namespaces"), f"{name} served")

    def succeeds(self, *arguments: str) -> bool:
        """Whether kubectl ends with status 0."""
        command = [self.program, f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    def drop_namespace(self, name: str) -> None:
        """Delete it without waiting; pipelines in it get no ordered deletion, since their operator is gone."""
        patch = '{"metadata":{"finalizers":null}}'
        for pipeline in self("get", "mp", f"--namespace={name}", "--output=name").split():
            self("patch", pipeline, f"--namespace={name}", "--type=merge", f"--patch={patch}")
        self("delete", "namespace", name, "--wait=false")


async def eventually(
    condition: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = 60.0, every: float = 0.05
) -> T:
    """The first true value of `condition`; the test fails, naming `what`, when there is none in time.

    An API server that is busy for a moment, as it is with a CRD that has just changed, is asked again.
    """
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(Unavailable):
            if value := await condition():
                return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(every)


class Pipelines:
    """Pipelines of one namespace, as a user makes, edits and reads them."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self.kubernetes = kubernetes
        self.namespace = namespace

    async def create(self, name: str = "crypto", *, address: str = "127.0.0.1:1", **spec: Any) -> Object:
        """A pipeline of two symbols at a broker; by default one that does not answer."""
        spec = {"symbols": ["binance:BTCUSDT", "binance:ETHUSDT"]} | spec
        spec["broker"] = {"bootstrapServers": address} | spec.get("broker", {})
        spec["processing"] = {"mode": "standalone"} | spec.get("processing", {})
        thing = {
            "apiVersion": PIPELINE_KIND.api_version,
            "kind": PIPELINE_KIND.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        return await self.kubernetes.create(PIPELINE_KIND, self.namespace, thing)

    async def edit(self, name: str = "crypto", **spec: Any) -> Object:
        """Merge into the spec."""
        return await self.kubernetes.merge(PIPELINE_KIND, self.namespace, name, {"spec": spec})

    async def annotate(self, name: str = "crypto", **annotations: str | None) -> Object:
        """Set annotations, `_` of a keyword standing for `-`, below our prefix."""
        marks = {f"marketpipeline.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        return await self.kubernetes.merge(PIPELINE_KIND, self.namespace, name, {"metadata": {"annotations": marks}})

    async def get(self, name: str = "crypto") -> Object | None:
        return await self.kubernetes.get(PIPELINE_KIND, self.namespace, name)

    async def delete(self, name: str = "crypto") -> None:
        await self.kubernetes.delete(PIPELINE_KIND, self.namespace, name)

    async def condition(self, kind: str, name: str = "crypto") -> Object:
        """A condition, empty where there is none."""
        found = await self.get(name)
        return find(found, kind) if found else {}

    async def until(self, kind: str, *, seconds: float = 60, name: str = "crypto", **wanted: str) -> Object:
        """Wait until a condition has the fields that are given; `reason` and `message` match a part of the text."""

        async def holds() -> Object | None:
            found = await self.condition(kind, name)
            met = found and all(str(value) in str(found.get(key)) for key, value in wanted.items())
            return found if met else None

        try:
            return await eventually(holds, f"{kind} {wanted}", seconds=seconds)
        except pytest.fail.Exception:
            pytest.fail(f"{kind} is not {wanted}: {json.dumps((await self.get(name) or {}).get('status'), indent=1)}")

    async def children(self, name: str = "crypto", *, kinds: tuple[Kind, ...] = CHILD_KINDS) -> dict[str, Object]:
        """Children by `Kind/name`."""
        found = {}
        for kind in kinds:
            async for thing in self.kubernetes.list(kind, self.namespace, f"{PIPELINE}={name}"):
                found[f"{kind.kind}/{thing['metadata']['name']}"] = thing
        return found

    async def deployments(self, name: str = "crypto") -> dict[str, Object]:
        """Deployments by what follows the pipeline's name."""
        found = await self.children(name, kinds=(DEPLOYMENT,))
        return {key.partition("/")[2].removeprefix(f"{name}-"): thing for key, thing in found.items()}

    async def events(self, name: str = "crypto") -> dict[str, str]:
        """Messages of the pipeline's events by reason; the last of each."""
        found = [e async for e in self.kubernetes.list(EVENT, self.namespace)]
        mine = [
            e for e in found if e["involvedObject"]["name"] == name and e["involvedObject"]["kind"] == "MarketPipeline"
        ]
        return {event["reason"]: event["message"] for event in mine}

    async def flink(self, state: str = "RUNNING", lifecycle: str = "STABLE", error: str | None = None) -> Object:
        """Be Flink's operator: it has taken up the newest generation, and this has become of it."""
        live = await self.kubernetes.get(FLINK, self.namespace, "crypto-job")
        assert live is not None
        generation = live["metadata"]["generation"]
        status = {"lifecycleState": lifecycle, "jobStatus": {"state": state}, "observedGeneration": generation}
        await self.set_status(FLINK, "crypto-job", status | {"error": error})
        return live

    async def set_status(self, kind: Kind, name: str, status: Object) -> None:
        """Be the controller of a child."""
        await self.kubernetes.merge(kind, self.namespace, name, {"status": status}, subresource="status")

    async def pods(self, name: str = "crypto") -> list[Object]:
        """Pods of a pipeline that are to stay."""
        found = [pod async for pod in self.kubernetes.list(POD, self.namespace, f"{PIPELINE}={name}")]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def run(self) -> None:
        """Be the kubelet until the pipeline is Ready."""

        async def ready() -> bool:
            return (await self.condition("Ready")).get("status") == "True"

        await self.make_ready(until=ready)

    async def make_ready(self, name: str = "crypto", *, until: Callable[[], Awaitable[bool]] | None = None) -> None:
        """Be the kubelet: every Pod is ready, until Kubernetes' own controller says so of every Deployment.

        A Deployment that is still to be changed is ready as it is, so who awaits a change says `until` when.
        """

        async def ready() -> bool:
            for pod in await self.pods(name):
                if pod["status"].get("phase") != "Running":
                    with contextlib.suppress(KindMissing):  # its Deployment replaced it meanwhile
                        await self.set_status(POD, pod["metadata"]["name"], RUNNING)
            found = (await self.deployments(name)).values()
            there = bool(found) and all(
                thing["status"].get("readyReplicas", 0) == thing["spec"]["replicas"] for thing in found
            )
            return there and (until is None or await until())

        await eventually(ready, "ready Pods")


def settings_for(*namespaces: str, **more: Any) -> OperatorSettings:
    """The operator's settings for a test's namespaces, with short waits."""
    merged = {**QUICK, **{key: {**QUICK.get(key, {}), **value} for key, value in more.items()}}
    return OperatorSettings(namespaces=list(namespaces), **merged)


class OperatorUnderTest:
    """The operator, kopf's watches included, in the test's own event loop."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._kubeconfig = kubeconfig
        self.namespaces = [namespace]
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self.operator: Operator | None = None
        self.kubernetes: Kubernetes | None = None

    async def start(self, kubeconfig: Path | None = None, **settings: Any) -> Operator:
        """Start it; keywords are branches of its settings."""
        found = settings_for(*self.namespaces, **settings)
        self.kubernetes = Kubernetes.connect(kubeconfig=str(kubeconfig or self._kubeconfig))
        self.operator = operator = Operator(self.kubernetes, found, "test")
        await operator.look_around()
        self._stop = asyncio.Event()
        watching = kopf.operator(
            registry=registry_of(operator.watched, operator, self.kubernetes.credentials),
            settings=kopf_settings(found),
            namespaces=found.namespaces,
            stop_flag=self._stop,
        )
        self._task = asyncio.create_task(watching)
        self._health = asyncio.create_task(operator.health.run())
        return operator

    async def stop(self) -> None:
        """Stop it at once, as a kill does for all that the API server sees: nothing is said on the way out."""
        if self.operator is None or self.kubernetes is None or self._task is None:
            return
        await self.operator.close()
        self._health.cancel()
        self._stop.set()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self._task, 1)  # then kopf waits for tasks that are the test's
        self.kubernetes.close()
        self.operator = None

    @property
    def writes(self) -> int:
        """Requests so far that wrote something."""
        assert self.kubernetes is not None
        return sum(count for (verb, _, _), count in self.kubernetes.requests.items() if verb != "GET")


def thresholds_in(broker: RunningBroker, prefix: str) -> list[SymbolThresholds]:
    """Every record of a thresholds topic, in order."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "none", "enable.partition.eof": True})
    consumer.assign([TopicPartition(f"{prefix}.thresholds", 0, OFFSET_BEGINNING)])
    found = []
    while (message := consumer.poll(10)) is not None and message.error() is None:
        record = decode(message.value() or b"")
        assert isinstance(record, SymbolThresholds)
        found.append(record)
    consumer.close()
    return found


def topics_of(broker: RunningBroker, prefix: str) -> set[str]:
    names = AdminClient({"bootstrap.servers": broker.address}).list_topics(timeout=10).topics
    return {name for name in names if name.startswith(f"{prefix}.")}


class ScriptedFlink:
    """A JobManager with one job, as far as REST tells."""

    def __init__(self) -> None:
        self.state = "RUNNING"
        self.savepoint_path: str | None = None
        self.stops = 0
        self.finish = True
        self.away = False
        self.kept: list[str] = []
        self.removed: list[str] = []
        self.found: tuple[tuple[str, int], ...] = ()
        self.id, self.origin, self.reason = "job-1", "new", "starts from the beginning of its topics"
        self.follows: tuple[str, str] | None = None
        """Of the job that comes after the next stop, `begin`'s arguments: where Pods may be ready before a test could
        say it, the one that was stopped is told of the new ones otherwise, and is stopped again."""

    def begin(self, origin: str, reason: str) -> None:
        """Another job runs, which says this of its state."""
        self.id, self.origin, self.reason, self.state = f"{self.id}+", origin, reason, "RUNNING"

    async def job(self, address: str) -> JobView | None:
        if self.away:
            raise RetryableError("Flink is away")
        told: dict[str, Any] = {"directory": _STATE, "origin": self.origin, "reason": self.reason}
        told |= {"savepoints": self.found, "completed_at": 1_750_000_000.0}
        return JobView(self.id, self.state, self.savepoint_path, "file:///state/chk-9", **told)

    async def take(self, address: str, job: str, directory: str) -> str:
        assert (job, directory) == (self.id, f"{_STATE}/savepoints")
        self.kept.append(f"{directory}/savepoint-{len(self.kept)}")
        return "kept"

    async def dispose(self, address: str, location: str) -> str | None:
        self.removed.append(location)
        return None

    async def stop(self, address: str, job: str, directory: str | None) -> str:
        assert directory == _STATE, "a savepoint goes where the job looks for it"
        self.stops += 1
        return "trigger"

    async def savepoint(self, address: str, job: str, trigger: str) -> Savepoint:
        if not self.finish:
            return Savepoint(done=False)
        if trigger == "kept":
            return Savepoint(done=True, location=self.kept[-1])
        self.state, self.savepoint_path = "FINISHED", SAVEPOINT
        if self.follows:
            self.begin(*self.follows)
        return Savepoint(done=True, location=SAVEPOINT)
