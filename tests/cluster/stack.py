"""What the cluster tests start around a pipeline: the servers, the exchange, and short-lived clients."""

from __future__ import annotations

import json
import textwrap
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

from tests.cluster.charts import OPERATOR_CHART, Release
from tests.cluster.image import REGISTRY, TAG, Image
from tests.cluster.kubectl import Kubectl
from tests.conftest import PROJECT, wait_for

__all__ = [
    "MANIFESTS",
    "OPERATOR_NAMESPACE",
    "await_service_account",
    "operator_installed",
    "run_python",
    "servers_of",
    "stack_values",
    "values",
]

MANIFESTS = Path(__file__).parent / "manifests"
OPERATOR_NAMESPACE = "marketpipeline-system"
_OPERATOR_VALUES = "settings: {reconcile: {interval: 20}}"
"""Looks at what nobody tells it, as a Secret, sooner than by default."""


def servers_of(kubectl: Kubectl) -> Kubectl:
    """The namespace beside a pipeline's, of what is not the pipeline's: broker and exchanges."""
    return kubectl.within(f"{kubectl.namespace}-servers")


def values(kubectl: Kubectl, **more: str) -> dict[str, str]:
    """What the manifests leave open."""
    servers = servers_of(kubectl).namespace
    return {"registry": REGISTRY, "tag": TAG, "namespace": kubectl.namespace, "servers": servers, **more}


def stack_values(kubectl: Kubectl, symbols: Iterable[str]) -> str:
    """Values of the chart market-stack, whose pipeline follows these symbols."""
    text = (MANIFESTS / "market-stack.yaml").read_text()
    return Template(text).substitute(values(kubectl, symbols=", ".join(symbols)))


@contextmanager
def operator_installed(
    kubectl: Kubectl, chart: Path = OPERATOR_CHART, options: Iterable[str] = ()
) -> Iterator[Release]:
    """The operator by its chart, in a namespace that takes only Pods that are `restricted`; the CRD goes at the end."""
    kubectl("apply", f"--filename={PROJECT / 'manifests' / 'operator' / 'namespace.yaml'}")
    own = kubectl.within(OPERATOR_NAMESPACE)
    await_service_account(own)
    release = Release(own, chart, _OPERATOR_VALUES)
    try:
        release.install(*options)
        yield release
    finally:
        release.uninstall()
        own("delete", "namespace", OPERATOR_NAMESPACE, "--wait=false")
        kubectl("delete", f"--filename={PROJECT / 'crds'}", "--ignore-not-found", "--timeout=60s", seconds=70)


def await_service_account(kubectl: Kubectl) -> None:
    """A new namespace takes Pods only when its default service account is there."""
    wait_for(
        lambda: kubectl("get", "serviceaccount", "default", "--ignore-not-found", "--output=name"),
        f"the default service account of {kubectl.namespace}",
    )


def run_python(
    kubectl: Kubectl, image: Image, program: str, *, secret: tuple[str, str] | None = None, seconds: float = 60.0
) -> str:
    """Run a program in a new Pod of `image`, to its end, and give what it printed.

    `secret` (name, key) is PASSWORD to it, and the stores' authority AUTHORITY.
    """
    name = f"client-{uuid.uuid4().hex[:8]}"
    container: dict[str, object] = {
        "name": "client",
        "image": image.tag,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", textwrap.dedent(program)],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if secret is not None:
        container["env"] = [
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}
            for variable, (name, key) in (("PASSWORD", secret), ("AUTHORITY", ("stores-tls", "ca.crt")))
        ]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
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
