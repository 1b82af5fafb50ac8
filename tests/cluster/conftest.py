"""A real Kubernetes for the session, images built from the work tree, a namespace for each module.

`MARKETPIPELINE_TEST_CLUSTER=kind` runs the same on kind. `MARKETPIPELINE_TEST_CLUSTER_KEEP=1` leaves the cluster up
at the end, so that the next run need not start it and a person can look around.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.image import Image
from tests.cluster.kubectl import Kubectl
from tests.cluster.platform import KEEP, Cluster, chosen_cluster, running_cluster
from tests.cluster.stack import OPERATOR_NAMESPACE, servers_of
from tests.conftest import require

_HERE = Path(__file__).parent
_NAMESPACE = pytest.StashKey[Kubectl]()
_FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One cluster, so one worker where tests are spread over several; the first test may have to compile Kubernetes."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.xdist_group("cluster"))
            item.add_marker(pytest.mark.timeout(1200), append=False)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, up, and this session's alone."""
    missing = chosen_cluster("tests").missing()
    require(missing is None, missing or "")
    with running_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def kubectl_default(cluster: Cluster) -> Kubectl:
    """kubectl with an administrator's rights, in the namespace `default`."""
    return Kubectl(cluster.kubectl(), cluster.kubeconfig())


@pytest.fixture(scope="session")
def built(cluster: Cluster) -> Callable[..., None]:
    """Build and load images that a test is about to use; each one once a session."""
    done: set[str] = set()

    def build(*images: Image) -> None:
        for image in images:
            if image.tag not in done:
                cluster.build(image)
                done.add(image.tag)

    return build


@pytest.fixture(scope="module")
def kubectl(request: pytest.FixtureRequest, kubectl_default: Kubectl) -> Iterator[Kubectl]:
    """kubectl in a new namespace of this module, removed at the end."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    kubectl_default("create", "namespace", namespace)
    found = kubectl_default.within(namespace)
    request.config.stash[_NAMESPACE] = found
    yield found
    if not os.environ.get(KEEP):
        kubectl_default("delete", "namespace", namespace, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A failure on the cluster is told with the Pods, events and logs of the namespace it happened in."""
    report = yield
    found = item.config.stash.get(_NAMESPACE, None)
    if report.failed and found is not None and item.path.is_relative_to(_HERE) and _FAILED not in item.config.stash:
        item.config.stash[_FAILED] = True  # the first failure tells it; those that follow from it need not
        for namespace in (found.namespace, servers_of(found).namespace, OPERATOR_NAMESPACE):
            report.sections.append((f"namespace {namespace}", found.within(namespace).report()))
    return report
