"""What a spec says of Pods, in each of them; what it does not say is as secure and as spread as before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from marketpipeline.errors import InvalidSpec
from marketpipeline_operator.builders import Capabilities, Context, build
from marketpipeline_operator.names import Object

from tests.operator.builders.support import context_of

TOLERATION = {"key": "market-data", "operator": "Exists"}
COMMON: dict[str, Any] = {
    "tolerations": [TOLERATION],
    "nodeSelector": {"disk": "fast"},
    "labels": {"team": "market", "marketpipeline.dev/pipeline": "another"},
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "imagePullSecrets": ["team"],
    "securityContext": {"fsGroup": 2000},
}


def templates(context: Context) -> dict[str, Object]:
    """Templates of Pods by the names of what makes them."""
    found = {}
    for thing in build(context):
        spec = thing.get("spec", {})
        if thing["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        template = spec.get("podTemplate") or spec.get("template")
        if template:
            found[thing["metadata"]["name"].removeprefix("crypto-")] = template
    return found


@pytest.mark.parametrize("capabilities", [Capabilities(), Capabilities(flink=True)], ids=["standalone", "operator"])
def test_what_is_common_is_in_every_pod_and_a_component_says_it_otherwise(capabilities: Capabilities) -> None:
    own = {"nodeSelector": {"zone": "a"}, "tolerations": [{"key": "api"}], "priorityClassName": "high"}
    found = templates(replace(context_of(pods=COMMON, api={"pod": own}), capabilities=capabilities))
    assert len(found) >= 7
    for name, template in found.items():
        spec, of_api = template["spec"], name in ("api", "staleness")
        assert spec["tolerations"] == ([{"key": "api"}] if of_api else [TOLERATION]), name
        assert spec["nodeSelector"] == {"disk": "fast"} | ({"zone": "a"} if of_api else {})
        assert spec.get("priorityClassName") == ("high" if of_api else None)
        assert spec["imagePullSecrets"] == [{"name": "team"}]
        assert (spec["securityContext"]["fsGroup"], spec["securityContext"]["runAsNonRoot"]) == (2000, True)
        assert template["metadata"]["labels"]["team"] == "market"
        assert template["metadata"]["labels"]["marketpipeline.dev/pipeline"] == "crypto", "ours stay"
        [container] = spec["containers"]
        assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container["env"]


def test_a_variable_of_ours_is_not_replaced() -> None:
    theirs = [{"name": "MARKETPIPELINE_STORE__PASSWORD", "value": "plain"}]
    sink = {"passwordSecret": {"name": "db"}, "pod": {"env": theirs}}
    [container] = templates(context_of(sinks={"timescale": sink}))["sink-timescale"]["spec"]["containers"]
    [password] = [each for each in container["env"] if each["name"] == "MARKETPIPELINE_STORE__PASSWORD"]
    assert "valueFrom" in password


def test_cpu_is_limited_only_where_that_is_said() -> None:
    found = templates(context_of(api={"resources": {"cpu": "1", "limits": {"cpu": 2, "memory": "1Gi"}}}))
    of = {name: template["spec"]["containers"][0]["resources"] for name, template in found.items()}
    assert of["api"] == {"requests": {"cpu": "1", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    assert of["sink-redis"] == {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}}
    assert of["taskmanager"]["limits"] == {"memory": "1728Mi"}
    with pytest.raises(InvalidSpec, match=r"limits.cpu \(500m\) must be at least cpu \(1\)"):
        context_of(api={"resources": {"cpu": "1", "limits": {"cpu": "500m"}}})


def test_limits_of_what_flinks_operator_makes_are_factors() -> None:
    resources = {"cpu": "500m", "memory": "2Gi", "limits": {"cpu": 2, "memory": "3Gi"}}
    context = replace(context_of(processing={"resources": resources}), capabilities=Capabilities(flink=True))
    [job] = [thing for thing in build(context) if thing["kind"] == "FlinkDeployment"]
    factors = {key: value for key, value in job["spec"]["flinkConfiguration"].items() if "limit-factor" in key}
    assert factors == {
        f"kubernetes.{process}.{what}.limit-factor": factor
        for process in ("jobmanager", "taskmanager")
        for what, factor in (("cpu", "4.000"), ("memory", "1.500"))
    }


def test_what_is_there_more_than_once_is_spread_over_zones_and_nodes() -> None:
    symbols = [f"binance:{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP")]
    found = templates(
        context_of(
            symbols=symbols,
            ingestion={"replicas": 2},
            processing={"parallelism": 2},
            api={"replicas": 2, "pod": {"topologySpreadConstraints": []}},
        )
    )
    spread = {name: template["spec"].get("topologySpreadConstraints", []) for name, template in found.items()}
    for name in ("ingestion-binance-0", "ingestion-binance-1", "taskmanager"):
        assert [each["topologyKey"].rpartition("/")[2] for each in spread[name]] == ["zone", "hostname"], name
        workload = found[name]["metadata"]["labels"]["marketpipeline.dev/workload"]
        for each in spread[name]:
            assert each["labelSelector"]["matchLabels"]["marketpipeline.dev/workload"] == workload
    assert spread["sink-redis"] == []
    assert spread["api"] == [], "none is said"


def test_where_the_cluster_gives_users_none_is_asked_for() -> None:
    context = replace(context_of(), capabilities=Capabilities(openshift=True))
    for template in templates(context).values():
        assert template["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_a_namespace_that_forbids_all_is_opened_for_the_pods() -> None:
    policies = [thing for thing in build(context_of()) if thing["kind"] == "NetworkPolicy"]
    assert len(policies) == 2
    for policy in policies:
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert policy["spec"]["egress"] == [{}]
