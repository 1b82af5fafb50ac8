"""A real API server for the operator's tests: the control plane alone, without a node, so Pods stay Pending.

What a kubelet would do, a test does: it sets a Deployment's status. Pure tests take none of these fixtures.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml
from marketpipeline_operator.cluster.client import Kubernetes

from tests.cluster.platform import OneNode
from tests.conftest import PROJECT, require
from tests.operator.support import Kubectl, OperatorUnderTest, Pipelines
from tests.support.broker import broker  # noqa: F401
from tests.support.clickhouse import clickhouse  # noqa: F401
from tests.support.postgres import postgres  # noqa: F401
from tests.support.valkey import valkey  # noqa: F401

NAME = f"operator-{hashlib.sha1(str(PROJECT).encode()).hexdigest()[:6]}"
"""One cluster for each clone of the project, so that they do not meet."""
FLINK_CRD = Path(__file__).parent / "flink_crd.yaml"
CRD = PROJECT / "crds" / "marketpipelines.marketpipeline.dev.yaml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test with a cluster may have to compile Kubernetes; one cluster, so one worker for all of them."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and "kubectl" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("operator-cluster"))
            item.add_marker(pytest.mark.timeout(1200), append=False)


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """The API server, this session's alone: another of the same clone waits for its end.

    MARKETPIPELINE_TEST_CLUSTER_KEEP=1 leaves it up.
    """
    cluster = OneNode(NAME, node=False)
    missing = cluster.missing()
    require(missing is None, missing or "")
    (PROJECT / ".cache").mkdir(exist_ok=True)
    with (PROJECT / ".cache" / "operator-cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cluster.up()
        if not os.environ.get("MARKETPIPELINE_TEST_CLUSTER_KEEP"):
            cluster.down()


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    """kubectl as an administrator; CRD and the operator's namespace are there."""
    found = Kubectl(OneNode(NAME, node=False).kubectl(), kubeconfig)
    found.define(yaml.safe_load(CRD.read_text()))
    found.apply(*yaml.safe_load_all((PROJECT / "manifests" / "operator" / "namespace.yaml").read_text()))
    return found


@pytest.fixture(scope="session")
def flink_crd(kubectl: Kubectl) -> None:
    """A cluster with Flink's operator, as far as the API server can tell."""
    kubectl.define(yaml.safe_load(FLINK_CRD.read_text()))


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl.drop_namespace(name)


@pytest.fixture
async def kubernetes(kubeconfig: Path, kubectl: Kubectl) -> AsyncIterator[Kubernetes]:
    """The operator's own client, as an administrator."""
    client = Kubernetes.connect(kubeconfig=str(kubeconfig))
    yield client
    client.close()


@pytest.fixture
def pipelines(kubernetes: Kubernetes, namespace: str) -> Pipelines:
    """Pipelines and their children as a test sees them."""
    return Pipelines(kubernetes, namespace)


@pytest.fixture
async def operator(kubeconfig: Path, kubectl: Kubectl, namespace: str) -> AsyncIterator[OperatorUnderTest]:
    """The operator over the test's namespace; a test starts it, and may stop and start it again."""
    found = OperatorUnderTest(kubeconfig, namespace)
    yield found
    await found.stop()
