"""Which checkpoint a start goes on from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline_job.runtime.checkpoints import CheckpointFolder, fingerprint

from tests.flink_jobs.examples import job_settings, plain_settings


def folder(path: Path, **changes: object) -> CheckpointFolder:
    return CheckpointFolder(job_settings(checkpoint_directory=path.as_uri(), **changes))


def complete(path: Path, age: int) -> Path:
    path.mkdir(parents=True)
    (path / "_metadata").write_bytes(b"state")
    os.utime(path / "_metadata", (1_000_000 - age, 1_000_000 - age))
    return path


def test_a_new_folder_has_none(tmp_path: Path) -> None:
    assert folder(tmp_path / "new folder").newest() is None


def test_the_newest_that_is_complete(tmp_path: Path) -> None:
    folder(tmp_path).newest()
    complete(tmp_path / "savepoint-1" / "", 20)
    wanted = complete(tmp_path / "job-b" / "chk-7", 10)
    complete(tmp_path / "job-a" / "chk-9", 30)
    torn = tmp_path / "job-b" / "chk-8"
    torn.mkdir()
    (torn / "part").write_bytes(b"half")
    assert folder(tmp_path).newest() == wanted
    assert not torn.exists()


def test_a_savepoint_counts(tmp_path: Path) -> None:
    folder(tmp_path).newest()
    complete(tmp_path / "job" / "chk-1", 10)
    wanted = complete(tmp_path / "savepoint-1", 5)
    assert folder(tmp_path).newest() == wanted


@pytest.mark.parametrize("change", [{"windows": ["1m"]}, {"calculate": 5}, {"feeds": ["book"]}, {"levels": 10}])
def test_the_state_of_other_queries_is_refused_and_kept(tmp_path: Path, change: dict[str, object]) -> None:
    folder(tmp_path).newest()
    kept = complete(tmp_path / "job" / "chk-1", 10)
    with pytest.raises(InvalidInput, match=r"checkpoint_directory.*other queries.*remove this folder"):
        folder(tmp_path, **change).newest()
    assert kept.exists()
    assert folder(tmp_path).newest() == kept


def test_thresholds_and_addresses_are_no_part_of_the_state() -> None:
    thresholds = plain_settings()["thresholds"] | {"imbalance_medium": 0.6, "whale_trade": 1.0}
    kafka = {"bootstrap_servers": "elsewhere:1"}
    assert fingerprint(job_settings(thresholds=thresholds, kafka=kafka)) == fingerprint(job_settings())


def test_only_a_local_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="local folder"):
        CheckpointFolder(job_settings(checkpoint_directory="s3://bucket/path"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="can be written"):
        folder(tmp_path / "file")


def test_closing_leaves_what_lasts(tmp_path: Path) -> None:
    opened = folder(tmp_path)
    opened.newest()
    kept = complete(tmp_path / "job" / "chk-1", 10)
    (tmp_path / "old-job" / "shared").mkdir(parents=True)
    (opened.temporary / "blob").mkdir()
    opened.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job", "queries"]
    assert kept.exists()
