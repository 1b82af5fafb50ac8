"""The bundle for the Operator Lifecycle Manager: as the manager's own definition wants it, and what manifests/operator
installs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from marketpipeline_operator.install import documents

from tests.conftest import PROJECT, require
from tests.operator.support import Kubectl

BUNDLE = PROJECT / "manifests" / "olm"
DEFINITION = PROJECT / ".cache" / "olm" / "operators.coreos.com_clusterserviceversions.yaml"


OTHERS = (
    "manifests/edit.clusterrole.yaml",
    "manifests/metrics.service.yaml",
    "manifests/settings.configmap.yaml",
    "manifests/view.clusterrole.yaml",
)
"""Objects that are applied beside what the ClusterServiceVersion has."""


def read(path: str) -> Any:
    return yaml.safe_load((BUNDLE / path).read_text())


@pytest.fixture
def version() -> Any:
    return read("manifests/marketpipeline-operator.clusterserviceversion.yaml")


def test_the_api_server_takes_every_object_of_it(
    kubectl: Kubectl, namespace: str, version: Any, tmp_path: Path
) -> None:
    require(DEFINITION.exists(), "the definition of a ClusterServiceVersion is absent: make setup-test fetches it")
    kubectl.define(yaml.safe_load(DEFINITION.read_text()))
    taken = ("apply", "--server-side", "--force-conflicts", f"--namespace={namespace}", "--dry-run=server")
    for path in sorted((BUNDLE / "manifests").iterdir()):
        kubectl(*taken, "--validate=strict", f"--filename={path}")
    version["spec"]["installModes"][0]["supported"] = "sometimes"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(json.dumps(version))
    assert "spec.installModes[0].supported" in kubectl(*taken, f"--filename={wrong}", status=1)


def test_it_installs_the_same_operator_with_the_same_rights(version: Any) -> None:
    install = version["spec"]["install"]["spec"]
    objects = {(thing["kind"], thing["metadata"]["name"]): thing for file in documents().values() for thing in file}
    name = "marketpipeline-operator"
    (deployment,) = install["deployments"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    own = container.pop("env")
    assert [one["name"] for one in own] == ["MARKETPIPELINE_LEASE__NAMESPACE"]
    assert deployment["spec"] == objects["Deployment", name]["spec"]
    assert install["clusterPermissions"][0]["rules"] == objects["ClusterRole", name]["rules"]
    assert install["permissions"][0]["rules"] == objects["Role", f"{name}-lease"]["rules"]
    beside = {(one["kind"], one["metadata"]["name"]) for one in map(read, sorted(OTHERS))}
    inside = {(kind, name) for kind in ("Deployment", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")}
    inside |= {("Namespace", "marketpipeline-system"), ("Role", f"{name}-lease"), ("RoleBinding", f"{name}-lease")}
    assert objects.keys() - inside == beside
    used = {container["image"]} | {one["image"] for one in version["spec"]["relatedImages"]}
    chart = yaml.safe_load((PROJECT / "helm" / name / "Chart.yaml").read_text())
    listed = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert used == {one["image"] for one in listed}


def test_its_labels_are_those_of_its_image() -> None:
    labels = read("metadata/annotations.yaml")["annotations"]
    lines = [line.removeprefix("LABEL ") for line in (BUNDLE / "bundle.Dockerfile").read_text().splitlines()]
    assert [line for line in lines if "=" in line] == [f"{name}={value}" for name, value in labels.items()]
    for folder in ("manifests", "metadata"):
        assert (BUNDLE / labels[f"operators.operatorframework.io.bundle.{folder}.v1"]).is_dir()
