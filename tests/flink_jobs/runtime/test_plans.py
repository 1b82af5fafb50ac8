"""Plans that are kept; that a job goes on from its state by one of them is seen wherever one is started again."""

from __future__ import annotations

from pathlib import Path

from marketpipeline_job.ddl import without_address
from marketpipeline_job.job import script
from marketpipeline_job.runtime.plans import Plans, placed, without_places

from tests.flink_jobs.examples import job_settings

OTHER = {"topic_prefix": 'other"one', "consumer_group": "g", "kafka": {"bootstrap_servers": "far:1"}}


def plans(folder: Path, jar: bytes = b"functions") -> Plans:
    file = folder / "functions.jar"
    file.write_bytes(jar)
    return Plans(folder, [file])


def test_pipelines_that_compute_the_same_have_one_plan() -> None:
    one, other = (script(without_places(job_settings(**changes))).queries() for changes in ({}, OTHER))
    assert one == other
    assert one != script(without_places(job_settings(calculate=5))).queries()


def test_its_topics_are_put_in_as_json() -> None:
    assert placed('{"value": "@topic-prefix@.book["}', job_settings(**OTHER)) == '{"value": "other\\"one.book["}'


def test_a_plan_is_found_again_unless_something_is_another(tmp_path: Path) -> None:
    kept = plans(tmp_path)
    key = kept.key("SELECT 1", {"table.x": "1"})
    kept.put(key, '{"nodes": []}')
    assert plans(tmp_path).get(kept.key("SELECT 1", {"table.x": "1"})) == '{"nodes": []}'
    assert plans(tmp_path).get(kept.key("SELECT 2", {"table.x": "1"})) is None
    assert plans(tmp_path).get(kept.key("SELECT 1", {"table.x": "2"})) is None
    assert plans(tmp_path, b"others").key("SELECT 1", {"table.x": "1"}) != key


def test_what_is_not_whole_is_none_and_what_cannot_be_kept_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "k.json").write_text('{"nodes": [')
    assert plans(tmp_path).get("k") is None
    nowhere = Plans(tmp_path / "k.json", [])
    nowhere.put("k", "{}")
    assert nowhere.get("k") is None


def test_a_graph_is_kept_for_every_broker_and_for_one_pipeline(tmp_path: Path) -> None:
    here, there, other = (
        script(without_address(job_settings(**changes))).text()
        for changes in ({}, {"kafka": {"bootstrap_servers": "far:1"}}, OTHER)
    )
    assert here == there != other
    (made := tmp_path / "made").write_bytes(b"graph")
    kept = plans(tmp_path)
    assert kept.graph("k") is None
    kept.put_graph("k", made)
    assert (file := plans(tmp_path).graph("k")) is not None
    assert file.read_bytes() == b"graph"


def test_so_many_are_kept(tmp_path: Path) -> None:
    kept = plans(tmp_path)
    for number in range(40):
        kept.put(f"k{number}", "{}")
    assert len(list(tmp_path.glob("*.json"))) == 16
    assert kept.get("k39") == "{}"
