"""The cluster itself: a Ready node, names that resolve, and a Pod of our image with no right that it does not need."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.image import COMPONENTS, Image
from tests.cluster.kubectl import Kubectl
from tests.cluster.stack import MANIFESTS, await_service_account

IMAGE = next(image for image in COMPONENTS if image.name == "ingestion")


def test_the_node_is_ready_and_runs_what_the_suite_says(kubectl_default: Kubectl) -> None:
    (node,) = kubectl_default.get("nodes")["items"]
    conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert kubectl_default("get", "--raw", "/readyz") == "ok"


def test_a_pod_of_our_image_runs_restricted_and_resolves_names(
    kubectl: Kubectl, built: Callable[[Image], None]
) -> None:
    """The namespace enforces the `restricted` Pod standard, so that a Pod that wants more is refused."""
    built(IMAGE)
    kubectl("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    await_service_account(kubectl)
    kubectl.apply(MANIFESTS / "smoke.yaml", {"image": IMAGE.tag, "namespace": kubectl.namespace})

    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/smoke", "--timeout=60s", seconds=70)

    uid, address, root = kubectl("logs", "pod/smoke").splitlines()
    assert uid == "uid 65532"
    assert address == f"address {kubectl('get', 'service', 'smoke', '--output=jsonpath={.spec.clusterIP}')}"
    assert root == "root is read-only"
