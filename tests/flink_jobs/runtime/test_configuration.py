"""Flink's configuration."""

from __future__ import annotations

from pathlib import Path

from marketpipeline_job.runtime.configuration import common, embedded, flink_path

from tests.flink_jobs.examples import job_settings


def test_what_holds_everywhere_names_no_place_of_this_machine() -> None:
    found = common(job_settings(parallelism=3, state_backend="rocksdb"))
    assert found["parallelism.default"] == "3"
    assert found["execution.checkpointing.mode"] == "EXACTLY_ONCE"
    assert found["execution.checkpointing.incremental"] == "true"
    assert not any(key.startswith(("rest.", "pipeline.jars", "execution.state-recovery")) for key in found)


def test_an_embedded_flink_is_reached_over_the_loopback_only(tmp_path: Path) -> None:
    found = embedded(1234, [tmp_path / "a b.jar"], tmp_path, None)
    assert found["rest.bind-address"] == "127.0.0.1"
    assert found["rest.port"] == found["rest.bind-port"] == "1234"
    assert found["pipeline.jars"].endswith("/a%20b.jar")
    assert "execution.state-recovery.path" not in found


def test_a_restored_checkpoint_belongs_to_the_job_from_then_on(tmp_path: Path) -> None:
    found = embedded(1, [], tmp_path, tmp_path / "job" / "chk-1")
    assert found["execution.state-recovery.path"] == f"file://{tmp_path}/job/chk-1"
    assert found["execution.state-recovery.claim-mode"] == "CLAIM"


def test_a_folder_of_any_name_reaches_flink_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "a b,c%41 'ü\""
    assert flink_path(folder) == f"file://{folder}"
    found = embedded(1, [], folder, folder / "job" / "chk-1")
    assert found["execution.checkpointing.dir"] == f"file://{folder}"
    assert str(tmp_path) not in found["io.tmp.dirs"], "Flink splits it at commas"
