"""Each end of each field of the spec is written as SQL."""

from __future__ import annotations

import pytest
from marketpipeline.plan import plan
from marketpipeline.settings import JobSettings
from marketpipeline.spec import load_object
from marketpipeline_job.job import script

from tests.support.extremes import EXTREMES, Extreme

HEAD = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "x"}}


@pytest.mark.parametrize("extreme", EXTREMES, ids=str)
def test_it_is_written_as_sql(extreme: Extreme) -> None:
    job = plan(load_object(HEAD | {"spec": extreme.spec})).stream_job
    if job is not None:
        assert script(JobSettings(**job.settings)).inserts
