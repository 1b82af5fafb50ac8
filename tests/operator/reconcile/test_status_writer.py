"""What of a status an older CRD does not know is left out, as the API server would refuse the whole."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline_operator.reconcile.status_writer import without

STATUS: dict[str, Any] = {
    "phase": "Running",
    "job": {"state": "RUNNING", "plan": "x"},
    "components": [{"name": "a", "ready": 1}],
}


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("phase", {key: value for key, value in STATUS.items() if key != "phase"}),
        ("job.plan", STATUS | {"job": {"state": "RUNNING"}}),
        ("components.ready", STATUS | {"components": [{"name": "a"}]}),
        ("absent.deep", STATUS),
    ],
)
def test_a_field_is_left_out_where_it_is(path: str, left: dict[str, Any]) -> None:
    before = repr(STATUS)
    assert without(STATUS, path.split(".")) == left
    assert repr(STATUS) == before
