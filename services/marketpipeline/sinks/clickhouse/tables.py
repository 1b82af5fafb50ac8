"""Making the tables as they should be, whatever an earlier release or somebody else has left.

There are no numbered migrations: a definition is compared with the table that is there. A column that is missing is
added, a retention that differs is changed; a table that is somebody else's, by its engine, its order or the type of a
column, is refused with what differs and left as it is. Columns that a table has beside ours stay, empty.
"""

from __future__ import annotations

import logging
import re

from clickhouse_connect.driver.client import Client

from marketpipeline.errors import PermanentError
from marketpipeline.sink_kinds.clickhouse import ClickHouseCluster, ClickHouseStoreSettings
from marketpipeline.sinks.clickhouse.schema import CANDLES_OVER, Definition, candles_over, definitions
from marketpipeline.store.clickhouse import VERSION

__all__ = ["make_tables"]

_log = logging.getLogger(__name__)

_TABLES = "SELECT name, engine, sorting_key, engine_full FROM system.tables WHERE database = currentDatabase()"
_COLUMNS = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
_CLUSTER = "spec.sinks.clickhouse.cluster.name"
_SHARDS = "SELECT uniqExact(shard_num), groupUniqArray(cluster) FROM system.clusters"
_TTL = re.compile(r" TTL (.+?)(?: SETTINGS |$)")


def make_tables(client: Client, store: ClickHouseStoreSettings) -> None:
    """Bring every table to its definition. Raises PermanentError for one that is not ours, or a cluster that is not."""
    if store.cluster is not None:
        _check_cluster(client, store.cluster)
    tables = {name: (engine, order, full) for name, engine, order, full in client.query(_TABLES).result_rows}
    columns: dict[str, dict[str, str]] = {}
    for table, name, type_ in client.query(_COLUMNS).result_rows:
        columns.setdefault(table, {})[name] = type_
    for wanted in definitions(store.retention_seconds):
        if wanted.name not in tables:
            client.command(wanted.create(store.cluster))
            continue
        engine, order, full = tables[wanted.name]
        _check(wanted, engine, order, columns[wanted.name], store)
        for name in wanted.columns.keys() - columns[wanted.name].keys():
            client.command(wanted.add(name, store.cluster))
            _log.info("column added", extra={"table": wanted.name, "column": name})
        present = found[1] if (found := _TTL.search(full)) else None
        if present != wanted.ttl:
            client.command(wanted.expire(store.cluster))
            _log.info("retention changed", extra={"table": wanted.name, "ttl": wanted.ttl})
    if CANDLES_OVER not in tables:
        client.command(candles_over(store.cluster))


def _check_cluster(client: Client, cluster: ClickHouseCluster) -> None:
    (shards, _), *_rest = client.query(f"{_SHARDS} WHERE cluster = '{cluster.name}'").result_rows
    if shards == 1:
        return
    if shards > 1:
        raise PermanentError(
            f"{_CLUSTER}: {cluster.name!r}: has {shards} shards; name a cluster of one shard, whose servers all "
            "hold the same rows"
        )
    known = ", ".join(sorted(client.query(_SHARDS).result_rows[0][1])) or "none"
    raise PermanentError(
        f"{_CLUSTER}: {cluster.name!r}: the server does not know it; name one of those it knows: {known}"
    )


def _check(
    wanted: Definition, engine: str, order: str, columns: dict[str, str], store: ClickHouseStoreSettings
) -> None:
    kind = "ReplicatedReplacingMergeTree" if store.cluster else "ReplacingMergeTree"
    expected = {"engine": kind, "order": ", ".join(wanted.order)}
    found = {"engine": engine.replace("Shared", "Replicated"), "order": order.strip("()")}
    expected |= {f"column {name}": type_ for name, type_ in wanted.columns.items() if name in columns}
    found |= {f"column {name}": type_ for name, type_ in columns.items()}
    if wanted.version is not None:
        expected[f"column {VERSION}"] = "UInt64"
    wrong = [
        f"{what} {found.get(what, '(absent)')}, not {value}"
        for what, value in expected.items()
        if found.get(what) != value
    ]
    if wrong:
        raise PermanentError(
            f"spec.sinks.clickhouse.url: {store.url}: the table {wanted.name} is there and is not this sink's "
            f"({'; '.join(wrong)}); name another database, or rename that table"
        )
