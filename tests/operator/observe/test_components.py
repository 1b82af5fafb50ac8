"""What Deployments and Pods say, as the state of a component; a child's error in the child's own words."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline_operator.flink.health import flink_deployment_health
from marketpipeline_operator.names import PROCESS
from marketpipeline_operator.observe.components import Fault, cron_job_fault, deployment_state, merged


def live(generation: int = 1, **status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": generation, "labels": {PROCESS: "api"}}, "status": status}


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {PROCESS: "api"}}, "status": status}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return pod(containerStatuses=[{"state": {"waiting": {"reason": reason, "message": message}}, **more}])


def test_a_deployment_is_ready_when_its_newest_version_is() -> None:
    done = {"observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 2}
    assert deployment_state("api", 2, live(2, **done), []).is_ready
    assert deployment_state("api", 2, live(3, **done), []).ready == 0, "of another generation"
    assert deployment_state("api", 2, live(2, **done | {"updatedReplicas": 1}), []).ready == 1
    assert deployment_state("api", 1, None, []).ready == 0
    assert deployment_state("api", 0, live(1), []).is_ready


@pytest.mark.parametrize(
    ("status", "pods", "fault"),
    [
        (
            {
                "conditions": [
                    {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
                ]
            },
            [],
            Fault("FailedCreate", "api: exceeded quota"),
        ),
        ({}, [waiting("ImagePullBackOff", "not found")], Fault("ImagePullBackOff", "api: not found")),
        (
            {},
            [waiting("CreateContainerConfigError", 'secret "x" not found')],
            Fault("CreateContainerConfigError", 'api: secret "x" not found'),
        ),
        (
            {},
            [waiting("CrashLoopBackOff", "back-off 10s", lastState={"terminated": {"exitCode": 2, "reason": "Error"}})],
            Fault("CrashLoopBackOff", "api: back-off 10s (ended with 2 Error)"),
        ),
        (
            {},
            [
                pod(
                    initContainerStatuses=[
                        {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}
                    ]
                )
            ],
            Fault("CrashLoopBackOff", "api: back-off"),
        ),
        ({}, [waiting("ContainerCreating")], None),
        (
            {},
            [
                pod(
                    conditions=[
                        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
                    ]
                )
            ],
            Fault("Unschedulable", "api: 0/1 nodes"),
        ),
    ],
)
def test_an_error_of_a_child_is_copied(status: dict[str, Any], pods: list[dict[str, Any]], fault: Fault | None) -> None:
    state = deployment_state("api", 1, live(1, observedGeneration=1, **status), pods)
    assert state.faults == ((fault,) if fault else ())


def test_pods_of_others_and_pods_on_their_way_out_say_nothing() -> None:
    other = waiting("ImagePullBackOff")
    other["metadata"]["labels"] = {PROCESS: "sink-redis"}
    leaving = waiting("ImagePullBackOff")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert deployment_state("api", 1, live(1), [other, leaving]).faults == ()


def test_several_deployments_are_one_component() -> None:
    one = deployment_state("a", 1, live(1, observedGeneration=1, readyReplicas=1, updatedReplicas=1), [])
    whole = merged("both", [one, deployment_state("b", 2, None, [])])
    assert (whole.desired, whole.ready, whole.is_ready) == (3, 1, False)


def flink(state: str = "running", generation: int = 1, **status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "spec": {"job": {"state": state}}, "status": status}


RUNNING: dict[str, Any] = {"lifecycleState": "STABLE", "jobStatus": {"state": "RUNNING"}, "observedGeneration": 1}


@pytest.mark.parametrize(
    ("thing", "ready", "reason", "state"),
    [
        (None, False, "Creating", "CREATED"),
        (flink(), False, "Waiting", "CREATED"),
        (
            flink(lifecycleState="DEPLOYED", jobStatus={"state": "INITIALIZING"}, observedGeneration=1),
            False,
            "Progressing",
            "INITIALIZING",
        ),
        (
            flink(**RUNNING),
            True,
            "Running",
            "RUNNING",
        ),
        (
            flink(generation=2, **RUNNING),
            False,
            "Progressing",
            "RUNNING",
        ),
        (
            flink(lifecycleState="UPGRADING", jobStatus={"state": "FINISHED"}, observedGeneration=2, generation=2),
            False,
            "Progressing",
            "FINISHED",
        ),
        (flink(lifecycleState="FAILED", jobStatus={"state": "FAILED"}), False, "JobFailed", "FAILED"),
        (flink(lifecycleState="ROLLED_BACK", jobStatus={"state": "RUNNING"}), False, "JobFailed", "RUNNING"),
        (
            flink(lifecycleState="DEPLOYED", jobStatus={"state": "RECONCILING"}, error="no such image"),
            False,
            "JobFailed",
            "RECONCILING",
        ),
        (
            flink("suspended", lifecycleState="SUSPENDED", jobStatus={"state": "FINISHED"}),
            False,
            "Suspended",
            "SUSPENDED",
        ),
    ],
)
def test_the_life_of_a_flink_deployment(thing: dict[str, Any] | None, ready: bool, reason: str, state: str) -> None:
    health = flink_deployment_health(thing)
    assert (health.ready, health.reason, health.state) == (ready, reason, state)
    assert (health.fault is not None) == (reason == "JobFailed")
    assert health.stopped == (reason == "Suspended")


def test_an_old_pod_that_is_ready_does_not_make_a_new_version_ready() -> None:
    """A rollout whose new Pod cannot pull its image: the old one serves on, and it is not what the spec says."""
    rolling = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    new = waiting("ErrImagePull", "not found")
    state = deployment_state("api", 1, live(2, **rolling, conditions=[late]), [pod(phase="Running"), new])
    assert state.ready == 0
    assert [fault.reason for fault in state.faults] == ["ImagePullBackOff", "ProgressDeadlineExceeded"]
    half = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 3}
    assert deployment_state("api", 3, live(2, **half), []).ready == 2


def test_a_process_that_says_it_is_degraded_is_not_ready() -> None:
    done = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
    pods = [pod() | {"metadata": {"labels": {PROCESS: "api"}, "uid": uid}} for uid in ("a", "b")]
    state = deployment_state("api", 2, live(1, **done), pods, {"b": "degraded: redis is away", "c": "of another"})
    assert state.ready == 1
    assert state.faults == (Fault("ProcessDegraded", "api: degraded: redis is away"),)


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        ({}, False),
        ({"lastScheduleTime": "2026-01-01T00:05:00Z"}, True),
        ({"lastScheduleTime": "2026-01-01T00:05:00Z", "active": [{"name": "x"}]}, False),
        ({"lastScheduleTime": "2026-01-01T00:05:00Z", "lastSuccessfulTime": "2026-01-01T00:00:09Z"}, True),
        ({"lastScheduleTime": "2026-01-01T00:05:00Z", "lastSuccessfulTime": "2026-01-01T00:05:09Z"}, False),
    ],
)
def test_a_scheduled_job_has_failed_when_its_last_run_ended_without_success(
    status: dict[str, Any], failed: bool
) -> None:
    fault = cron_job_fault("staleness", {"spec": {}, "status": status})
    assert (fault is not None) is failed
    assert fault is None or "the run of 2026-01-01T00:05:00Z failed" in fault.message
    assert cron_job_fault("staleness", {"spec": {"suspend": True}, "status": status}) is None


def test_a_flink_deployment_that_was_created_suspended_has_stopped() -> None:
    status = {"lifecycleState": "CREATED", "observedGeneration": 1, "jobStatus": {}}
    thing = {"metadata": {"generation": 1}, "spec": {"job": {"state": "suspended"}}, "status": status}
    assert flink_deployment_health(thing).stopped
    assert not flink_deployment_health(thing | {"status": {}}).stopped, "nobody has taken it up yet"
