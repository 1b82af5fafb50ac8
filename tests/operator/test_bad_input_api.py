"""Bad input: each with a clear error in the status or from the API server, and nothing lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.errors import InvalidSpec, PermanentError
from marketpipeline.spec import load_object
from marketpipeline_operator.cluster.kinds import EVENT, PIPELINE_KIND, POD

from tests.operator.conftest import CRD
from tests.operator.support import DEPLOYMENT, Kubectl, OperatorUnderTest, Pipelines, eventually
from tests.support.broker import RunningBroker

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"symbols": []}, "spec.symbols", "at least 1 item"),
    ({"symbols": ["nowhere:BTCUSDT"]}, "spec.symbols[0]", "unknown exchange"),
    ({"symbols": ["binance:x"]}, "spec.symbols[0]", "is not a symbol of binance; write it like binance:BTCUSDT"),
    ({"symbols": ["binance:币安人生usdt"]}, "spec.symbols[0]", "is not a symbol of binance; write it like"),
    ({"symbols": ["binance:BTC,ETH"]}, "spec.symbols[0]", ""),
    ({"symbols": ["binance:BTCUSDT", "binance:BTCUSDT"]}, "spec.symbols", ""),
    ({"depth": {"levels": 5, "calculate": 6}}, "spec.depth", "must be at most depth.levels"),
    ({"depth": {"levels": 0}}, "spec.depth.levels", "greater than or equal to 1"),
    ({"depth": {"levels": 7, "source": "partial"}}, "spec", "must be one of 5, 10, 20 with depth.source partial"),
    (
        {"thresholds": {"imbalance": {"medium": 0.8}}},
        "spec.thresholds.imbalance",
        "must be at most thresholds.imbalance.high",
    ),
    ({"thresholds": {"priceSpike": 0}}, "spec.thresholds.priceSpike", "greater than 0"),
    ({"processing": {"allowedLateness": "1m"}}, "spec", "must be below the smallest window"),
    ({"processing": {"allowedLateness": "1h"}}, "spec", "must be below the smallest window"),
    ({"processing": {"allowedLateness": "soon"}}, "spec.processing.allowedLateness", ""),
    ({"windows": ["7m"]}, "spec.windows[0]", ""),
    ({"broker": {"provider": "strimzi"}}, "spec", "broker.cluster is needed with broker.provider strimzi"),
    ({"broker": {"passwordSecret": {"name": "x"}}}, "spec", "broker.username is needed with broker.passwordSecret"),
    ({"broker": {"caSecret": {"name": "x"}}}, "spec", "broker.tls must be true with broker.caSecret"),
    ({"broker": {"clientCertificateSecret": {"name": "x"}}}, "spec", "broker.tls must be true with broker.caSecret"),
    ({"sinks": {"redis": {"url": "redis://:secret@redis"}}}, "spec.sinks.redis.url", "must not contain a password"),
    ({"sinks": {"redis": {"url": "redis://redis?password=x"}}}, "spec.sinks.redis.url", "must not contain a password"),
    ({"sinks": {"redis": {"url": "http://redis"}}}, "spec.sinks.redis.url", "must be a URL that starts with redis://"),
    ({"sinks": {"timescale": {"url": "mysql://x"}}}, "spec.sinks.timescale.url", "starts with postgresql://"),
    (
        {"sinks": {"timescale": {"enabled": False}, "redis": {"enabled": False}}},
        "spec",
        "api.enabled needs at least one sink: set sinks.clickhouse.enabled or sinks.redis.enabled or "
        "sinks.timescale.enabled to true, or "
        "api.enabled to false",
    ),
    (
        {"feeds": ["quotes"], "sinks": {"notify": {"webhook": {"url": "http://localhost:1"}}}},
        "spec",
        "sinks.notify.enabled needs book or trades among the feeds",
    ),
    ({"dashboard": {"enabled": True}, "api": {"enabled": False}}, "spec", "dashboard.enabled needs the API"),
    (
        {"dashboard": {"enabled": True}, "api": {"auth": {"secretName": "keys"}}},
        "spec",
        "dashboard.apiKeySecret is needed with api.auth.secretName",
    ),
    ({"ingestion": {"websocketUrls": {"binance": "http://x"}}}, "websocketUrls", "starts with ws:// or wss://"),
]


@pytest.mark.parametrize(("wrong", "field", "words"), REFUSED, ids=[json.dumps(entry[0]) for entry in REFUSED])
def test_the_api_server_refuses_what_validate_refuses_in_its_words(
    kubectl: Kubectl, namespace: str, wrong: dict[str, Any], field: str, words: str
) -> None:
    thing = {
        "apiVersion": "marketpipeline.dev/v1alpha1",
        "kind": "MarketPipeline",
        "metadata": {"name": "crypto", "namespace": namespace},
        "spec": {"symbols": ["binance:BTCUSDT"]} | wrong,
    }
    with pytest.raises(InvalidSpec) as validate:
        load_object(thing)
    answer = kubectl("apply", "--filename=-", stdin=json.dumps(thing), status=1)
    assert field in answer
    said = str(validate.value)
    assert field.split(".")[1 if "." in field else 0].split("[")[0] in said
    if words in said:
        assert words in answer or "greater than" in words or "at least" in words


def test_every_name_that_an_exchange_lists_is_accepted(kubectl: Kubectl, namespace: str) -> None:
    symbols = [f"binance:{name}" for name in ("STRY", "A", "A" * 20, "BTC-USD_250926", "BTC.D", "币安人生USDT")]
    thing = {
        "apiVersion": "marketpipeline.dev/v1alpha1",
        "kind": "MarketPipeline",
        "metadata": {"name": "crypto", "namespace": namespace},
        "spec": {"symbols": symbols, "suspend": True},
    }
    assert load_object(thing).spec.symbols == symbols
    kubectl("apply", "--filename=-", stdin=json.dumps(thing))


def test_unknown_fields_and_long_names_are_refused(kubectl: Kubectl, namespace: str) -> None:
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline"}
    spec = {"symbols": ["binance:BTCUSDT"]}
    unknown = {**head, "metadata": {"name": "crypto", "namespace": namespace}, "spec": {**spec, "treshold": 1}}
    assert 'unknown field "spec.treshold"' in kubectl("apply", "--filename=-", stdin=json.dumps(unknown), status=1)
    long = {**head, "metadata": {"name": "a" * 41, "namespace": namespace}, "spec": spec}
    assert "at most 40 characters" in kubectl("apply", "--filename=-", stdin=json.dumps(long), status=1)


def test_what_may_not_change_is_refused(kubectl: Kubectl, namespace: str) -> None:
    thing = {
        "apiVersion": "marketpipeline.dev/v1alpha1",
        "kind": "MarketPipeline",
        "metadata": {"name": "crypto", "namespace": namespace},
        "spec": {"symbols": ["binance:BTCUSDT"]},
    }
    kubectl("apply", "--filename=-", stdin=json.dumps(thing))
    for change, words in [
        ({"broker": {"topicPrefix": "other"}}, "broker.topicPrefix may not change"),
        ({"broker": {"partitions": 1}}, "may grow, never shrink"),
        ({"processing": {"mode": "standalone"}}, "processing.mode may not change"),
    ]:
        patch = json.dumps({"spec": change})
        answer = kubectl(
            "patch", "mp", "crypto", f"--namespace={namespace}", "--type=merge", f"--patch={patch}", status=1
        )
        assert words in answer


async def test_a_spec_that_came_past_an_older_crd_is_told_in_the_status(
    pipelines: Pipelines, operator: OperatorUnderTest, kubectl: Kubectl
) -> None:
    """An older CRD of ours: no rules, and without a field of this release."""
    current = yaml.safe_load(CRD.read_text())
    older = json.loads(json.dumps(current))
    _without_rules(older["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    fields = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del fields["spec"]["properties"]["retention"], fields["status"]["properties"]["problem"]
    kubectl("replace", "--filename=-", stdin=json.dumps(older))
    try:

        async def served() -> bool:
            try:
                running = await operator.start()
                await running.look_around()
                return "spec.retention" in running.reconciler.outdated
            finally:
                await operator.stop()

        await eventually(served, "the older CRD noticed", every=1)
        await operator.start()
        await pipelines.create(depth={"levels": 5, "calculate": 9})
        said = await pipelines.until("Degraded", status="True", reason="InvalidSpec")
        assert "depth.calculate (9) must be at most depth.levels (5)" in said["message"]
        assert (await pipelines.get() or {})["status"]["phase"] == "Invalid"
        await pipelines.edit(depth={"calculate": 5})
        said = await pipelines.until("Degraded", status="True", reason="OutdatedCRD")
        assert "spec.retention" in said["message"]
        assert "problem" not in (await pipelines.get() or {})["status"]
    finally:
        kubectl.define(current)


def _without_rules(schema: Any) -> None:
    if isinstance(schema, dict):
        schema.pop("x-kubernetes-validations", None)
        for part in schema.values():
            _without_rules(part)


async def test_a_missing_secret_and_a_missing_key_are_named_and_mended(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl
) -> None:
    await operator.start()
    sinks = {"redis": {"passwordSecret": {"name": "cache"}}}
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()}, sinks=sinks)
    said = await pipelines.until("Degraded", status="True", reason="SecretMissing")
    assert f"Secret cache is missing in namespace {pipelines.namespace}" in said["message"]
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cache", "namespace": pipelines.namespace}}
    kubectl.apply(head | {"stringData": {"pass": "hunter2"}})
    said = await pipelines.until("Degraded", status="True", message="has no key password; its keys: pass")
    kubectl.apply(head | {"stringData": {"password": "hunter2", "pass": "hunter2"}})

    async def mended() -> bool:
        found = await pipelines.condition("Degraded")
        return "Secret" not in found["message"]

    await eventually(mended, "the Secret found")
    everything = json.dumps([await pipelines.get(), await pipelines.children(), await pipelines.events()])
    assert "hunter2" not in everything


async def test_a_changed_secret_replaces_the_pods_that_read_it_and_no_others(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl
) -> None:
    place = {"name": "cache", "namespace": pipelines.namespace}
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": place}
    kubectl.apply(head | {"stringData": {"password": "first"}})
    await operator.start(reconcile={"interval": 0.5})
    sinks = {"redis": {"passwordSecret": {"name": "cache"}}}
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()}, sinks=sinks)

    async def changes(wanted: int) -> bool:
        found = ((await pipelines.get() or {}).get("status") or {}).get("secrets", [])
        return [(entry["name"], entry["changes"]) for entry in found] == [("cache", wanted)]

    async def generations() -> dict[str, int]:
        return {name: thing["metadata"]["generation"] for name, thing in (await pipelines.deployments()).items()}

    await eventually(lambda: changes(0), "the Secret seen")
    await pipelines.until("TopicsReady", status="True")

    async def made() -> bool:
        return set(await pipelines.deployments()) >= {"sink-redis", "sink-timescale", "api", "taskmanager"}

    await eventually(made, "the Deployments")
    before = await generations()
    kubectl.apply(head | {"metadata": {**place, "labels": {"team": "markets"}}, "stringData": {"password": "first"}})

    async def known() -> bool:
        asked = ("get", "secret", "cache", f"--namespace={pipelines.namespace}")
        version = kubectl(*asked, "--output=jsonpath={.metadata.resourceVersion}").strip()
        return [entry["version"] for entry in (await pipelines.get() or {})["status"]["secrets"]] == [version]

    await eventually(known, "the version with another label")
    assert await changes(0)
    assert await generations() == before
    kubectl.apply(head | {"stringData": {"password": "second"}})
    await eventually(lambda: changes(1), "the change")

    async def replaced() -> bool:
        after = await generations()
        return {name for name in before if after[name] != before[name]} == {"sink-redis", "api"}

    await eventually(replaced, "the readers, and no others")
    assert "Secret cache has changed" in (await pipelines.events())["SecretChanged"]
    await operator.stop()
    again = await operator.start(reconcile={"interval": 0.5})
    settled = await generations()

    async def looked() -> bool:
        return again.queue.results["ok"] >= 3

    await eventually(looked, "three passes")
    assert await generations() == settled, "a new operator finds what the last one had seen"
    await pipelines.annotate(ignore_secret_changes="true")
    kubectl.apply(head | {"stringData": {"password": "third"}})

    async def ignored() -> bool:
        messages = [event["message"] async for event in pipelines.kubernetes.list(EVENT, pipelines.namespace)]
        return any("keeps the Pods as they are" in message for message in messages)

    await eventually(ignored, "another change")
    assert await generations() == settled
    assert await changes(1)
    gone = {"status": None}
    await pipelines.kubernetes.merge(PIPELINE_KIND, pipelines.namespace, "crypto", gone, subresource="status")
    await eventually(lambda: changes(1), "the count again, by what the Pods say")
    assert await generations() == settled, "a status that was lost replaces no Pod"


async def test_a_broker_that_does_not_answer_is_told_and_nothing_runs_before_its_topics(
    pipelines: Pipelines, operator: OperatorUnderTest
) -> None:
    await operator.start()
    await pipelines.create()
    said = await pipelines.until("TopicsReady", status="False", reason="BrokerError")
    assert "127.0.0.1:1" in said["message"]
    found = await pipelines.children()
    assert "ConfigMap/crypto-api" in found
    assert not [key for key in found if key.startswith("Deployment")]
    assert (await pipelines.condition("IngestionReady"))["message"].startswith("waiting for the topics")
    await pipelines.kubernetes.delete(DEPLOYMENT, pipelines.namespace, "crypto-api")
    await pipelines.edit(symbols=["binance:BTCUSDT"])

    async def taken() -> bool:
        return bool((await pipelines.get() or {})["status"]["symbols"] == 1)

    await eventually(taken, "a correction is taken though the broker is away")


async def test_a_topic_with_other_settings_is_named_and_left_alone(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    prefix = broker.prefix()
    admin = AdminClient({"bootstrap.servers": broker.address})
    other = [
        NewTopic(f"{prefix}.trades", 5, 1, config={"cleanup.policy": "delete"}),
        NewTopic(f"{prefix}.alerts", 3, 1, config={"cleanup.policy": "compact"}),
    ]
    for future in admin.create_topics(other).values():
        future.result(10)
    await operator.start()
    await pipelines.create(address=broker.address, broker={"topicPrefix": prefix, "partitions": 3})
    said = await pipelines.until("TopicsReady", status="False", reason="TopicMismatch")
    assert f"topic {prefix}.alerts has cleanup.policy=compact, this pipeline needs delete" in said["message"]
    said = await pipelines.until("Degraded", status="True")
    assert f"topic {prefix}.trades has 5 partitions and keeps them, the spec says 3" in said["message"]
    assert len(admin.list_topics(timeout=10).topics[f"{prefix}.trades"].partitions) == 5
    assert await pipelines.deployments() == {}, "what is written into a topic that is compacted would be lost"


async def test_of_two_pipelines_with_the_same_topics_the_older_has_them(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start()
    prefix = broker.prefix()
    await pipelines.create("first", address=broker.address, broker={"topicPrefix": prefix})
    await pipelines.until("TopicsReady", status="True", name="first")
    await pipelines.create("second", address=broker.address, broker={"topicPrefix": prefix})
    said = await pipelines.until("Degraded", status="True", reason="TopicConflict", name="second")
    assert f"{pipelines.namespace}/first has the topics {prefix}.*" in said["message"]
    assert not await pipelines.children("second")
    assert "delete this pipeline and create it with another broker.topicPrefix" in said["message"]
    with pytest.raises(PermanentError, match="topicPrefix"):  # so no other advice would do
        await pipelines.edit("second", broker={"topicPrefix": broker.prefix()})
    await pipelines.annotate("first", force_delete="true")
    await pipelines.delete("first")
    await pipelines.until("TopicsReady", status="True", name="second")


async def test_a_quota_and_an_image_that_cannot_be_pulled_reach_the_status(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": pipelines.namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    kubectl.apply(quota)

    async def enforced() -> bool:
        return '"used"' in kubectl("get", "quota", "small", f"--namespace={pipelines.namespace}", "--output=json")

    await eventually(enforced, "the quota in force")
    await operator.start()
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()})
    said = await pipelines.until("Degraded", status="True", message="exceeded quota: small")
    assert "ingestion-binance-0" in said["message"]
    kubectl("delete", "quota", "small", f"--namespace={pipelines.namespace}")

    async def some() -> list[dict[str, Any]]:
        for name in await pipelines.deployments():
            await pipelines.kubernetes.merge(
                DEPLOYMENT,
                pipelines.namespace,
                f"crypto-{name}",
                {"metadata": {"annotations": {"example.org/poke": "1"}}},
            )
        return [pod for pod in await pipelines.pods() if "sink-redis" in pod["metadata"]["name"]]

    pod = (await eventually(some, "Pods"))[0]
    pulling = "Back-off pulling image marketpipeline/sink-redis: not found"
    waiting = {"name": "sink-redis", "state": {"waiting": {"reason": "ImagePullBackOff", "message": pulling}}}
    container = {"ready": False, "restartCount": 0, "image": "", "imageID": ""} | waiting
    status = {"phase": "Pending", "containerStatuses": [container]}
    await pipelines.set_status(POD, pod["metadata"]["name"], status)
    await pipelines.until("Degraded", status="True", message=pulling)


async def test_an_object_of_somebody_else_is_not_taken_over(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl
) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "crypto-api", "namespace": pipelines.namespace},
        "data": {"settings.json": "theirs"},
    }
    kubectl.apply(theirs)
    await operator.start()
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()})
    said = await pipelines.until("Degraded", status="True", message="ConfigMap crypto-api exists and is not")
    assert said["reason"] == "ApplyFailed"
    found = json.loads(kubectl("get", "configmap", "crypto-api", f"--namespace={pipelines.namespace}", "--output=json"))
    assert found["data"] == {"settings.json": "theirs"}

    async def others() -> bool:
        return set(await pipelines.deployments()) >= {"sink-redis", "ingestion-binance-0"}

    await eventually(others, "the other parts")
    kubectl("delete", "configmap", "crypto-api", f"--namespace={pipelines.namespace}")

    async def made() -> bool:
        return "ConfigMap/crypto-api" in await pipelines.children()

    await eventually(made, "our own, once the name is free")
