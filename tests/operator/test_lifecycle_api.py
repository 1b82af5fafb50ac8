"""A pipeline's life against a real API server and a real broker: made, ready, edited, suspended, deleted."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline_operator.cluster.kinds import POD
from marketpipeline_operator.names import COMPONENT, Object

from tests.operator.builders.support import TOPICS
from tests.operator.support import (
    FLINK,
    RUNNING,
    OperatorUnderTest,
    Pipelines,
    ScriptedFlink,
    eventually,
    thresholds_in,
    topics_of,
)
from tests.support.broker import RunningBroker

WITH_OPERATOR = {"mode": "operator"}
SERVICES = {"ingestion-binance-0", "sink-timescale", "sink-redis", "api"}

pytestmark = pytest.mark.usefixtures("flink_crd")


async def ready(pipelines: Pipelines, broker: RunningBroker, **spec: Any) -> str:
    """A pipeline that is ready, with topics of its own; their prefix."""
    prefix = broker.prefix()
    spec["broker"] = {"topicPrefix": prefix} | spec.get("broker", {})
    await pipelines.create(address=broker.address, processing=WITH_OPERATOR, **spec)
    await pipelines.until("TopicsReady", status="True")

    async def made() -> bool:
        return "Deployment/crypto-api" in await pipelines.children() and bool(
            await pipelines.kubernetes.get(FLINK, pipelines.namespace, "crypto-job")
        )

    await eventually(made, "all children")
    await pipelines.make_ready()
    await pipelines.flink()
    await pipelines.until("Ready", status="True")
    return prefix


async def test_a_pipeline_is_made_and_becomes_ready(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start()
    prefix = await ready(pipelines, broker)
    found = await pipelines.get()
    assert found is not None
    status = found["status"]
    assert (status["phase"], status["symbols"], status["observedGeneration"]) == ("Running", 2, 1)
    assert status["addresses"] == {"api": f"http://crypto-api.{pipelines.namespace}.svc:8000"}
    assert status["topics"]["ready"] == status["topics"]["desired"] == TOPICS == len(topics_of(broker, prefix))
    counts = {c["name"]: (c["ready"], c["desired"]) for c in status["components"]}
    assert counts == dict.fromkeys((*SERVICES, "stream-job"), (1, 1))
    assert (await pipelines.condition("SinksReady"))["message"] == "sink-redis 1/1, sink-timescale 1/1"
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        **dict.fromkeys(("Ready", "TopicsReady", "IngestionReady", "ProcessingReady", "SinksReady"), "True"),
        "StateDurable": "False",
        "DataFlowing": "Unknown",
        "Degraded": "False",
        "Paused": "False",
    }

    async def told() -> bool:
        return {"Created", "TopicsCreated", "ThresholdsWritten", "AllReady"} <= set(await pipelines.events())

    await eventually(told, "events")
    assert [(r.symbol, r.values["imbalance_high"], r.effective_from) for r in thresholds_in(broker, prefix)] == [
        ("binance:BTCUSDT", 0.7, 0),
        ("binance:ETHUSDT", 0.7, 0),
    ]


async def test_thresholds_reach_their_topic_and_start_nothing_anew(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start()
    prefix = await ready(pipelines, broker)
    before = {**await pipelines.children(), **await pipelines.children(kinds=(FLINK,))}
    await pipelines.edit(thresholds={"imbalance": {"high": 0.9}, "whaleTrade": 5000})

    async def written() -> bool:
        return len(thresholds_in(broker, prefix)) == 4

    await eventually(written, "new thresholds")
    newest = thresholds_in(broker, prefix)[-1]
    assert (newest.values["imbalance_high"], newest.values["whale_trade"]) == (0.9, 5000)
    assert newest.effective_from > 0
    after = {**await pipelines.children(), **await pipelines.children(kinds=(FLINK,))}
    changed = {key for key in after if key.startswith("ConfigMap") and after[key]["data"] != before[key]["data"]}
    assert changed == {"ConfigMap/crypto-stream-job"}
    generations = {
        key: (before[key]["metadata"].get("generation"), after[key]["metadata"].get("generation")) for key in after
    }
    assert all(old == new for old, new in generations.values()), generations
    assert (await pipelines.condition("Ready"))["status"] == "True"


async def test_a_new_symbol_changes_the_process_that_takes_it_and_the_api(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start()
    symbols = [f"binance:{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP")]
    await ready(pipelines, broker, symbols=symbols, ingestion={"replicas": 2})
    before = {**await pipelines.children(), **await pipelines.children(kinds=(FLINK,))}
    await pipelines.edit(symbols=[*symbols, "binance:BNBUSDT"])

    async def applied() -> bool:
        status = (await pipelines.get() or {})["status"]
        return bool(status["symbols"] == 5)

    await eventually(applied, "the new symbol")
    waits = await pipelines.until("Ready", status="False", observedGeneration="2")
    assert waits["reason"] in ("Progressing", "Unschedulable"), "a Pod of the API that knows it is on its way"
    after = {**await pipelines.children(), **await pipelines.children(kinds=(FLINK,))}
    assert set(after) == set(before)
    moved = {
        key for key in after if after[key]["metadata"].get("generation") != before[key]["metadata"].get("generation")
    }
    ingestion = {key for key in moved if "ingestion" in key}
    assert len(ingestion) == 1
    assert moved - ingestion == {"Deployment/crypto-api", "CronJob/crypto-staleness"}
    (reader,) = ingestion

    async def alone() -> bool:
        """Be the kubelet of ingestion, but not of the API."""
        for pod in await pipelines.pods():
            if pod["status"].get("phase") != "Running" and pod["metadata"]["labels"][COMPONENT] == "ingestion":
                await pipelines.set_status(POD, pod["metadata"]["name"], RUNNING)
        return bool((await pipelines.condition("IngestionReady"))["status"] == "True")

    await eventually(alone, f"{reader} reads it")
    await pipelines.until("Ready", status="False", message="api")
    await pipelines.run()


async def test_a_change_reaches_one_process_after_another_and_a_bad_one_stops_at_the_first(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """Old Pods run on while the new one does not come; the old spec is back at once, and a good change goes through."""
    await operator.start()
    symbols = [f"binance:{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "BNB")]
    await ready(pipelines, broker, symbols=symbols, ingestion={"replicas": 3})

    async def generations() -> list[int]:
        found = await pipelines.deployments()
        return [found[f"ingestion-binance-{number}"]["metadata"]["generation"] for number in range(3)]

    async def pods() -> list[Object]:
        return [pod for pod in await pipelines.pods() if "ingestion" in pod["metadata"]["name"]]

    async def newest() -> Object | None:
        return next((pod for pod in await pods() if pod["status"].get("phase") != "Running"), None)

    old = await generations()
    await pipelines.edit(ingestion={"restUrls": {"binance": "http://nowhere"}})
    pod = await eventually(newest, "a Pod of the new version")
    waiting = {
        "name": "ingestion",
        "ready": False,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}},
    }
    await pipelines.set_status(POD, pod["metadata"]["name"], {"containerStatuses": [waiting]})
    # On a busy machine the scheduler may have said first that there is no node.
    halted = await pipelines.until("Degraded", status="True", reason="RolloutHalted", message="binance-0: no;")
    assert halted["message"].startswith(
        "the change stops at ingestion-binance-0: no; as before run ingestion-binance-1, ingestion-binance-2"
    )
    assert [new - before for new, before in zip(await generations(), old, strict=True)] == [1, 0, 0]
    assert len(await pods()) == 4
    assert (await pipelines.condition("Ready"))["status"] == "False"
    await pipelines.edit(ingestion={"restUrls": None})
    await pipelines.until("Ready", status="True")
    assert [new - before for new, before in zip(await generations(), old, strict=True)] == [2, 0, 0]
    await pipelines.edit(ingestion={"restUrls": {"binance": "http://somewhere"}})
    for number in range(3):
        pod = await eventually(newest, f"a Pod of the new version, number {number}")
        assert f"ingestion-binance-{number}-" in pod["metadata"]["name"]
        await pipelines.make_ready()
    await pipelines.run()
    assert [new - before for new, before in zip(await generations(), old, strict=True)] == [3, 1, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"windows": ["1m", "5m"]},
        {"feeds": ["book"]},
        {"depth": {"levels": 20, "calculate": 5}},
        {"processing": {"parallelism": 3}},
    ],
    ids=["windows", "feeds", "depth", "parallelism"],
)
async def test_flinks_operator_carries_no_state_and_the_job_says_what_it_goes_on_from(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, change: dict[str, Any]
) -> None:
    reconciling = await operator.start()
    flink = ScriptedFlink()
    reconciling.reconciler._rest = flink  # type: ignore[assignment]
    await ready(pipelines, broker)
    await pipelines.edit(**change)
    await pipelines.until("ProcessingReady", status="False")
    flink.begin("unfit", "starts from the beginning of its topics, without the state in /state: its queries are others")
    live = await pipelines.flink()
    assert live["spec"]["job"]["upgradeMode"] == "stateless"

    async def told() -> bool:
        return "without the state in /state" in (await pipelines.events()).get("JobStateUnfit", "")

    await eventually(told, "the event")
    assert flink.stops == 0


async def test_suspending_stops_all_in_order_and_resuming_brings_it_back(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start()
    await ready(pipelines, broker)
    await pipelines.edit(suspend=True)

    async def replicas() -> dict[str, int]:
        return {name: thing["spec"]["replicas"] for name, thing in (await pipelines.deployments()).items()}

    async def quiet() -> bool:
        return (await replicas())["ingestion-binance-0"] == 0

    await eventually(quiet, "ingestion stopped")
    assert (await replicas())["sink-timescale"] == 1, "sinks store what the job still gives"
    live = await pipelines.flink(state="FINISHED", lifecycle="SUSPENDED")
    assert live["spec"]["job"]["state"] == "suspended"

    async def suspended() -> bool:
        status = (await pipelines.get() or {})["status"]
        return status["phase"] == "Suspended" and set((await replicas()).values()) == {0}

    await eventually(suspended, "everything stopped")
    jobs = {key: t for key, t in (await pipelines.children()).items() if key.startswith("CronJob")}
    assert all(thing["spec"]["suspend"] for thing in jobs.values())
    await pipelines.edit(suspend=False)

    async def again() -> bool:
        live = await pipelines.kubernetes.get(FLINK, pipelines.namespace, "crypto-job")
        return bool(live and live["spec"]["job"]["state"] == "running") and set((await replicas()).values()) == {1}

    await eventually(again, "everything back")
    await pipelines.make_ready()
    await pipelines.flink()
    await pipelines.until("Ready", status="True")


async def test_a_paused_pipeline_is_left_alone(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start()
    await ready(pipelines, broker)
    await pipelines.annotate(pause_reconciliation="true")
    await pipelines.until("Paused", status="True", message="pause-reconciliation")
    await pipelines.edit(suspend=True)
    await pipelines.kubernetes.delete(FLINK, pipelines.namespace, "crypto-job")
    writes = operator.writes
    assert operator.operator is not None
    for _ in range(3):
        await operator.operator.reconciler.reconcile((pipelines.namespace, "crypto"))
    assert operator.writes - writes <= 1, "its status may say the newest generation, nothing else is written"
    assert (await pipelines.deployments())["api"]["spec"]["replicas"] == 1
    await pipelines.annotate(pause_reconciliation=None)
    await pipelines.until("Paused", status="False")
    await pipelines.until("Ready", status="False", reason="Suspended")


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_a_deletion_goes_in_order_and_keeps_or_removes_the_topics(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, policy: str
) -> None:
    await operator.start()
    prefix = await ready(pipelines, broker, deletionPolicy=policy)
    await pipelines.delete()

    async def gone() -> bool:
        return await pipelines.get() is None

    await eventually(gone, "the pipeline gone")
    assert len(topics_of(broker, prefix)) == (TOPICS if policy == "Retain" else 0)

    async def removed() -> bool:
        return not await pipelines.children() and not await pipelines.children(kinds=(FLINK,))

    await eventually(removed, "the children gone")
    events = await pipelines.events()
    assert {"Stopping", "TopicsRetained" if policy == "Retain" else "TopicsDeleted"} <= set(events)


async def test_topics_that_another_pipeline_has_too_are_not_removed(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start()
    prefix = await ready(pipelines, broker, deletionPolicy="Delete")
    await pipelines.create("second", address=broker.address, broker={"topicPrefix": prefix})
    await pipelines.until("Degraded", status="True", reason="TopicConflict", name="second")
    await pipelines.delete()
    await pipelines.until("TopicsReady", status="True", name="second")
    assert len(topics_of(broker, prefix)) == TOPICS
    assert f"{pipelines.namespace}/second uses the topics" in (await pipelines.events())["TopicsRetained"]


async def test_a_broker_that_is_gone_does_not_keep_a_pipeline(
    pipelines: Pipelines, operator: OperatorUnderTest
) -> None:
    await operator.start(deletion={"topics": 3})
    await pipelines.create(deletionPolicy="Delete")
    await pipelines.until("TopicsReady", status="False", reason="BrokerError")
    await pipelines.delete()

    async def gone() -> bool:
        return await pipelines.get() is None

    await eventually(gone, "the pipeline gone")
    assert "crypto.trades" in (await pipelines.events())["TopicsLeft"]


async def test_an_annotation_forces_a_deletion(pipelines: Pipelines, operator: OperatorUnderTest) -> None:
    await operator.start(deletion={"topics": 600})
    await pipelines.create(deletionPolicy="Delete")
    await pipelines.until("TopicsReady", status="False")
    await pipelines.delete()
    await pipelines.until("Ready", reason="Deleting")
    await pipelines.annotate(force_delete="true")

    async def gone() -> bool:
        return await pipelines.get() is None

    await eventually(gone, "the pipeline gone")
    assert "DeletionForced" in await pipelines.events()
