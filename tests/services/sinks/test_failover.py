"""A store whose primary changes behind one address: the next attempt goes to the new one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.readers.redis import RedisReader
from marketpipeline.records import Record
from marketpipeline.sinks.base import Backpressure, RowsRejected, Sink
from marketpipeline.sinks.redis import RedisSink
from marketpipeline.sinks.timescale import TimescaleSink
from marketpipeline.sinks.timescale.connection import Connection

from tests.conftest import free_port, wait_for
from tests.services.sinks.samples import BTC, deliver, trade
from tests.services.sinks.stores import PostgresStore, ValkeyStore
from tests.support.postgres import RunningPostgres
from tests.support.switch import switch
from tests.support.valkey import PASSWORD, RunningValkey


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningValkey]:
    """A server that may become the primary."""
    running = RunningValkey(tmp_path_factory.mktemp("second") / "server")
    try:
        running.start()
        yield running
    finally:
        running.stop()


def port_of(server: RunningValkey) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


@contextmanager
def talking_to(server: RunningValkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, password=PASSWORD) as client:
        yield client


def follow(replica: RunningValkey, primary: RunningValkey) -> None:
    """Make it the replica of the other, and wait until it has everything."""
    with talking_to(replica) as client:
        client.config_set("masterauth", PASSWORD)
        client.replicaof("127.0.0.1", str(port_of(primary)))
        wait_for(lambda: client.info("replication").get("master_link_status") == "up", "the replica follows")


@pytest.fixture
def roles(valkey: RunningValkey, second: RunningValkey) -> Iterator[tuple[RunningValkey, RunningValkey]]:
    """A primary and its replica; both are on their own again afterwards."""
    follow(second, valkey)
    yield valkey, second
    for server in (valkey, second):
        with talking_to(server) as client:
            client.replicaof("NO", "ONE")


def attempts_until_taken(sink: Sink, *records: Record) -> int:
    """How often the runner would have to offer a batch; at most 20."""
    for attempt in range(1, 21):
        try:
            sink.open()
            sink.write(deliver(*records))
        except Backpressure:
            continue
        return attempt
    pytest.fail("not taken at the 20th attempt")


def test_the_cache_after_its_roles_were_switched(roles: tuple[RunningValkey, RunningValkey]) -> None:
    old, new = roles
    store = ValkeyStore(old)
    with switch(port_of(old)) as address:
        settings = store.settings.model_copy(update={"url": f"redis://127.0.0.1:{address.port}/0"})
        sink = RedisSink(settings)
        sink.open()
        sink.write(deliver(trade(1)))
        with talking_to(new) as client:
            client.replicaof("NO", "ONE")
        follow(old, new)
        address.target = port_of(new)
        assert attempts_until_taken(sink, trade(2)) == 2, "the first meets the old primary, the second the new one"
        sink.close()
    store.settings = store.settings.model_copy(update={"url": new.url})
    assert store.newest_trade(BTC) == 1_002


@pytest.mark.parametrize(
    "word", ["READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "OOM", "NOREPLICAS"]
)
def test_an_answer_that_may_pass_is_followed_by_a_new_connection(valkey: RunningValkey, word: str) -> None:
    """The server really gives these answers: from a function of its own that the sink's script is replaced by."""
    sink = RedisSink(ValkeyStore(valkey).settings)
    sink.open()
    refusing = f"return redis.error_reply('{word} the test says so')"
    sink._latest = sink._client.register_script(refusing)  # type: ignore[union-attr]
    with pytest.raises(Backpressure):
        sink.write(deliver(trade(1)))
    assert sink._client is None
    assert attempts_until_taken(sink, trade(1)) == 1
    sink.close()


async def test_a_reader_leaves_a_server_that_cannot_answer_now(roles: tuple[RunningValkey, RunningValkey]) -> None:
    """A replica without its primary, which may not give what is stale, answers MASTERDOWN."""
    old, new = roles
    store = ValkeyStore(old)
    sink = store.sink()
    sink.open()
    sink.write(deliver(trade(1)))
    sink.close()
    with switch(port_of(new)) as address, talking_to(new) as client:
        reader = RedisReader(store.settings.model_copy(update={"url": f"redis://127.0.0.1:{address.port}/0"}), "test")
        wait_for(lambda: client.exists(store.keys.latest("trade", BTC)), "the replica has it")
        assert (await reader.newest([BTC], ["trade"]))[BTC] == {"trade": trade(1)}
        client.config_set("replica-serve-stale-data", "no")
        client.replicaof("127.0.0.1", str(free_port()))
        address.target = port_of(old)
        try:
            with pytest.raises(RetryableError, match="Link with MASTER is down"):
                await reader.newest([BTC], ["trade"])
            assert (await reader.newest([BTC], ["trade"]))[BTC] == {"trade": trade(1)}
        finally:
            client.config_set("replica-serve-stale-data", "yes")
            await reader.close()


@pytest.fixture
def history(postgres: RunningPostgres, database: str) -> TimescaleSink:
    """An open sink into the real database."""
    sink = TimescaleSink(PostgresStore(postgres, database).settings)
    sink.open()
    sink.write(deliver(trade(1)))
    return sink


def connection_of(sink: TimescaleSink) -> Connection:
    assert sink._connection is not None
    return sink._connection


def test_a_database_that_became_a_standby(history: TimescaleSink) -> None:
    """25006: this connection may only read; a new one is to the primary."""
    connection_of(history).execute("SET default_transaction_read_only = on")
    assert attempts_until_taken(history, trade(2)) == 2
    history.close()


def test_a_database_that_shuts_down(history: TimescaleSink, postgres: RunningPostgres, database: str) -> None:
    """57P01: the server has ended this connection."""
    process = connection_of(history).info.backend_pid
    with psycopg.connect(postgres.url(database, password=True), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
    assert attempts_until_taken(history, trade(2)) == 2
    history.close()


@pytest.mark.parametrize(
    ("code", "expected", "reconnects"),
    [
        ("40001", Backpressure, False),
        ("40P01", Backpressure, False),
        ("53100", Backpressure, False),
        ("55P03", Backpressure, False),
        ("57014", Backpressure, False),
        ("25006", Backpressure, True),
        ("57P03", Backpressure, True),
        ("58030", Backpressure, True),
        ("XX000", Backpressure, True),
        ("TS123", Backpressure, True),
        ("53400", RowsRejected, False),
        ("54000", RowsRejected, False),
        ("22003", RowsRejected, False),
        ("23514", RowsRejected, False),
        ("P0001", RowsRejected, False),
        ("42501", PermanentError, False),
        ("0A000", PermanentError, False),
    ],
)
def test_what_each_class_of_error_is_for_the_runner(
    history: TimescaleSink, code: str, expected: type[Exception], reconnects: bool
) -> None:
    """Raised by the real server, from a trigger on the table that the batch goes into."""
    with connection_of(history).transaction():
        connection_of(history).execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION 'the test says so' USING ERRCODE = '{code}'; END $$"
        )
        connection_of(history).execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON trades FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    with pytest.raises(expected) as caught:
        history.write(deliver(trade(2)))
    assert type(caught.value) is expected or isinstance(caught.value, Backpressure)
    assert (history._connection is None) is reconnects
    history.close()
