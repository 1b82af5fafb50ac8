"""What only the sink into Snowflake has: exact values, samples, batches that wait, its errors, its process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from marketpipeline.errors import PermanentError
from marketpipeline.records import Record
from marketpipeline.sinks.base import Backpressure
from marketpipeline.sinks.snowflake import SnowflakeSink
from marketpipeline.sinks.snowflake.statements import copy_into
from marketpipeline.store import Table
from marketpipeline.store.snowflake import SAMPLES, TRADES, WHOLE
from marketpipeline.topics import TopicKind
from pydantic import SecretStr
from snowflake.connector.cursor import SnowflakeCursor

from tests.conftest import free_port, wait_for
from tests.services.sinks.running import RunningSink, SinkProcess
from tests.services.sinks.samples import BTC, START, alert, book, candle, deliver, every_kind, feed_event, trade
from tests.services.sinks.stores import SnowflakeStore
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.snowflake import RunningSnowflake

SECOND = 1_000_000


@pytest.fixture
def store(snowflake: RunningSnowflake) -> SnowflakeStore:
    return SnowflakeStore(snowflake)


def opened(store: SnowflakeStore) -> SnowflakeSink:
    sink = store.sink()
    sink.open()
    return sink


def rows(store: SnowflakeStore, table: Table) -> list[tuple[Any, ...]]:
    """A table's rows, with times as microseconds."""
    chosen = [f"DATE_PART(epoch_microsecond, {c.name})" if c.is_time else c.name for c in table.columns]
    return store.query(f"SELECT {', '.join(chosen)} FROM {table.name} ORDER BY symbol, {table.time}")


def as_row(record: Record) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in record.__struct_fields__ if name != "v")


def test_every_value_comes_back_exactly(store: SnowflakeStore) -> None:
    sink = opened(store)
    odd = trade(2, trade_id=2**63 - 1, price=123456789.012345, quantity=5e-324, trade_time=0, event_time=None)
    far = trade(3, trade_id=-1, price=1.7976931348623157e308, trade_time=7_258_118_399_999_999)
    event = feed_event(detail='a\tb\nc\\.\\N "quoted" it\'s \x01 ü 東 🚀')
    others = [record for record in every_kind() if type(record) is not type(event)]
    sink.write(deliver(*others, odd, far, event))
    written = [*others, odd, far, event]
    for table in (*WHOLE, TRADES):
        expected = [as_row(record) for record in written if type(record) is table.record]
        assert rows(store, table) == sorted(expected, key=lambda row: row[table.column_names.index(table.time)])
    assert len(rows(store, SAMPLES)) == 1
    sink.close()


def test_a_sample_that_is_cut_by_a_batch_is_the_same(store: SnowflakeStore) -> None:
    """Of one window the middle, then its end, then its beginning again: the last row and the extremes of all."""
    sink = opened(store)
    for number, mid, imbalance in ((5, 7.0, 0.1), (8, 6.0, 0.2), (2, 9.0, -0.5), (8, 6.0, 0.2)):
        sink.write(deliver(book(number, mid=mid, imbalance=imbalance)))
        sink.flush(everything=True)
    found = store.query(
        "SELECT update_id, mid, lowest_mid, highest_mid, lowest_imbalance, highest_imbalance, interval,"
        " DATE_PART(epoch_microsecond, open_time) FROM book_samples"
    )
    assert found == [(7_008, 6.0, 6.0, 9.0, -0.5, 0.2, "1s", START // SECOND * SECOND)]
    sink.close()


def test_rows_wait_for_their_time_or_for_others(store: SnowflakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr("marketpipeline.sinks.snowflake.sink.time.monotonic", lambda: now[0])
    limited = store.settings.model_copy(update={"hold_ms": 600_000, "hold_rows": 3, "trades": False})
    sink = SnowflakeSink(limited)
    assert TopicKind.TRADES not in sink.topics
    sink.open()
    sink.write(deliver(trade(), candle(), candle(trades=101)))
    sink.flush(everything=False)
    assert (sink.held_rows, sink.holds) == (1, {("t", 0)})
    now[0] += 601
    sink.flush(everything=False)
    assert (sink.held_rows, sink.holds) == (0, set())
    sink.write(deliver(*(candle(number) for number in range(1, 4))))
    sink.flush(everything=False)
    assert sink.held_rows == 0, "as many as may be held are written at once"
    sink.write(deliver(candle(9)))
    sink.lose({("t", 0)})
    assert (sink.held_rows, sink.holds) == (0, set())
    sink.close()


def test_what_is_due_is_written_a_table_a_call_so_that_no_partition_is_lost_meanwhile(store: SnowflakeStore) -> None:
    """What comes between two of them waits for the next batch, and its partition's offset with it."""
    sink = SnowflakeSink(store.settings.model_copy(update={"hold_ms": 1}))
    sink.open()

    def take(topic: str, *records: Record) -> None:
        sink.write([msgspec.structs.replace(delivery, topic=topic) for delivery in deliver(*records)])

    take("candles", candle(1), candle(2))
    take("trades", trade(1))
    wait_for(lambda: _is_written(sink, left=1), "the first table is written")
    assert (sink.held_rows, sink.holds) == (1, {("trades", 0)})
    take("candles", candle(3))
    sink.flush(everything=False)
    assert (sink.held_rows, sink.holds) == (1, {("candles", 0)})
    assert store.query_only("SELECT count(*) FROM candles") == [(2,)]
    sink.flush(everything=True)
    assert (sink.held_rows, sink.holds) == (0, set())
    assert store.query_only("SELECT count(*) FROM candles") == [(3,)]
    sink.close()


def _is_written(sink: SnowflakeSink, left: int) -> bool:
    sink.flush(everything=False)
    return sink.held_rows == left


def _key() -> SecretStr:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"phrase")
    )
    return SecretStr(text.decode())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"account": None}, r"snowflake\.account: is not given; name the account"),
        ({"private_key": None}, r"snowflake\.privateKeySecret: is not given; name the Secret"),
        ({"private_key": SecretStr("no key")}, r"snowflake\.privateKeySecret: is no private key in PEM form"),
        ({"private_key_passphrase": SecretStr("x")}, r"snowflake\.privateKeyPassphraseSecret: it is not encrypted"),
        ({"private_key": _key()}, r"snowflake\.privateKeyPassphraseSecret: it is encrypted; name its"),
        ({"private_key": _key(), "private_key_passphrase": SecretStr("phrase")}, r"JWT token is invalid"),
        (
            {"private_key": _key(), "private_key_passphrase": SecretStr("x")},
            r"snowflake\.privateKeyPassphraseSecret: is not",
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_at_the_door_is_named(snowflake: RunningSnowflake, changes: dict[str, Any], says: str) -> None:
    settings = snowflake.settings(**changes)
    with pytest.raises(PermanentError, match=says) as caught:
        SnowflakeSink(settings).open()
    assert "PRIVATE KEY" not in str(caught.value)


def test_a_schema_that_is_somebody_elses_newer_or_older(store: SnowflakeStore) -> None:
    """A table with another column, one of an unknown release, and tables of ours that were dropped."""
    opened(store).close()
    store.query("ALTER TABLE candles DROP COLUMN vwap")
    store.query("ALTER TABLE candles ADD COLUMN vwap VARCHAR")
    with pytest.raises(PermanentError) as caught:
        store.sink().open()
    where = f"MARKETPIPELINE.{store.settings.schema_name}"
    assert str(caught.value) == (
        f"spec.sinks.snowflake.schema: {where}: the table candles is there and is not this sink's "
        "(column vwap TEXT, not FLOAT); name another schema, or rename that table"
    )
    store.query("DROP TABLE candles")
    with pytest.raises(PermanentError, match=r"candles .*column symbol \(absent\)"):
        store.sink().open()
    store.query("DELETE FROM marketpipeline_migrations")
    sink = opened(store)
    sink.write(deliver(candle()))
    assert store.newest_candle(BTC, "1m") == (START, False, 61_005.0)
    store.query("INSERT INTO marketpipeline_migrations SELECT 99, 'later', SYSDATE()")
    with pytest.raises(PermanentError, match="is version 99, this release knows up to"):
        store.sink().open()
    sink.close()


def test_a_batch_that_fails_half_way_is_written_again(store: SnowflakeStore) -> None:
    """A table that somebody dropped: the alerts are in, the candles are held; the next attempt has both, once."""
    sink = opened(store)
    store.query("DROP TABLE candles")
    sink.write(deliver(alert(), candle()))
    with pytest.raises(Backpressure, match="CANDLES does not exist"):
        sink.flush(everything=True)
    assert sink.held_rows == 1
    store.query_only("DELETE FROM marketpipeline_migrations")
    sink.open()
    assert store.alert(alert().id) == ("open", 0.55)
    assert store.newest_candle(BTC, "1m") == (START, False, 61_005.0)
    sink.close()


def test_a_file_that_was_not_read_in_is_taken_out_of_the_stage(
    store: SnowflakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulation refuses REMOVE, so that it is the statement that is looked at; the error is that of the COPY."""
    sink, sent = opened(store), list[str]()
    execute = SnowflakeCursor.execute

    def noting(cursor: SnowflakeCursor, command: str, *args: Any, **more: Any) -> Any:
        sent.append(command)
        return execute(cursor, command, *args, **more)

    monkeypatch.setattr(SnowflakeCursor, "execute", noting)
    monkeypatch.setattr(
        "marketpipeline.sinks.snowflake.sink.copy_into", lambda table, file: copy_into(table, file).replace("$1", "$x")
    )
    sink.write(deliver(candle()))
    with pytest.raises((Backpressure, PermanentError)) as caught:
        sink.flush(everything=True)
    [file] = [command.split("'")[1].removeprefix("file://") for command in sent if command.startswith("PUT")]
    assert sent[-1] == f"REMOVE @marketpipeline_batches/{file}"
    assert "REMOVE" not in str(caught.value)
    sink.close()


@pytest.fixture
def topics(broker: RunningBroker) -> Topics:
    return Topics(broker)


def test_a_poison_row_is_a_dead_letter_and_a_store_that_hangs_is_waited_for(
    topics: Topics, store: SnowflakeStore, snowflake: RunningSnowflake
) -> None:
    settings = store.settings.model_copy(update={"hold_ms": 50})
    with RunningSink(SnowflakeSink(settings), topics) as running:
        topics.put(*every_kind(BTC), trade(7, trade_id=2**64 - 1), trade(8))
        running.drained()
        assert running.metrics.dead_letters == 1
        snowflake.pause()
        try:
            topics.put(*(book(number) for number in range(2, 500)))
        finally:
            snowflake.resume()
        running.drained()
    assert running.left_nothing
    assert store.query("SELECT count(*) FROM book_samples") == [(50,)]
    assert store.query("SELECT count(*) FROM trades") == [(2,)]


def test_killed_in_the_middle_with_its_store_and_started_again_the_tables_are_complete(
    topics: Topics, store: SnowflakeStore, snowflake: RunningSnowflake, tmp_path: Path
) -> None:
    known = store.settings.model_dump(mode="json") | {"hold_ms": 200}
    known["private_key"] = snowflake.component.settings["private_key"]
    process = SinkProcess(tmp_path, "sink-snowflake", topics, known, secret=None)
    total = 4_000
    try:
        process.start()
        for begin in range(0, total, 1_000):
            topics.put(*(book(number) for number in range(begin, begin + 1_000)))
            topics.put(*(candle(0, trades=number + 1) for number in range(begin, begin + 1_000)))
            if begin == 1_000:
                wait_for(lambda: process.health()["rows"] > 100, "some rows are taken")
                assert process.end(signal.SIGKILL) == -signal.SIGKILL
                process.start()
            if begin == 2_000:
                snowflake.kill()
                snowflake.start()
        topics.put(candle(0, trades=total, closed=True))
        closed = "SELECT closed, trades FROM candles"
        wait_for(lambda: store.query(closed) == [(True, total)], "the candle is closed", seconds=90)
        last = "SELECT count(*), max(update_id), min(lowest_mid) FROM book_samples"
        expected = [(400, 7_000 + total - 1, book(0).mid)]
        wait_for(lambda: store.query(last) == expected, "all samples are there", seconds=60)
        assert process.end(signal.SIGTERM) == 0, process.log()
    finally:
        process.close()


def test_an_absent_server_is_waited_for(snowflake: RunningSnowflake) -> None:
    with pytest.raises(Backpressure, match="Snowflake is away"):
        SnowflakeSink(snowflake.settings(address=f"http://127.0.0.1:{free_port()}")).open()
