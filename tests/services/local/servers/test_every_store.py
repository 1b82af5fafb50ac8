"""All kinds of sink at once: the run has a store of its own for each, says so, and ends them in order."""

from __future__ import annotations

import clickhouse_connect
from marketpipeline.local.component import StoreServer
from marketpipeline.local.components import clickhouse, seaweed, snowflake
from marketpipeline.local.state import StateFolder
from marketpipeline.sink_kinds.clickhouse import ClickHouseStoreSettings
from marketpipeline.spec import load_file
from marketpipeline.store.clickhouse import client_options

from tests.conftest import PROJECT, free_port
from tests.services.local.runs import MANIFEST, Runs
from tests.services.sinks.samples import BTC, ETH
from tests.support.server import RunningServer

SAMPLE = load_file(PROJECT / "manifests" / "all-sinks.yaml")
STORES = ("postgres", "valkey", "clickhouse", "seaweedfs", "fakesnow")


def test_a_run_with_every_sink_starts_a_store_for_each_and_ends_in_order(runs: Runs) -> None:
    """Without the stream job: what ingestion receives is what there is to store, and there are no alerts to tell of."""
    sinks = {kind.name for kind, _ in SAMPLE.spec.sinks.enabled()} - {"notify"}
    text = (PROJECT / "manifests" / "all-sinks.yaml").read_text()
    sections = text[text.index("  sinks:") : text.index("    notify:")]
    runs.manifest.write_text(MANIFEST.replace("feeds: [quotes]", "feeds: [tickers, aggTrades]") + sections)
    runs.start("--for", "8s")
    assert runs.process is not None
    assert runs.process.wait(240) == 0, runs.log.read_text()
    log = runs.log.read_text()
    for name in (*STORES, *(f"sink-{sink}" for sink in sinks)):
        assert f"{name} is ready" in log, f"{name} was not started:\n{log}"
    state = StateFolder.open_existing(runs.state, wait_seconds=10.0)
    try:
        servers: list[StoreServer] = [
            module.in_state(state, free_port()) for module in (clickhouse, seaweed, snowflake)
        ]
        assert [server.name for server in servers if not server.holds_data] == []
        server = RunningServer(servers[0], runs.folder / "clickhouse.log")
        server.start()
        try:
            _check_clickhouse(servers[0])
        finally:
            server.stop()
    finally:
        state.close()


def _check_clickhouse(component: StoreServer) -> None:
    """What ingestion received is in its tables, and still there when the run has ended."""
    settings = ClickHouseStoreSettings(**component.settings)
    with clickhouse_connect.get_client(**client_options(settings, timeout=30)) as client:
        assert client.query("SELECT DISTINCT symbol FROM agg_trades ORDER BY 1").result_columns[0] == [BTC, ETH]
        assert client.query("SELECT count() > 0 FROM tickers").result_rows == [(True,)]
