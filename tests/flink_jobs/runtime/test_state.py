"""Which state a start goes on from: by the files that are there, read through Flink, and by what the broker says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.errors import RetryableError
from marketpipeline_job.runtime.broker import BrokerView, Partition
from marketpipeline_job.runtime.files import FlinkFiles
from marketpipeline_job.runtime.state import Origin, Start, find_start, identity_of

from tests.conftest import require
from tests.flink_jobs.examples import job_settings, plain_settings
from tests.flink_jobs.running import AWKWARD

TOPICS = {"crypto.trades": "id-1", "crypto.book": "id-2", "crypto.thresholds": "id-3"}
BROKER = BrokerView("cluster-1", TOPICS, {"crypto.trades[0]": Partition(0, 500, 400)})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkFiles]:
    """Flink's file systems in a JVM of the test's own, without a job."""
    require(shutil.which("java"), "no Java to run Flink")
    from marketpipeline_job.runtime import submit
    from marketpipeline_job.runtime.jvm import start_jvm

    process = start_jvm(os.environ.get("JAVA_HOME"), 256, "WARN", tmp_path_factory.mktemp("jvm"), [], {})
    try:
        found = FlinkFiles(submit.jvm())
        del os.environ["PYFLINK_GATEWAY_PORT"]  # no job that another test starts is to take it for a cluster
        yield found
        submit.release()
    finally:
        process.kill()
        process.wait()


class Folder:
    """A folder of checkpoints, and starts from it."""

    def __init__(self, path: Path, files: FlinkFiles) -> None:
        self.path, self.files, self.uri, self._age = path, files, path.as_uri(), 1_000_000

    def start(self, broker: BrokerView = BROKER, **changes: Any) -> Start:
        return find_start(job_settings(checkpoint_directory=self.uri, **changes), broker, self.files)

    def complete(self, start: Start, name: str) -> str:
        """A complete checkpoint or savepoint of a job that started so, younger than all before; gives its URI."""
        path = Path(start.directory.removeprefix("file://")) / name
        path.mkdir(parents=True)
        (path / "_metadata").write_bytes(b"state")
        self._age += 10
        os.utime(path / "_metadata", (self._age, self._age))
        return f"{start.directory}/{name}"

    def now(self) -> None:
        """What is completed from now on is younger than all that was noted so far, as time goes on."""
        self._age += 60
        for note in self.path.glob("start-*.json"):
            os.utime(note, (self._age, self._age))


@pytest.fixture
def folder(tmp_path: Path, files: FlinkFiles) -> Folder:
    return Folder(tmp_path / AWKWARD, files)


def test_a_new_folder_holds_no_state(folder: Folder) -> None:
    start = folder.start()
    assert (start.origin, start.restore_from) == (Origin.NEW, None)
    assert "there is no state" in start.reason
    assert start.configuration["execution.checkpointing.dir"] == start.directory
    assert "execution.state-recovery.path" not in start.configuration


def test_the_newest_that_is_complete(folder: Folder) -> None:
    first = folder.start()
    folder.complete(first, "savepoint-1")
    folder.complete(first, "job-a/chk-9")
    wanted = folder.complete(first, "job-b/chk-7")
    torn = Path(first.directory.removeprefix("file://")) / "job-b" / "chk-8"
    torn.mkdir()
    (torn / "part").write_bytes(b"half")
    start = folder.start()
    assert (start.origin, start.restore_from) == (Origin.RESTORED, wanted)
    assert start.configuration["execution.state-recovery.path"] == wanted
    assert start.configuration["execution.state-recovery.claim-mode"] == "CLAIM"
    assert start.told["marketpipeline.state.restored-from"] == wanted
    assert not torn.exists(), "what a killed job left half written is of no use"
    savepoint = folder.complete(first, "savepoint-2")
    assert folder.start().restore_from == savepoint


@pytest.mark.parametrize(
    "change",
    [
        {"windows": ["1m"]},
        {"calculate": 5},
        {"within_bps": 5.0},
        {"feeds": ["book"]},
        {"allowed_lateness_ms": 1_000},
    ],
    ids=lambda change: next(iter(change)),
)
def test_state_of_other_queries_is_named_and_left_for_the_day_when_the_change_is_taken_back(
    folder: Folder, change: dict[str, Any]
) -> None:
    first = folder.start()
    kept = folder.complete(first, "job/chk-1")
    other = folder.start(**change)
    assert (other.origin, other.restore_from) == (Origin.UNFIT, None)
    assert first.directory in other.reason
    assert "its queries are others" in other.reason
    folder.complete(other, "job/chk-1")
    assert folder.start().restore_from == kept


@pytest.mark.parametrize(
    ("broker", "said"),
    [
        (replace(BROKER, cluster="cluster-2"), "another Kafka cluster"),
        (replace(BROKER, topics=TOPICS | {"crypto.trades": "id-9"}), "deleted and made again since: crypto.trades"),
    ],
    ids=["cluster", "topic"],
)
def test_offsets_of_another_broker_or_topic_do_not_fit(folder: Folder, broker: BrokerView, said: str) -> None:
    folder.complete(folder.start(), "job/chk-1")
    start = folder.start(broker)
    assert start.origin is Origin.UNFIT
    assert said in start.reason


def test_another_state_backend_does_not_fit(folder: Folder) -> None:
    folder.complete(folder.start(), "job/chk-1")
    assert "state backend hashmap, this is rocksdb" in folder.start(state_backend="rocksdb").reason


def test_thresholds_addresses_and_parallelism_are_no_part_of_the_state(folder: Folder) -> None:
    wanted = folder.complete(folder.start(), "job/chk-1")
    thresholds = plain_settings()["thresholds"] | {"imbalance_medium": 0.6, "whale_trade": 1.0}
    kafka = {"bootstrap_servers": "elsewhere:1"}
    start = folder.start(thresholds=thresholds, kafka=kafka, parallelism=4, checkpoint_interval_ms=9)
    assert start.restore_from == wanted


@pytest.mark.parametrize(
    ("partition", "fits"),
    [(Partition(400, 500, 400), True), (Partition(401, 500, 400), False), (Partition(0, 300, 400), False),
     (Partition(0, 500), True), (Partition(1, 500), False)],
    ids=["trimmed up to what was read", "trimmed further", "shorter than what was read", "unknown", "unknown, trimmed"],
)  # fmt: skip
def test_state_fits_while_all_after_it_can_be_read(folder: Folder, partition: Partition, fits: bool) -> None:
    folder.complete(folder.start(), "job/chk-1")
    start = folder.start(replace(BROKER, partitions={"crypto.trades[0]": partition}))
    assert (start.origin is Origin.RESTORED) == fits
    assert fits or "deleted before they were read: crypto.trades[0]" in start.reason


def test_how_far_former_state_has_read_is_not_what_the_group_has_committed_since(folder: Folder) -> None:
    kept = folder.complete(folder.start(), "job/chk-1")
    other = folder.start(windows=["1m"])
    folder.complete(other, "job/chk-1")
    later = {"crypto.trades[0]": Partition(0, 900, 900)}
    assert folder.start(replace(BROKER, partitions=later)).restore_from == kept
    trimmed = {"crypto.trades[0]": Partition(600, 900, 900)}
    start = folder.start(replace(BROKER, partitions=trimmed))
    assert start.origin is Origin.UNFIT
    assert "begins at 600, the job had read up to 400" in start.reason


def test_how_far_the_state_of_one_cluster_has_read_is_not_what_was_read_of_another(folder: Folder) -> None:
    kept = folder.complete(folder.start(), "job/chk-1")
    moved = {"crypto.trades": "id-9", "crypto.book": "id-8", "crypto.thresholds": "id-7"}
    other = BrokerView("cluster-2", moved, {"crypto.trades[0]": Partition(0, 90_000, 80_000)})
    folder.complete(folder.start(other), "job/chk-1")
    start = folder.start()
    assert (start.origin, start.restore_from) == (Origin.RESTORED, kept)
    assert not any(folder.path.rglob("read.json"))


def test_notes_that_a_crash_left_half_written_keep_no_job_from_its_state(folder: Folder) -> None:
    first = folder.start()
    kept = folder.complete(first, "job/chk-1")
    folder.complete(folder.start(windows=["1m"]), "job/chk-1")
    place = Path(first.directory.removeprefix("file://"))
    for name in ("identity.json", "read.json"):
        assert (place / name).exists()
        (place / name).write_text('{"pipe')
    start = folder.start()
    assert (start.origin, start.restore_from) == (Origin.RESTORED, kept)


def test_of_two_that_were_written_in_one_second_it_is_the_later(folder: Folder) -> None:
    first = folder.start()
    for name in ("savepoint-2", "job/chk-9", "job/chk-10"):
        path = Path(folder.complete(first, name).removeprefix("file://"))
        os.utime(path / "_metadata", (1_000_000, 1_000_000))
    wanted = f"{first.directory}/savepoint-2"
    assert folder.start().restore_from == wanted
    shutil.rmtree(wanted.removeprefix("file://"))
    assert folder.start().restore_from == f"{first.directory}/job/chk-10"


def test_of_former_state_only_a_few_are_kept_and_never_another_pipelines(folder: Folder) -> None:
    foreign = folder.start(replace(BROKER, topics={"other.trades": "x"}))
    folder.complete(foreign, "job/chk-1")
    former = []
    for lateness in range(1, 5):
        former.append(folder.start(allowed_lateness_ms=lateness))
        folder.complete(former[-1], "job/chk-1")
    folder.start()
    left = {f"file://{folder.path}/{path.name}" for path in folder.path.iterdir() if any(path.glob("*/chk-*"))}
    assert left == {foreign.directory, former[-1].directory, former[-2].directory}


def test_where_no_state_is_kept_none_is_looked_for(folder: Folder) -> None:
    folder.complete(folder.start(), "job/chk-1")
    start = folder.start(keeps_state=False)
    assert (start.origin, start.restore_from) == (Origin.NOT_KEPT, None)
    assert "checkpointClaim" in start.reason


def test_a_kept_savepoint_is_gone_on_from_and_stays(folder: Folder) -> None:
    first = folder.start()
    old = folder.complete(first, "savepoints/savepoint-1")
    folder.complete(first, "job/chk-1")
    kept = folder.complete(first, "savepoints/savepoint-2")
    start = folder.start()
    assert start.restore_from == kept
    assert start.configuration["execution.state-recovery.claim-mode"] == "NO_CLAIM"
    assert start.configuration["execution.checkpointing.savepoint-dir"] == f"{first.directory}/savepoints"
    told = json.loads(start.told["marketpipeline.state.savepoints"])
    assert [place for place, _ in told] == [kept, old]
    assert told[0][1] > told[1][1] > 0
    for lateness in range(1, 4):
        folder.complete(folder.start(allowed_lateness_ms=lateness), "job/chk-1")
    assert folder.start().restore_from == kept, "state of former queries goes, a savepoint that is kept does not"


def test_another_reset_sets_the_state_aside_once_and_says_what_is_lost(folder: Folder) -> None:
    first = folder.start(reset="1")
    assert first.origin is Origin.NEW
    before = folder.complete(first, "job/chk-1")
    assert folder.start(reset="1").restore_from is None, "the note is younger than this state"
    folder.now()
    before = folder.complete(first, "job/chk-2")
    assert folder.start(reset="1").restore_from == before, "whoever forgot that it was done: it is done once"
    folder.now()
    trimmed = replace(BROKER, partitions={"crypto.trades[0]": Partition(7, 500, 400)})
    start = folder.start(trimmed, reset="2")
    assert (start.origin, start.restore_from) == (Origin.RESET, None)
    assert f"without the state in {before}: processing.reset is '2'" in start.reason
    assert "what was deleted before is not computed again: crypto.trades[0] begins at 7" in start.reason
    assert folder.start(reset="2").origin is Origin.RESET, "killed before its first checkpoint"
    assert "all of their records are still there" in folder.start(reset="2").reason
    assert folder.start(windows=["1m"], reset="2").origin is Origin.RESET, "of other queries likewise"
    folder.now()
    after = folder.complete(first, "job/chk-3")
    assert folder.start(reset="2").restore_from == after
    assert folder.start().restore_from == after, "a field that is taken away asks for nothing"


def test_a_state_that_is_named_is_started_from_once(folder: Folder) -> None:
    first = folder.start()
    named = folder.complete(first, "savepoints/savepoint-1")
    folder.complete(first, "job/chk-9")
    folder.now()
    for _ in range(2):
        start = folder.start(initial_savepoint=named)
        assert (start.origin, start.restore_from) == (Origin.RESTORED, named), "until it has saved something itself"
        assert not start.claims
        assert "processing.initialSavepoint" in start.reason
    folder.now()
    since = folder.complete(first, "job/chk-10")
    assert folder.start(initial_savepoint=named).restore_from == since
    again = folder.start(initial_savepoint=named, reset="once more")
    assert again.restore_from == named


@pytest.mark.parametrize(
    ("change", "partition", "said"),
    [
        ({"windows": ["1m"]}, Partition(0, 500), "its queries are others"),
        ({}, Partition(9, 500, begins_at=1_000_000_000), "crypto.trades[0] begins at 9, after that state was written"),
        ({}, Partition(9, 500), "begins at 9, after"),
        ({"initial_savepoint": "file:///nowhere"}, Partition(0, 500), "/nowhere/_metadata is missing"),
        ({}, Partition(9, 500, begins_at=1_000_000_000 - 61_000), ""),
    ],
    ids=["other queries", "trimmed", "trimmed to the end", "not there", "trimmed before"],
)
def test_a_state_that_is_named_has_to_fit(
    folder: Folder, change: dict[str, Any], partition: Partition, said: str
) -> None:
    named = folder.complete(folder.start(), "savepoints/savepoint-1")
    broker = replace(BROKER, partitions={"crypto.trades[0]": partition})
    start = folder.start(broker, **({"initial_savepoint": named} | change))
    assert start.origin is (Origin.UNFIT if said else Origin.RESTORED)
    assert said in start.reason


def test_without_a_place_for_state_the_named_one_is_used_at_each_start(folder: Folder) -> None:
    named = folder.complete(folder.start(), "savepoint-1")
    for _ in range(2):
        assert folder.start(initial_savepoint=named, keeps_state=False).restore_from == named


def test_a_place_that_flink_cannot_reach_is_named(files: FlinkFiles) -> None:
    with pytest.raises(RetryableError, match="nowhere://bucket/path"):
        find_start(job_settings(checkpoint_directory="nowhere://bucket/path"), BROKER, files)


def test_the_identity_is_of_what_runs() -> None:
    identity = identity_of(job_settings(), BROKER)
    assert (identity.flink, identity.cluster, identity.topics) == ("2.2", "cluster-1", TOPICS)
    assert identity.fingerprint == identity_of(job_settings(pipeline="crypto"), BROKER).fingerprint
    assert identity.fingerprint != identity_of(job_settings(pipeline="other"), BROKER).fingerprint
