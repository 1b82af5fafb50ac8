"""A real Kubernetes for the session, images built from the work tree, a namespace for each module.

`MARKETPIPELINE_TEST_CLUSTER=kind` runs the same on kind. `MARKETPIPELINE_TEST_CLUSTER_KEEP=1` leaves the cluster up
at the end, so that the next run need not start it and a person can look around.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.image import Image
from tests.cluster.kubectl import Kubectl
from tests.cluster.platform import Cluster, chosen_cluster
from tests.conftest import require

NAME = "marketpipeline-tests"
KEEP = "MARKETPIPELINE_TEST_CLUSTER_KEEP"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One cluster, so one worker where tests are spread over several; the first test may have to compile Kubernetes."""
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)):
            item.add_marker(pytest.mark.xdist_group("cluster"))
            item.add_marker(pytest.mark.timeout(1200), append=False)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, up."""
    found = chosen_cluster(NAME)
    missing = found.missing()
    require(missing is None, missing or "")
    found.up()
    yield found
    if not os.environ.get(KEEP):
        found.down()


@pytest.fixture(scope="session")
def kubectl_default(cluster: Cluster) -> Kubectl:
    """kubectl with an administrator's rights, in the namespace `default`."""
    return Kubectl(cluster.kubectl(), cluster.up())


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
def kubectl(kubectl_default: Kubectl) -> Iterator[Kubectl]:
    """kubectl in a new namespace of this module, removed at the end."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    kubectl_default("create", "namespace", namespace)
    yield kubectl_default.within(namespace)
    if not os.environ.get(KEEP):
        kubectl_default("delete", "namespace", namespace, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A failure on the cluster is told with the Pods, events and logs of its namespace."""
    report = yield
    found = getattr(item, "funcargs", {}).get("kubectl")
    if report.failed and isinstance(found, Kubectl):
        report.sections.append(("cluster", found.report()))
    return report
