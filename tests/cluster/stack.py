"""What the cluster tests start around a pipeline: the servers, the exchange, and short-lived clients."""

from __future__ import annotations

import json
import textwrap
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.image import REGISTRY, TAG, Image
from tests.cluster.kubectl import Kubectl
from tests.conftest import PROJECT, wait_for

__all__ = [
    "MANIFESTS",
    "OPERATOR_NAMESPACE",
    "apply_stack",
    "await_service_account",
    "operator_installed",
    "run_python",
    "values",
]

MANIFESTS = Path(__file__).parent / "manifests"
OPERATOR_NAMESPACE = "marketpipeline-system"


def values(kubectl: Kubectl, **more: str) -> dict[str, str]:
    """What the manifests leave open."""
    return {"registry": REGISTRY, "tag": TAG, "namespace": kubectl.namespace, **more}


def apply_stack(kubectl: Kubectl) -> None:
    """A broker, PostgreSQL and Valkey, Ready."""
    await_service_account(kubectl)
    kubectl.apply(MANIFESTS / "kafka.yaml", values(kubectl))
    kubectl.apply(MANIFESTS / "stores.yaml", values(kubectl))
    kubectl.await_rollout("deployment/kafka", "deployment/postgresql", "deployment/valkey")


@contextmanager
def operator_installed(kubectl: Kubectl) -> Iterator[None]:
    """The CRD and the operator by the project's own manifests, as a user applies them; removed at the end."""
    crds, operator = PROJECT / "crds", PROJECT / "manifests" / "operator"
    kubectl("apply", "--server-side", f"--filename={crds}")
    kubectl("wait", "--for=condition=Established", f"--filename={crds}", "--timeout=30s")
    kubectl("apply", f"--filename={operator / 'namespace.yaml'}")
    own = kubectl.within(OPERATOR_NAMESPACE)
    own("apply", f"--filename={operator}")
    own.await_rollout("deployment/marketpipeline-operator")
    try:
        yield
    finally:
        own("delete", f"--filename={operator}", "--ignore-not-found", "--timeout=60s", seconds=70)
        kubectl("delete", f"--filename={crds}", "--ignore-not-found", "--timeout=60s", seconds=70)


def await_service_account(kubectl: Kubectl) -> None:
    """A new namespace takes Pods only when its default service account is there."""
    wait_for(
        lambda: kubectl("get", "serviceaccount", "default", "--ignore-not-found", "--output=name"),
        f"the default service account of {kubectl.namespace}",
    )


def run_python(
    kubectl: Kubectl, image: Image, program: str, *, secrets: Mapping[str, str] | None = None, seconds: float = 60.0
) -> str:
    """Run a program in a new Pod of `image`, to its end, and give what it printed; `secrets` are keys of `stores`."""
    name = f"client-{uuid.uuid4().hex[:8]}"
    container = {
        "name": "client",
        "image": image.tag,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", textwrap.dedent(program)],
        "env": [
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": "stores", "key": key}}}
            for variable, key in (secrets or {}).items()
        ],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    kubectl("apply", "--filename=-", stdin=json.dumps(pod))
    phase = wait_for(lambda: _ended(kubectl, name), f"the end of {name}", seconds=seconds, every=0.2)
    printed = kubectl("logs", name).strip()
    assert phase == "Succeeded", printed
    kubectl("delete", "pod", name, "--wait=false")
    return printed


def _ended(kubectl: Kubectl, pod: str) -> str | None:
    phase = kubectl("get", "pod", pod, "--output=jsonpath={.status.phase}")
    return phase if phase in ("Succeeded", "Failed") else None
