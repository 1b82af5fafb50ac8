"""What goes wrong inside of a pass or is refused by the API server: the status says so, and nothing waits for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from marketpipeline_operator import builders
from marketpipeline_operator.cluster.kinds import EVENT
from marketpipeline_operator.names import Object
from marketpipeline_operator.reconcile import working_state

from tests.operator.conftest import FLINK_CRD
from tests.operator.support import Kubectl, OperatorUnderTest, Pipelines, eventually
from tests.support.broker import RunningBroker


@contextmanager
def refusing(kubectl: Kubectl, namespace: str, group: str, resource: str, verb: str) -> Iterator[None]:
    """An admission policy of the cluster that refuses a verb on a resource in one namespace."""
    name = f"refuse-{namespace}"
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": [verb], "resources": [resource]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "frozen by the platform team"}],
        },
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {
        "apiVersion": policy["apiVersion"],
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    }
    kubectl.apply(policy, binding)
    try:
        yield
    finally:
        kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name)


async def test_a_cluster_without_the_operators_that_a_spec_needs_says_which_to_install(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl
) -> None:
    name = "flinkdeployments.flink.apache.org"
    there = kubectl.succeeds("get", "crd", name)  # as another test left it
    kubectl("delete", "crd", name, "--ignore-not-found")
    try:
        await operator.start()
        await pipelines.create("topics", broker={"provider": "redpanda", "cluster": "main"})
        said = await pipelines.until("Degraded", status="True", reason="TopicOperatorMissing", name="topics")
        assert "install Redpanda's operator, or set broker.provider to admin" in said["message"]
        await pipelines.until("Ready", status="False", reason="TopicOperatorMissing", name="topics")
        prefix = broker.prefix()
        await pipelines.create(address=broker.address, broker={"topicPrefix": prefix}, processing={"mode": "operator"})
        said = await pipelines.until("Degraded", status="True", reason="FlinkOperatorMissing")
        assert "install Flink's operator" in said["message"]
        await pipelines.until("Ready", status="False", reason="FlinkOperatorMissing")
    finally:
        if there:
            kubectl.define(yaml.safe_load(FLINK_CRD.read_text()))


async def gone(pipelines: Pipelines) -> bool:
    return await pipelines.get() is None


async def test_an_exception_of_a_pass_is_in_the_status_with_its_generation(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of a builder, as one that cannot read a quantity: once for a new pipeline, once for a running one."""
    real = builders.build

    def broken(context: Any) -> list[Object]:
        if context.pipeline.spec.windows != ["1m"]:
            raise ValueError("no quantity: '1Gi'")
        return real(context)

    monkeypatch.setattr(working_state, "build", broken)
    await operator.start()
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()})
    said = await pipelines.until("Degraded", status="True", reason="ReconcileFailed", observedGeneration="1")
    assert "ValueError: no quantity: '1Gi'" in said["message"]
    status = (await pipelines.get() or {})["status"]
    assert (status["phase"], status["observedGeneration"]) == ("Degraded", 1)
    assert (await pipelines.condition("Ready"))["status"] == "False"
    await pipelines.edit(windows=["1m"])
    await pipelines.until("TopicsReady", status="True", observedGeneration="2")
    await pipelines.until("Degraded", reason="Unschedulable", observedGeneration="2")
    await pipelines.edit(windows=["1m", "5m"])
    await pipelines.until("Degraded", status="True", reason="ReconcileFailed", observedGeneration="3")


async def test_a_refused_delete_does_not_keep_a_pipeline(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, kubectl: Kubectl
) -> None:
    await operator.start()
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()})

    async def made() -> bool:
        return "taskmanager" in await pipelines.deployments()

    await eventually(made, "the Deployments")
    with refusing(kubectl, pipelines.namespace, "apps", "deployments", "DELETE"):

        async def refused() -> bool:
            arguments = ("delete", "deployment", "crypto-api", f"--namespace={pipelines.namespace}", "--dry-run=server")
            return not kubectl.succeeds(*arguments)

        await eventually(refused, "the policy in force")
        await pipelines.delete()
        said = await pipelines.until("Ready", status="False", reason="Deleting", message="frozen by the platform team")
        assert "crypto-ingestion-binance-0" in said["message"]
        await eventually(lambda: gone(pipelines), "the pipeline gone")
        told = [e async for e in pipelines.kubernetes.list(EVENT, pipelines.namespace) if e["reason"] == "StopOverdue"]
        steps = sorted(event["message"].partition(" did not stop")[0] for event in told)
        assert steps == ["ingestion", "sinks and API", "stream job"], "each step once, whatever it says"
        assert all("frozen by the platform team" in event["message"] and event["count"] == 1 for event in told)


async def test_a_defect_of_the_deletion_does_not_keep_a_pipeline(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await operator.start()
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()})
    await pipelines.until("TopicsReady", status="True")

    def broken(*_: Any) -> Callable[[], None]:
        raise RuntimeError("a defect")

    monkeypatch.setattr(running.reconciler.ownership, "shared_with", broken)
    await pipelines.delete()
    await pipelines.until("Ready", status="False", reason="Deleting", message="RuntimeError: a defect")
    await eventually(lambda: gone(pipelines), "the pipeline gone")
    assert "a defect" in (await pipelines.events())["DeletionFailed"]


@pytest.mark.parametrize("value", ["True", "TRUE", " true "])
async def test_a_pause_is_a_pause_however_it_is_spelled(
    pipelines: Pipelines, operator: OperatorUnderTest, value: str
) -> None:
    await operator.start()
    await pipelines.create()
    await pipelines.annotate(pause_reconciliation=value)
    await pipelines.until("Paused", status="True")


async def test_an_annotation_that_is_neither_true_nor_false_is_named(
    pipelines: Pipelines, operator: OperatorUnderTest
) -> None:
    await operator.start()
    await pipelines.create()
    await pipelines.annotate(pause_reconciliation="ture")

    async def told() -> bool:
        said = (await pipelines.events()).get("InvalidAnnotation", "")
        return "marketpipeline.dev/pause-reconciliation: 'ture' must be true or false" in said

    await eventually(told, "an event")
    await pipelines.until("Paused", status="False")
