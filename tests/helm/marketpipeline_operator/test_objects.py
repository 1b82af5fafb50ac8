"""The chart installs what manifests/operator installs, and what its values ask for beyond that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from marketpipeline import __version__
from marketpipeline.plan import Component
from marketpipeline_operator.crd import custom_resource_definition
from marketpipeline_operator.install import documents, namespaced, rules
from marketpipeline_operator.names import Object
from marketpipeline_operator.settings import OperatorSettings

from tests.conftest import PROJECT
from tests.helm.marketpipeline_operator.support import CHART, NAMESPACE, RELEASE, Helm, named, settings_of
from tests.support.prometheus import UnitTest, verdicts

DASHBOARDS = CHART / "files" / "dashboards"
OF_HELM = {"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}
ADDED = OF_HELM | {"checksum/settings", "helm.sh/resource-policy"}


def plain(thing: Any) -> Any:
    """Without the labels that a release adds, and the annotations that only a release needs."""
    if isinstance(thing, dict):
        kept = {key: plain(value) for key, value in thing.items() if key not in ADDED}
        return {key: value for key, value in kept.items() if not (key in ("labels", "annotations") and value == {})}
    return [plain(part) for part in thing] if isinstance(thing, list) else thing


def hook(thing: Object) -> bool:
    """Whether helm makes it at another moment than the rest."""
    return "helm.sh/hook" in thing["metadata"].get("annotations", {})


def keyed(things: list[Object]) -> dict[tuple[str, str], Object]:
    """By kind and name; settings as the operator understands them, since a release writes out some defaults."""
    found = {}
    for thing in things:
        if thing["kind"] == "ConfigMap":
            data = json.loads(thing["data"]["settings.json"])
            thing = thing | {"data": OperatorSettings(**data)}
        found[thing["kind"], thing["metadata"]["name"]] = thing
    return found


def deployment(things: list[Object]) -> Any:
    (found,) = named(things, "Deployment").values()
    return found["spec"]["template"]


def container(things: list[Object]) -> Any:
    return deployment(things)["spec"]["containers"][0]


def test_by_default_it_is_what_the_manifests_are(helm: Helm) -> None:
    wanted = [thing for part in documents().values() for thing in part if thing["kind"] != "Namespace"]
    rendered = [plain(thing) for thing in helm.render() if not hook(thing)]
    crd = custom_resource_definition()
    crd["metadata"]["labels"] = {"app.kubernetes.io/name": RELEASE}
    assert keyed(rendered) == keyed([*wanted, crd])


def test_every_object_has_the_labels_of_its_release(helm: Helm) -> None:
    for thing in helm.render():
        assert thing["metadata"]["labels"].keys() >= OF_HELM, thing["metadata"]["name"]


def test_the_crd_stays_when_the_release_goes_unless_told_otherwise(helm: Helm) -> None:
    def crd(**values: Any) -> dict[str, Object]:
        return named(helm.render(crds=values), "CustomResourceDefinition")

    ((name, kept),) = crd().items()
    assert kept["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in crd(keep=False)[name]["metadata"]
    assert crd(install=False) == {}


def test_an_operator_of_some_namespaces_has_roles_in_these_and_none_of_the_cluster(helm: Helm) -> None:
    things = helm.render(namespaces=["one", "two"])
    assert not [thing for thing in things if thing["kind"] in ("ClusterRole", "ClusterRoleBinding")]
    found = keyed([plain(thing) for thing in things if thing["metadata"].get("namespace") == "two"])
    assert found == keyed(namespaced("two"))
    assert named(things, "Role").keys() == {
        f"one/{RELEASE}",
        f"two/{RELEASE}",
        f"{NAMESPACE}/{RELEASE}-lease",
    }
    assert named(things, "RoleBinding").keys() == named(things, "Role").keys()
    assert settings_of(things).namespaces == ["one", "two"]


def test_two_releases_share_nothing(helm: Helm) -> None:
    """The names, what selects the Pods, and the Lease are those of the release."""
    first, second = helm.render("blue"), helm.render("green")
    mine = {(thing["kind"], thing["metadata"]["name"]) for thing in first}
    shared = mine & {(thing["kind"], thing["metadata"]["name"]) for thing in second}
    assert {kind for kind, _ in shared} == {"CustomResourceDefinition"}
    assert settings_of(first).lease.name == "blue-marketpipeline-operator"
    (one,), (other,) = (named(things, "Deployment").values() for things in (first, second))
    assert one["spec"]["selector"] != other["spec"]["selector"]
    assert one["spec"]["selector"]["matchLabels"].items() <= one["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ({}, f"marketpipeline/operator:{__version__}"),
        ({"repository": "example.org/op", "tag": "1.2"}, "example.org/op:1.2"),
        ({"tag": "1.2", "digest": f"sha256:{'0' * 64}"}, f"marketpipeline/operator@sha256:{'0' * 64}"),
    ],
)
def test_the_operators_image(helm: Helm, image: dict[str, str], wanted: str) -> None:
    assert container(helm.render(image=image))["image"] == wanted


def test_what_the_operator_is_told_reaches_its_settings(helm: Helm) -> None:
    images = {
        "registry": "example.org/mp",
        "tag": "7",
        "overrides": {"stream-job": "example.org/job@sha256:0"},
        "pullPolicy": "Always",
        "pullSecrets": ["pull"],
    }
    other = {"reconcile": {"workers": 3}, "lease": {"duration": 30}, "telemetry": {"trace_ratio": 0.5}}
    found = settings_of(helm.render(images=images, settings=other, logLevel="DEBUG"))
    assert found.images.model_dump() == {
        "registry": "example.org/mp",
        "tag": "7",
        "overrides": {"stream-job": "example.org/job@sha256:0"},
        "pull_policy": "Always",
        "pull_secrets": ["pull"],
    }
    assert (found.reconcile.workers, found.reconcile.interval) == (3, OperatorSettings().reconcile.interval)
    assert (found.lease.duration, found.lease.namespace) == (30, NAMESPACE)
    assert (found.telemetry.trace_ratio, found.telemetry.log_level) == (0.5, "DEBUG")


def test_changed_settings_start_the_operator_anew_and_others_do_not(helm: Helm) -> None:
    def annotations(**values: Any) -> Any:
        return deployment(helm.render(**values))["metadata"]["annotations"]

    assert annotations() == annotations(replicas=2)
    assert annotations() != annotations(settings={"reconcile": {"workers": 3}})


def test_where_and_how_the_pod_runs(helm: Helm) -> None:
    given: dict[str, Any] = {
        "podAnnotations": {"a": "1"},
        "podLabels": {"b": "2", "app.kubernetes.io/name": "not this"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "only", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "resources": {"requests": {"cpu": 2}, "limits": {"cpu": 2, "memory": "1Gi"}},
        "env": [{"name": "MARKETPIPELINE_IMAGES__OVERRIDES__SINK-REDIS", "value": "x"}],
        "terminationGracePeriodSeconds": 5,
        "podSecurityContext": {"runAsUser": None},
        "serviceAccount": {"create": False, "name": "mine"},
        "image": {"pullSecrets": ["pull"]},
    }
    things = helm.render(**given)
    pod, spec = deployment(things), deployment(things)["spec"]
    assert pod["metadata"]["annotations"]["a"] == "1"
    assert pod["metadata"]["labels"] == {
        "b": "2",
        "app.kubernetes.io/name": RELEASE,
        "app.kubernetes.io/instance": RELEASE,
    }
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "terminationGracePeriodSeconds"):
        assert spec[name] == given[name], name
    assert container(things)["resources"]["requests"] == {"cpu": 2, "memory": "192Mi"}
    assert container(things)["env"] == given["env"]
    assert "runAsUser" not in spec["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["serviceAccountName"] == "mine"
    assert not named(things, "ServiceAccount")
    (binding,) = named(things, "ClusterRoleBinding").values()
    assert binding["subjects"][0]["name"] == "mine"


def test_rights_can_be_someone_elses(helm: Helm) -> None:
    assert {thing["kind"] for thing in helm.render(rbac={"create": False})} == {
        "ConfigMap", "CustomResourceDefinition", "Deployment", "Pod", "Service", "ServiceAccount",
    }  # fmt: skip


def test_prometheus_finds_the_operator_by_its_service(helm: Helm) -> None:
    assert not named(helm.render(), "ServiceMonitor")
    assert named(helm.render(), "Service")
    things = helm.render(metrics={"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
    (monitor,), (service,) = (named(things, kind).values() for kind in ("ServiceMonitor", "Service"))
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= deployment(things)["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert service["spec"]["ports"][0]["targetPort"] == container(things)["ports"][0]["name"]


def test_alerts_on_the_operator_fire_when_it_is_gone_or_does_nothing(helm: Helm, tmp_path: Path) -> None:
    assert not named(helm.render(), "PrometheusRule")
    things = helm.render(metrics={"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}})
    (rule,), (service,) = (named(things, kind).values() for kind in ("PrometheusRule", "Service"))
    own = f'{{namespace="{rule["metadata"]["namespace"]}", job="{service["metadata"]["name"]}"}}'
    up, oldest = f"up{own}", f"marketpipeline_operator_queue_oldest_seconds{own}"
    down, stalled = "MarketPipelineOperatorDown", "MarketPipelineOperatorStalled"
    tests = [
        UnitTest(down, {}, True),
        UnitTest(down, {up: "0x20"}, True),
        UnitTest(down, {up: "1x20"}, False),
        UnitTest(stalled, {up: "1x20", oldest: "0+60x20"}, True),
        UnitTest(stalled, {up: "1x20", oldest: "2x20"}, False),
    ]
    assert verdicts(tmp_path, rule["spec"], tests) == ""
    for alert in rule["spec"]["groups"][0]["rules"]:
        page = alert["annotations"]["runbook_url"].rpartition("/")[2]
        assert alert["annotations"]["summary"] in (PROJECT / "docs" / "runbooks" / page).read_text()


def test_grafana_finds_the_dashboards_of_the_stores_that_it_has(helm: Helm) -> None:
    assert not [name for name in named(helm.render(), "ConfigMap") if "dashboard" in name]
    stores = ["clickhouse", "prometheus"]
    values = {"enabled": True, "stores": stores, "annotations": {"grafana_folder": "Markets"}}
    found = named(helm.render(dashboards=values), "ConfigMap").values()
    boards = [each for each in found if each["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert all(each["metadata"]["annotations"] == {"grafana_folder": "Markets"} for each in boards)
    files = {name: text for each in boards for name, text in each["data"].items()}
    of_both = {f"{folder}-{path.name}" for folder in stores for path in (DASHBOARDS / folder).iterdir()}
    assert set(files) == of_both
    for name, text in files.items():
        folder, _, file = name.partition("-")
        assert json.loads(text) == json.loads((DASHBOARDS / folder / file).read_text())
        assert len(text) < 256 * 1024


def test_what_a_platform_adds(helm: Helm) -> None:
    """Labels everywhere, a certificate authority, a budget, and a policy that closes all but the port that is read."""
    things = helm.render(**yaml.safe_load((CHART / "ci" / "everything-values.yaml").read_text()))
    assert all(thing["metadata"]["labels"]["team"] == "markets" for thing in things)
    spec = deployment(things)["spec"]
    mounts = {mount["name"] for mount in container(things)["volumeMounts"]}
    assert mounts == {volume["name"] for volume in spec["volumes"]} == {"settings", "tmp", "authority"}
    assert container(things)["env"] == [{"name": "SSL_CERT_FILE", "value": "/etc/authority/ca.crt"}]
    (budget,), (policy,) = (named(things, kind).values() for kind in ("PodDisruptionBudget", "NetworkPolicy"))
    for selector in (budget["spec"]["selector"], policy["spec"]["podSelector"]):
        assert selector["matchLabels"].items() <= deployment(things)["metadata"]["labels"].items()
    assert budget["spec"]["maxUnavailable"] == 1
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    (way_in,) = policy["spec"]["ingress"]
    assert way_in["ports"] == [{"port": container(things)["ports"][0]["name"], "protocol": "TCP"}]
    assert way_in["from"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert policy["spec"]["egress"] == [{}]


def test_the_test_asks_the_operators_service_and_is_none_of_its_pods(helm: Helm) -> None:
    things = helm.render()
    (pod,), (service,) = (named(things, kind).values() for kind in ("Pod", "Service"))
    assert hook(pod)
    assert not service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (asking,) = pod["spec"]["containers"]
    port = service["spec"]["ports"][0]["port"]
    assert asking["args"][-1] == f"http://{service['metadata']['name']}.{NAMESPACE}.svc:{port}/health"
    assert asking["securityContext"] == container(things)["securityContext"]


def test_artifact_hub_is_told_of_the_crd_an_example_and_every_image() -> None:
    notes = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    crd = custom_resource_definition()
    (told,) = yaml.safe_load(notes["artifacthub.io/crds"])
    assert (told["name"], told["kind"]) == (crd["metadata"]["name"], crd["spec"]["names"]["kind"])
    (example,) = yaml.safe_load(notes["artifacthub.io/crdsExamples"])
    assert example == yaml.safe_load((PROJECT / "manifests" / "quickstart.yaml").read_text())
    images = {image["name"]: image["image"] for image in yaml.safe_load(notes["artifacthub.io/images"])}
    settings = OperatorSettings()
    assert images.pop("operator") == container_image()
    assert images == {component.value: settings.images.of(component) for component in Component}


def container_image() -> str:
    found: str = documents()["deployment.yaml"][1]["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def test_the_rights_in_the_chart_are_those_of_the_code() -> None:
    assert yaml.safe_load((CHART / "files" / "rules.yaml").read_text()) == rules()
