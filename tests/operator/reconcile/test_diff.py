"""What counts as a difference between what is wanted and what is there."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline_operator.builders.context import sealed
from marketpipeline_operator.reconcile.diff import difference


def wanted(**spec: Any) -> dict[str, Any]:
    return sealed({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec})


def live(thing: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {**thing, "metadata": {**thing["metadata"], "uid": "1"}, "spec": spec, "status": {}}


@pytest.mark.parametrize(
    ("ours", "theirs", "path"),
    [
        ({"replicas": 1}, {"replicas": 1, "paused": False}, None),
        ({"replicas": 1}, {"replicas": 2}, "spec.replicas"),
        ({"replicas": 1}, {}, "spec.replicas"),
        ({"env": [], "emptyDir": {}, "hostNetwork": False}, {}, None),
        ({"cpu": "1000m", "memory": "1Gi"}, {"cpu": "1", "memory": "1024Mi"}, None),
        ({"cpu": "1000m"}, {"cpu": "2"}, "spec.cpu"),
        ({"value": "1000m"}, {"value": "1"}, "spec.value"),
        (
            {"containers": [{"name": "a", "image": "1"}]},
            {"containers": [{"name": "s"}, {"name": "a", "image": "1"}]},
            None,
        ),
        (
            {"containers": [{"name": "a", "image": "1"}]},
            {"containers": [{"name": "a", "image": "2"}]},
            "spec.containers[a].image",
        ),
        ({"containers": [{"name": "a"}]}, {"containers": [{"name": "b"}]}, "spec.containers[a]"),
        ({"args": ["a", "b"]}, {"args": ["b", "a"]}, "spec.args[0]"),
        ({"args": ["a"]}, {"args": ["a", "b"]}, "spec.args"),
        ({"selector": {"a": "1"}}, {"selector": None}, "spec.selector"),
        ({"list": [1]}, {"list": "x"}, "spec.list"),
    ],
)
def test_a_difference_is_what_the_operator_said_and_does_not_hold(
    ours: dict[str, Any], theirs: dict[str, Any], path: str | None
) -> None:
    thing = wanted(**ours)
    assert difference(thing, live(thing, **theirs)) == path


def test_something_left_out_shows_in_what_was_rendered() -> None:
    before, after = wanted(replicas=1, paused=True), wanted(replicas=1)
    assert difference(after, live(before, replicas=1, paused=True)) == "desired state"
