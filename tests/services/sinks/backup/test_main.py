"""A backup of a real database while its sink reads a real broker, and new databases that begin with it."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from marketpipeline.errors import PermanentError
from marketpipeline.records import Record, encode
from marketpipeline.settings import BackupSettings, HttpSettings, PlaceSettings
from marketpipeline.sink_kinds.timescale import SINK
from marketpipeline.sinks.backup.main import back_up, recover, run
from marketpipeline.sinks.backup.offsets import read_offsets
from marketpipeline.sinks.backup.place import Place
from marketpipeline.store import TABLES

from tests.conftest import wait_for
from tests.services.sinks.running import RunningSink
from tests.services.sinks.samples import BTC, ETH, candle, every_kind, trade
from tests.services.sinks.stores import PostgresStore
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.postgres import RunningPostgres
from tests.support.seaweed import RunningSeaweed

AWKWARD = 'tab\there, \\N, "quotes", ü\nand a line'


@pytest.fixture
def topics(broker: RunningBroker) -> Topics:
    return Topics(broker)


class Backups:
    """Backups of one pipeline to one place, and stores that begin with one."""

    def __init__(self, topics: Topics, postgres: RunningPostgres, place: PlaceSettings) -> None:
        self.topics, self.postgres, self.place = topics, postgres, place
        self.group = f"{topics.prefix}.sink-timescale"

    def store(self) -> PostgresStore:
        return PostgresStore(self.postgres, self.postgres.create_database())

    def settings(self, store: PostgresStore, url: str | None = None, **more: Any) -> BackupSettings:
        place = self.place if url is None else self.place.model_copy(update={"url": url})
        fields: dict[str, Any] = {
            "pipeline": "crypto",
            "http": HttpSettings(host="127.0.0.1", port=0),
            "kafka": self.topics.kafka,
            "topic_prefix": self.topics.prefix,
            "consumer_group": self.group,
            "stores": {"timescale": store.settings},
            "place": place,
            "recover": url is not None,
        }
        return BackupSettings(**(fields | more))

    def recovered(self, url: str) -> PostgresStore:
        """A new database that begins with this backup; the sink has not begun yet."""
        store = self.store()
        assert run(self.settings(store, url)) == 0
        return store

    def sink(self, store: PostgresStore) -> RunningSink:
        return RunningSink(store.sink(), self.topics)


@pytest.fixture
def backups(topics: Topics, postgres: RunningPostgres, tmp_path: Path) -> Backups:
    return Backups(topics, postgres, PlaceSettings(url=(tmp_path / "b ackups").as_uri()))


def held(store: PostgresStore) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, the archived days, and the symbols; when these were seen is noted now and then."""
    names = [(table.name, ", ".join(table.column_names)) for table in TABLES] + [("symbols", "symbol")]
    names.append(("archived_days", "table_name, day, rows, archived_at, restored_until"))
    return {name: sorted(store.query(f"SELECT {columns} FROM {name}"), key=repr) for name, columns in names}


def later() -> list[Record]:
    """What comes after the backup, also a candle that grows and one that does not."""
    return [*(trade(n, ETH) for n in range(500, 520)), candle(0, trades=90), candle(1, trades=3)]


def test_a_new_database_and_the_topics_make_what_the_old_one_has(backups: Backups) -> None:
    old = backups.store()
    with backups.sink(old) as sink:
        backups.topics.put(*every_kind(), *every_kind(ETH), *(trade(n) for n in range(100, 200)), candle(0, trades=80))
        sink.drained()
        url = back_up(backups.settings(old))
        before = held(old)
        backups.topics.put(*later())
        sink.drained()
    recovered = backups.recovered(url)
    assert held(recovered) == before, "as it was when the backup was taken"
    assert recover(backups.settings(recovered, url)) == {}, "once"
    with backups.sink(recovered) as sink:
        sink.drained()
    assert held(recovered) == held(old) != before, "what came since is read again"


def test_on_a_broker_with_other_offsets_it_goes_on_from_the_same_moment(backups: Backups) -> None:
    """A mirror of the topics: of the same names, with the newest records only."""
    old = backups.store()
    with backups.sink(old) as sink:
        backups.topics.put(*(trade(n) for n in range(50)))
        sink.drained()
        url = back_up(backups.settings(old))
        backups.topics.put(*later())
        sink.drained()
    admin = AdminClient({"bootstrap.servers": backups.topics.kafka.bootstrap_servers})
    names = [backups.topics.name(kind) for kind in SINK.topics]
    for future in admin.delete_topics(names, operation_timeout=30).values():
        future.result(30)
    wait_for(lambda: not {*names} & {*admin.list_topics(timeout=10).topics}, "the topics to be gone")
    backups.topics.create(*SINK.topics)
    producer = Producer({"bootstrap.servers": backups.topics.kafka.bootstrap_servers, "partitioner": "murmur2_random"})
    stale = encode(trade(7, ETH, price=1.0))
    producer.produce(names[0].rpartition(".")[0] + ".trades", key=ETH.encode(), value=stale, timestamp=1_000_000)
    producer.flush(10)
    backups.topics.put(*later())
    recovered = backups.recovered(url)
    with backups.sink(recovered) as sink:
        sink.drained()
    assert held(recovered) == held(old), "nothing from before the backup, everything since"


def test_a_database_that_has_rows_keeps_those_that_are_truer(backups: Backups) -> None:
    store = backups.store()
    with backups.sink(store) as sink:
        backups.topics.put(candle(0, trades=80), candle(1, trades=80), trade(1))
        sink.drained()
        url = back_up(backups.settings(store))
        backups.topics.put(candle(0, trades=90), trade(2))
        sink.drained()
    store.query("DELETE FROM candles WHERE trades = 80 RETURNING 1")
    assert run(backups.settings(store, url)) == 0
    assert sorted(store.query("SELECT trades FROM candles")) == [(80,), (90,)]
    assert sorted(store.query("SELECT trade_id FROM trades")) == [(1001,), (1002,)]


def test_while_the_sink_reads_nothing_is_changed(backups: Backups) -> None:
    old = backups.store()
    with backups.sink(old) as sink:
        backups.topics.put(trade(1))
        sink.drained()
        url = back_up(backups.settings(old))
        new = backups.store()
        with pytest.raises(PermanentError, match=r"spec\.suspend"):
            recover(backups.settings(new, url))
        assert run(backups.settings(new, url)) == 1
    assert recover(backups.settings(new, url))["trades"] == 1


def test_the_newest_are_kept_and_what_is_torn_is_no_backup(backups: Backups, tmp_path: Path) -> None:
    store, place = backups.store(), Place(backups.place)
    elsewhere = {"format": 1, "offsets": {"cluster": "another"}}
    _write(place, "crypto/20260401T000000Z/manifest.json", json.dumps(elsewhere).encode())
    for torn in ("20260501T235959Z", "20260502T000001Z", "notes"):
        _write(place, f"crypto/{torn}/tables/trades.copy.gz", b"torn")
    urls = [back_up(backups.settings(store, keep=2), datetime(2026, 5, day, tzinfo=UTC)) for day in (1, 2, 3)]
    kept = ["20260401T000000Z", "20260502T000000Z", "20260502T000001Z", "20260503T000000Z", "notes"]
    assert place.folders("crypto") == kept, "those of another cluster, and what may still be written"
    folder = tmp_path / "b ackups" / "crypto" / "20260503T000000Z"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tables"]["trades"]["sha256"] = "other"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PermanentError, match="SHA-256 is another"):
        recover(backups.settings(backups.store(), urls[2]))
    trades = folder / "tables" / "trades.copy.gz"
    whole = trades.read_bytes()
    assert gzip.decompress(whole) == b"", "compressed once, so that psql reads it"
    for damaged in (whole[:-4], b"no gzip", whole[:10] + b"\xff" * 8):
        trades.write_bytes(damaged)
        with pytest.raises(PermanentError, match=r"trades\.copy\.gz is damaged: .*; recover from another backup"):
            recover(backups.settings(store, urls[2]))
    (folder / "manifest.json").write_text("{")
    with pytest.raises(PermanentError, match=r"20260503T000000Z/manifest\.json is damaged"):
        recover(backups.settings(store, urls[2]))
    (folder / "manifest.json").unlink()
    with pytest.raises(PermanentError, match=r"manifest\.json is missing"):
        recover(backups.settings(backups.store(), urls[2]))


def test_to_a_bucket_with_the_jobs_newest_savepoint(
    topics: Topics, postgres: RunningPostgres, seaweed: RunningSeaweed
) -> None:
    lake = seaweed.lake()
    fields = {n: getattr(lake, n) for n in ("endpoint", "region", "path_style", "access_key_id", "secret_access_key")}
    backups = Backups(topics, postgres, PlaceSettings(url=f"{lake.url}/backups", **fields))
    state = PlaceSettings(url=f"{lake.url}/state", **fields)
    for fitting, pipeline in (("state-1", "crypto"), ("state-2", "other")):
        _write(Place(state), f"{fitting}/identity.json", json.dumps({"pipeline": pipeline}).encode())
        _write(Place(state), f"{fitting}/savepoints/savepoint-1/_metadata", b"metadata")
        _write(Place(state), f"{fitting}/savepoints/savepoint-1/part", pipeline.encode() * 1_000_000)
        _write(Place(state), f"{fitting}/savepoints/savepoint-2/part", b"torn")
    store = backups.store()
    url = back_up(backups.settings(store, state=state))
    there = Place(backups.place.model_copy(update={"url": url}))
    assert json.loads(there.read("manifest.json") or b"")["savepoint"] == f"{state.url}/state-1/savepoints/savepoint-1"
    assert there.files("state/savepoint").keys() == {"_metadata", "part"}
    assert there.read("state/savepoint/part") == b"crypto" * 1_000_000
    assert there.read("state/identity.json") is not None
    assert held(backups.recovered(url)) == held(store)


def _write(place: Place, path: str, content: bytes) -> None:
    with place.writing(path) as file:
        file.write(content)


def test_a_place_that_is_not_there_is_named(backups: Backups) -> None:
    assert read_offsets(backups.topics.kafka, backups.group, []).committed == {}
    gone = backups.settings(backups.store(), "file:///nowhere/crypto/x")
    with pytest.raises(PermanentError, match="file:///nowhere/crypto/x holds no complete backup"):
        recover(gone)


def test_texts_come_back_as_they_were(backups: Backups) -> None:
    store = backups.store()
    sink = store.sink()
    sink.open()
    sink.close()
    store.query("INSERT INTO symbols (symbol) VALUES (%s), (%s) RETURNING 1", BTC, AWKWARD)
    recovered = backups.recovered(back_up(backups.settings(store)))
    assert (AWKWARD,) in held(recovered)["symbols"]


def test_the_days_that_the_archive_answers_for_come_back(backups: Backups) -> None:
    """Into an empty database; and into one that has noted a day anew, which stays as it is."""
    store = backups.store()
    sink = store.sink()
    sink.open()
    sink.close()
    add = "INSERT INTO archived_days VALUES ('trades', %s, 5, %s, %s) RETURNING 1"
    store.query(add, "2024-08-01", "2024-09-01", None)
    store.query(add, "2024-08-02", "2024-09-01", "2024-12-01")
    url = back_up(backups.settings(store))
    before = held(store)["archived_days"]
    assert held(backups.recovered(url))["archived_days"] == before
    assert len(before) == 2
    store.query("UPDATE archived_days SET rows = 6 WHERE day = '2024-08-01' RETURNING 1")
    store.query("DELETE FROM archived_days WHERE day = '2024-08-02' RETURNING 1")
    assert recover(backups.settings(store, url))["archived_days"] == 2
    assert sorted(store.query("SELECT day::text, rows FROM archived_days")) == [("2024-08-01", 6), ("2024-08-02", 5)]
