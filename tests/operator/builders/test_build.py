"""Golden files: a resource, and every object that is made of it."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import marketpipeline
import pytest
import yaml
from marketpipeline_operator import settings
from marketpipeline_operator.builders import Capabilities, Context, JobState, build, build_topics
from marketpipeline_operator.names import Object
from marketpipeline_operator.settings import OperatorSettings

from tests.operator.builders.support import context_of
from tests.support.golden import check_golden

GOLDEN = Path(__file__).parents[1] / "golden"
SECRETS: dict[str, Any] = {
    "broker": {
        "bootstrapServers": "kafka:9093",
        "username": "market",
        "passwordSecret": {"name": "broker"},
        "saslMechanism": "SCRAM-SHA-512",
        "tls": True,
        "caSecret": {"name": "authority"},
        "clientCertificateSecret": {"name": "client"},
        "cluster": "main",
        "topicPrefix": "Market_Data",
    },
    "api": {
        "auth": {"secretName": "clients"},
        "tls": {"secretName": "api-tls"},
        "cors": {"allowOrigins": ["https://dashboard.example"]},
        "rateLimit": {"requests": 5000, "unit": "Hour"},
        "trustedProxies": ["10.0.0.0/8"],
    },
    "dashboard": {
        "enabled": True,
        "apiKeySecret": {"name": "clients"},
        "apiCaSecret": {"name": "api-tls"},
        "pod": {"priorityClassName": "low"},
    },
    "sinks": {
        "timescale": {"passwordSecret": {"name": "database", "key": "secret"}},
        "redis": {"passwordSecret": {"name": "cache"}},
    },
}
CASES: dict[str, Context] = {
    "smallest": context_of(),
    "sharded": context_of(
        symbols=[f"binance:{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP", "ADA")],
        ingestion={"replicas": 3},
        api={"replicas": 2, "port": 8080},
        sinks={"redis": {"enabled": False}},
    ),
    "suspended": replace(
        context_of(suspend=True),
        job=JobState(running=False),
        stopped=frozenset({"ingestion-binance-0", "sink-timescale", "sink-redis", "api"}),
    ),
    "flink-operator": replace(
        context_of(processing={"parallelism": 2, "checkpointDirectory": "s3://bucket/checkpoints"}),
        capabilities=Capabilities(flink=True, prometheus=True),
    ),
    "checkpoint-claim": context_of(processing={"checkpointClaim": "checkpoints", "parallelism": 2}),
    "flink-operator-without-storage": replace(context_of(), capabilities=Capabilities(flink=True)),
    "secrets-redpanda": replace(context_of(**SECRETS), capabilities=Capabilities(redpanda=True, strimzi=True)),
    "secrets-strimzi": replace(context_of(**SECRETS), capabilities=Capabilities(strimzi=True)),
    "backup": context_of(
        backup={"url": "s3://backups/x", "keep": 3, "credentialsSecret": {"name": "bucket"}},
        recovery={"url": "s3://backups/x/crypto/20261101T020000Z", "credentialsSecret": {"name": "bucket"}},
        processing={"checkpointDirectory": "s3://bucket/checkpoints"},
        pods={"env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]},
        sinks={"redis": {"enabled": False}},
    ),
    "quotes-only": context_of(feeds=["quotes"], api={"enabled": False}),
    "images": replace(
        context_of(),
        settings=OperatorSettings.model_validate(
            {
                "images": {
                    "registry": "registry.example.org/team",
                    "tag": "2",
                    "overrides": {"api": "example.org/api@sha256:0"},
                    "pull_policy": "Always",
                    "pull_secrets": ["pull"],
                }
            }
        ),
    ),
}


def rendered(context: Context) -> str:
    return yaml.safe_dump_all([*build(context), *build_topics(context)], sort_keys=False, width=120)


@pytest.mark.parametrize("name", CASES)
def test_a_resource_gives_the_objects_of_its_golden_file(name: str) -> None:
    check_golden(GOLDEN / f"{name}.yaml", rendered(CASES[name]))


def everything() -> list[tuple[str, Object]]:
    return [(name, thing) for name, context in CASES.items() for thing in build(context)]


def pods(thing: Object) -> list[Object]:
    spec = thing.get("spec", {})
    if thing["kind"] == "FlinkDeployment":
        return [spec["podTemplate"]["spec"]]
    if thing["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return [spec["template"]["spec"]] if "template" in spec else []


@pytest.mark.parametrize(("case", "thing"), [e for e in everything() if pods(e[1])])
def test_pods_have_no_privileges_and_end_after_their_drain(case: str, thing: Object) -> None:
    [pod] = pods(thing)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["terminationGracePeriodSeconds"] >= 20
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        if thing["kind"] != "FlinkDeployment":
            assert set(container["resources"]) == {"requests", "limits"}


def test_names_keep_their_limits_with_the_longest_name() -> None:
    context = replace(context_of(name="p" * 40, ingestion={"replicas": 64}), capabilities=Capabilities(flink=True))
    limits = {"CronJob": 52, "FlinkDeployment": 45}
    for thing in build(context):
        assert len(thing["metadata"]["name"]) <= limits.get(thing["kind"], 63)
        for value in thing["metadata"]["labels"].values():
            assert len(value) <= 63


def test_a_new_operator_alone_asks_for_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marketpipeline, "__version__", "99.0.0")
    upgraded = runpy.run_path(settings.__file__)["OperatorSettings"]()
    assert upgraded.images.tag == settings.COMPONENTS_VERSION


def test_the_operators_version_is_in_no_object() -> None:
    old, new = (
        replace(context_of(), settings=OperatorSettings.model_validate({"images": {"tag": "1"}, "pipeline": name}))
        for name in ("operator", "operator-next")
    )
    assert build(old) == build(new)


def test_thresholds_change_the_jobs_settings_and_no_pod() -> None:
    before, after = context_of(), context_of(thresholds={"priceSpike": 0.5, "cooldown": "5m"})
    changed = [
        f"{thing['kind']}/{thing['metadata']['name']}"
        for old, thing in zip(build(before), build(after), strict=True)
        if old != thing
    ]
    assert changed == ["ConfigMap/crypto-stream-job"]


def test_a_workload_is_held_back_while_its_topics_are_missing() -> None:
    held = build(replace(context_of(), hold_workloads=True))
    assert not {"Deployment", "CronJob", "FlinkDeployment"} & {thing["kind"] for thing in held}
    assert {"ConfigMap", "Service", "ServiceAccount"} <= {thing["kind"] for thing in held}
