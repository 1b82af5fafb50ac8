"""Flink's configuration."""

from __future__ import annotations

from marketpipeline.spec.platform import Processing
from marketpipeline_job.runtime.configuration import MAX_PARALLELISM, common, embedded

from tests.flink_jobs.examples import job_settings


def test_what_holds_everywhere_names_no_place_of_this_machine() -> None:
    found = common(job_settings(parallelism=3, state_backend="rocksdb"))
    assert found["parallelism.default"] == "3"
    assert found["execution.checkpointing.mode"] == "EXACTLY_ONCE"
    assert found["execution.checkpointing.incremental"] == "true"
    assert found["state.backend.type"].endswith(".CachedRocksDBFactory")
    assert not any(key.startswith(("rest.", "execution.state-recovery")) for key in found)
    assert "execution.checkpointing.dir" not in found, "which folder that is is decided with the state to go on from"


def test_state_can_go_on_with_any_parallelism_of_the_spec() -> None:
    bounds = Processing.model_json_schema()["properties"]["parallelism"]
    assert bounds["maximum"] == MAX_PARALLELISM == int(common(job_settings())["pipeline.max-parallelism"])


def test_an_embedded_flink_is_reached_over_the_loopback_only() -> None:
    found = embedded(1234)
    assert found["rest.bind-address"] == "127.0.0.1"
    assert found["rest.port"] == found["rest.bind-port"] == "1234"
    assert found["io.tmp.dirs"] == ".", "Flink splits it at commas"
