"""The lake's own promises: held rows are committed once, files are worth reading, and what is wrong is named."""

from __future__ import annotations

import errno
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.lake.delta import make_table, open_table, schema_of
from marketpipeline.records import Record
from marketpipeline.schema import KafkaSettings
from marketpipeline.sink_kinds.lake import LakeSinkSettings, LakeStoreSettings
from marketpipeline.sinks.base import Backpressure, Delivery
from marketpipeline.sinks.lake import LakeSink
from marketpipeline.sinks.lake import topic_ids as module_of_ids
from marketpipeline.store.lake import lake_table
from marketpipeline.topics import TopicKind

from tests.conftest import free_port, wait_for
from tests.services.sinks.running import RunningSink, SinkProcess
from tests.services.sinks.samples import BTC, ETH, START, alert, book, candle, deliver, every_kind, trade
from tests.services.sinks.stores import LakeStore
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.seaweed import RunningSeaweed

TRADES = lake_table("trades")
DAY = 86_400_000_000


@pytest.fixture
def settings(tmp_path: Path) -> LakeStoreSettings:
    """A lake in a folder; it writes nothing before it is told to."""
    return LakeStoreSettings(url=(tmp_path / "lake").as_uri())


@pytest.fixture
def sink(settings: LakeStoreSettings) -> Iterator[LakeSink]:
    opened = LakeSink(settings)
    opened.open()
    yield opened
    opened.close()


def put(sink: LakeSink, *records: Record) -> None:
    sink.write(deliver(*records))
    sink.flush(everything=True)


def table_of(settings: LakeStoreSettings, name: str = "trades") -> DeltaTable:
    found = open_table(settings, lake_table(name))
    assert found is not None
    return found


def ids(settings: LakeStoreSettings) -> list[int]:
    found: list[int] = table_of(settings).to_pyarrow_table().column("trade_id").to_pylist()
    return sorted(found)


def files(settings: LakeStoreSettings, name: str = "trades") -> list[Path]:
    return [Path(uri.removeprefix("file://")) for uri in table_of(settings, name).file_uris()]


@pytest.fixture
def topics(broker: RunningBroker) -> Topics:
    return Topics(broker)


@pytest.fixture
def process(topics: Topics, settings: LakeStoreSettings, tmp_path: Path) -> Iterator[SinkProcess]:
    running = SinkProcess(tmp_path, "sink-lake", topics, {"url": settings.url}, secret="secret_access_key")
    yield running
    running.close()


def test_rows_are_committed_once_whatever_is_killed(
    topics: Topics, process: SinkProcess, settings: LakeStoreSettings
) -> None:
    topics.put(*(trade(number) for number in range(1_000)), *(candle(0, trades=n) for n in range(1, 200)))
    process.start()
    wait_for(lambda: process.health()["held"] == 1_001, "trades are held, and of the candle one row")
    assert sum(topics.committed(process.group).values()) == 0, "nothing is in the lake, so nothing is committed"
    assert process.end(signal.SIGKILL) == -signal.SIGKILL
    topics.put(*(trade(number) for number in range(1_000, 2_000)), candle(0, trades=500, closed=True))
    process.start()
    wait_for(lambda: process.health()["held"] == 2_001, "the new process has read all of it again")
    assert process.end(signal.SIGTERM) == 0, process.log()
    assert ids(settings) == [1_000 + number for number in range(2_000)]
    assert table_of(settings, "candles").to_pyarrow_table().column("trades").to_pylist() == [500]
    committed = topics.committed(process.group)
    assert sum(o for (name, _), o in committed.items() if name == topics.name(TopicKind.TRADES)) == 2_000
    for name in ("trades", "candles"):
        for action in _transactions(settings, name):
            _, topic, _, partition = action["appId"].split(":")
            assert action["version"] == committed[topic, int(partition)], "the log and the broker agree"


def _transactions(settings: LakeStoreSettings, name: str) -> list[dict[str, Any]]:
    import json

    log = Path(settings.url.removeprefix("file://")) / name / "_delta_log"
    lines = [json.loads(line) for file in sorted(log.glob("*.json")) for line in file.read_text().splitlines()]
    found = [line["txn"] for line in lines if "txn" in line]
    assert found, "no transaction ids"
    return found


def test_a_commit_whose_offsets_were_lost_is_not_made_again(topics: Topics, settings: LakeStoreSettings) -> None:
    """As when the process is killed between the two: the lake's own log tells how far it is."""
    name = {topics.name(TopicKind.TRADES): "id-1"}
    rows = [_at(delivery, topics.name(TopicKind.TRADES)) for delivery in deliver(*(trade(n) for n in range(50)))]
    first, second, anew = (LakeSink(settings, "group", told) for told in (lambda: name, lambda: name, dict))
    for sink in (first, second, anew):
        sink.open()
        sink.write(rows)
        assert sink.held_rows == (0 if sink is second else 50)
        waiting = [held for held in sink._held.values() if held.since is not None]
        assert len(waiting) == (0 if sink is second else 1), "what holds nothing waits for nothing"
        sink.flush(everything=True)
    assert ids(settings) == [1_000 + n for n in range(50)], (
        "a topic that is another one has its rows told by their keys"
    )


def _at(delivery: Delivery, topic: str) -> Delivery:
    return Delivery(delivery.record, delivery.payload, topic, delivery.partition, delivery.offset)


def test_of_two_processes_that_think_a_partition_theirs_one_commits(settings: LakeStoreSettings) -> None:
    first, second = LakeSink(settings), LakeSink(settings)
    for sink in (first, second):
        sink.open()
        sink.write(deliver(*(trade(n) for n in range(10))))
    held = next(iter(second._held.values()))
    assert held.rows == 10
    first.flush(everything=True)
    stale = second._tables[type(trade())]
    stale.update_incremental = lambda: None  # it looked before the first one's commit
    with pytest.raises(Backpressure, match="another process has changed the table"):
        second.flush(everything=True)
    del stale.update_incremental
    second._look_again(held)
    assert second.held_rows == 0, "what the other one has written is let go of"
    assert ids(settings) == [1_000 + n for n in range(10)]


def test_partitions_are_handed_over_with_what_is_held(topics: Topics, settings: LakeStoreSettings) -> None:
    symbols = [f"binance:S{number}USDT" for number in range(12)]
    with RunningSink(LakeSink(settings, "group"), topics) as first:
        topics.put(*(trade(n, symbol) for symbol in symbols for n in range(20)))
        wait_for(lambda: first.metrics.held == 240, "the first has it all")
        with RunningSink(LakeSink(settings, "group"), topics) as second:
            wait_for(lambda: second.runner.source.assigned, "the second gets some")
            wait_for(lambda: sum(topics.committed(first.group).values()) == 240, "the first has written before")
            assert len(ids(settings)) == 240
            topics.put(*(trade(n, symbol) for symbol in symbols for n in range(20, 40)))
            wait_for(lambda: first.metrics.held + second.metrics.held == 240, "no row is read twice")
    assert first.left_nothing
    assert second.left_nothing
    assert len(ids(settings)) == 480
    assert sum(topics.committed(first.group).values()) == 480


def test_a_table_is_written_when_it_is_old_when_nothing_comes_and_when_memory_is_full(
    settings: LakeStoreSettings,
) -> None:
    old = LakeSink(settings.model_copy(update={"hold_ms": 200}))
    quiet = LakeSink(settings.model_copy(update={"hold_ms": 60_000, "url": settings.url + "-quiet"}))
    full = LakeSink(settings.model_copy(update={"hold_bytes": 200_000, "url": settings.url + "-full"}))
    for sink in (old, quiet, full):
        sink.open()
        sink.write(deliver(trade()))
        sink.flush(everything=False)
        assert sink.held_rows == 1
    for sink in (old, quiet):
        wait_for(partial(_has_written, sink), "it is written")
    most = 0
    for begin in range(0, 20_000, 1_000):
        full.write(deliver(*(trade(n) for n in range(begin, begin + 1_000)), candle(begin // 1_000)))
        most = max(most, full.held_rows)
    assert most < 5_000, "what is held stays below the memory for it"
    assert full._held[type(candle())].rows == 20, "the largest table is written, not every one"


def test_the_table_that_has_been_due_for_longest_is_next_and_none_is_begun_too_late(
    settings: LakeStoreSettings,
) -> None:
    sink = LakeSink(settings.model_copy(update={"hold_ms": 0}))
    sink.open()
    for first, second in ((trade(1), candle(1)), (candle(2), trade(2))):
        sink.write(deliver(first))
        sink.write(deliver(second))
        sink.flush(everything=True, until=time.monotonic())
        assert sink.held_rows == 2
        sink.flush(everything=False)
        assert [held.rows for held in (sink._held[type(first)], sink._held[type(second)])] == [0, 1]
        sink.write(deliver(first))
        sink.flush(everything=False)
        assert sink._held[type(second)].rows == 0, "what comes for the first again is younger"
        sink.flush(everything=True)


def _has_written(sink: LakeSink) -> bool:
    sink.flush(everything=False)
    return sink.held_rows == 0


def test_files_are_sorted_by_partition_and_know_their_ends(settings: LakeStoreSettings, sink: LakeSink) -> None:
    yesterday = [trade(n, s, trade_time=START - DAY + n) for s in (ETH, BTC) for n in range(50, 0, -1)]
    put(sink, *yesterday, *(trade(n, ETH) for n in range(10)), trade(1, "okx:BTC-USDT"))
    places = sorted("/".join(file.parts[-3:-1]) for file in files(settings))
    days = ("exchange=binance/day=2024-08-07", "exchange=binance/day=2024-08-08", "exchange=okx/day=2024-08-08")
    assert tuple(places) == days
    (file,) = (file for file in files(settings) if "day=2024-08-07" in str(file))
    rows = pq.read_table(file, partitioning=None).select(["symbol", "trade_time"]).to_pylist()
    assert rows == sorted(rows, key=lambda row: (row["symbol"], row["trade_time"]))
    column = pq.ParquetFile(file).metadata.row_group(0).column(0)
    assert (column.compression, column.statistics.min, column.statistics.max) == ("ZSTD", BTC, ETH)
    ends = {row["min.symbol"] for row in pa.table(table_of(settings).get_add_actions(flatten=True)).to_pylist()}
    assert ends == {BTC, ETH, "okx:BTC-USDT"}


def test_a_repetition_is_told_by_its_key_wherever_the_row_is(settings: LakeStoreSettings, sink: LakeSink) -> None:
    put(sink, *(trade(n) for n in range(100)), trade(5), trade(5, price=1.0))
    put(sink, trade(99), trade(50, price=2.0), trade(100))
    put(sink, trade(0), trade(7, ETH))
    assert ids(settings) == sorted([*(1_000 + n for n in range(101)), 1_007])
    assert table_of(settings).version() == 3, "a commit without new rows still says how far it came"


def test_what_others_read_is_what_was_written(settings: LakeStoreSettings, sink: LakeSink) -> None:
    """As docs/lake.md has it for DuckDB and for Polars."""
    put(sink, *every_kind(), *every_kind(ETH), *(trade(n) for n in range(2, 100)))
    trades = table_of(settings).to_pyarrow_dataset()
    asked = (
        "SELECT symbol, count(*), max(trade_id) FROM trades WHERE day = '2024-08-08' GROUP BY symbol ORDER BY symbol"
    )
    with duckdb.connect() as connection:
        connection.register("trades", trades)
        assert connection.sql(asked).fetchall() == [(BTC, 99, 1_099), (ETH, 1, 1_001)]
    lazy = polars.scan_delta(table_of(settings).table_uri).filter(polars.col("symbol") == BTC)
    assert lazy.select(polars.len(), polars.col("trade_id").max()).collect().row(0) == (99, 1_099)
    metrics = table_of(settings, "book_metrics").to_pyarrow_table().to_pylist()[0]
    assert {name: metrics[name] for name in ("imbalance", "ask_depth")} == {
        "imbalance": book().imbalance,
        "ask_depth": None,
    }


def test_a_lake_of_an_earlier_release_gets_the_columns_that_it_lacks(settings: LakeStoreSettings) -> None:
    make_table(settings, TRADES)
    lacking = pa.schema([field for field in schema_of(TRADES) if field.name != "backfilled"])
    where = Path(settings.url.removeprefix("file://")) / "old" / "trades"
    DeltaTable.create(
        str(where),
        schema=lacking.append(pa.field("note", pa.string())),
        partition_by=["exchange", "day"],
        configuration={"marketpipeline.layout": "1"},
        raise_if_key_not_exists=False,
    )
    old = settings.model_copy(update={"url": settings.url + "/old"})
    sink = LakeSink(old)
    sink.open()
    put(sink, trade(1, backfilled=True))
    (row,) = table_of(old).to_pyarrow_table().to_pylist()
    assert (row["trade_id"], row["backfilled"], row["note"]) == (1_001, True, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"price": pa.string()}, "table trades: column price is string, this release writes double: restore"),
        ({"layout": "2"}, "table trades has layout 2, this release writes 1: run the release that made it"),
        ({"layout": None}, "table trades was not made by marketpipeline: give the lake a folder of its own"),
        ({"partitions": ["day"]}, r"table trades is partitioned by \['day'\], not by exchange and day"),
    ],
    ids=["a column of another type", "a later layout", "somebody else's table", "other partitions"],
)
def test_a_table_that_is_not_ours_is_refused_by_name(
    settings: LakeStoreSettings, change: dict[str, Any], said: str
) -> None:
    fields = [field.with_type(change.get(field.name, field.type)) for field in schema_of(TRADES)]
    layout = change.get("layout", "1")
    DeltaTable.create(
        str(Path(settings.url.removeprefix("file://")) / "trades"),
        schema=pa.schema(fields),
        partition_by=change.get("partitions", ["exchange", "day"]),
        configuration={} if layout is None else {"marketpipeline.layout": layout},
        raise_if_key_not_exists=False,
    )
    with pytest.raises(PermanentError, match=rf"spec\.sinks\.lake\.url: .*{said}"):
        LakeSink(settings).open()


def test_an_absent_store_is_waited_for(seaweed: RunningSeaweed) -> None:
    with pytest.raises(Backpressure, match="the lake is away"):
        LakeSink(seaweed.lake(endpoint="http://127.0.0.1:9")).open()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond a kilobyte: what a quota or a full disk does to a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_what_is_held_and_says_so(settings: LakeStoreSettings, sink: LakeSink) -> None:
    assert errno.EFBIG == 27
    sink.write(deliver(*(trade(n) for n in range(2_000)), alert()))
    with full_disk(), pytest.raises(Backpressure, match="the lake's disk is full: make room at file://"):
        sink.flush(everything=True)
    assert sink.holds, "nothing is lost"
    sink.flush(everything=True)
    assert len(ids(settings)) == 2_000
    assert LakeStore(settings).alert(alert().id) == ("open", 0.55)


def test_a_broker_that_does_not_tell_its_topics_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_of_ids, "_SECONDS", 0.3)
    settings = LakeSinkSettings(
        pipeline="p", kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"), topic_prefix="p",
        consumer_group="g", batch_rows=1, flush_interval_ms=1, store=LakeStoreSettings(url="file:///nowhere"),
    )  # fmt: skip
    with pytest.raises(RetryableError, match="the broker does not tell the ids of its topics"):
        module_of_ids.topic_ids(settings)
