"""Each end of each field of the spec is accepted, planned, printed, and read again by the process that it is for."""

from __future__ import annotations

import json

import pytest
from marketpipeline.plan import plan, plan_as_json, plan_as_text, programs
from marketpipeline.settings import JobSettings
from marketpipeline.spec import load_object

from tests.support.extremes import EXTREMES, FIELDS, Extreme

HEAD = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "x"}}


def test_every_field_has_its_ends() -> None:
    assert [path for path, ends in FIELDS.items() if not ends] == []


@pytest.mark.parametrize("extreme", EXTREMES, ids=str)
def test_it_is_planned_and_read(extreme: Extreme) -> None:
    pipeline = load_object(HEAD | {"spec": extreme.spec})
    found = plan(pipeline)
    assert plan_as_text(found)
    again = json.loads(json.dumps(plan_as_json(found)))
    for described in (*again["workloads"], *again["scheduled_jobs"]):
        settings = programs()[described["component"]].settings
        settings(**described["settings"])
    if again["stream_job"] is not None:
        JobSettings(**again["stream_job"]["settings"])
