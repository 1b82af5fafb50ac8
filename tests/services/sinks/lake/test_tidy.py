"""Small files become few and sorted ones; whoever writes meanwhile loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake.exceptions import CommitFailedError
from marketpipeline.lake.delta import open_table
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.sinks.lake import LakeSink
from marketpipeline.sinks.lake.tidy import compact, tidy
from marketpipeline.store.lake import lake_table

from tests.services.sinks.samples import BTC, ETH, START, candle, deliver, trade

DAY = datetime.fromtimestamp(START / 1e6, UTC).date()
LATER = datetime.fromtimestamp(START / 1e6, UTC) + timedelta(days=2)


@pytest.fixture
def settings(tmp_path: Path) -> LakeStoreSettings:
    found = LakeStoreSettings(url=(tmp_path / "lake").as_uri())
    for part in range(4):
        sink = LakeSink(found)
        sink.open()
        rows = [trade(part * 50 + n, symbol) for n in range(50) for symbol in (ETH, BTC)]
        sink.write(deliver(*rows, candle(0, trades=part)))
        sink.flush(everything=True)
    return found


def files(settings: LakeStoreSettings) -> list[Path]:
    found = open_table(settings, lake_table("trades"))
    assert found is not None
    return [Path(uri.removeprefix("file://")) for uri in found.file_uris()]


def test_a_day_that_is_over_is_one_sorted_file(settings: LakeStoreSettings) -> None:
    assert tidy(settings, datetime.fromtimestamp(START / 1e6, UTC))["trades"] == 0, "the day is not over"
    assert len(files(settings)) == 4
    old = files(settings)
    assert tidy(settings, LATER)["trades"] == 1
    (file,) = files(settings)
    rows = pq.read_table(file, partitioning=None).select(["symbol", "trade_time"]).to_pylist()
    assert len(rows) == 400
    assert rows == sorted(rows, key=lambda row: (row["symbol"], row["trade_time"]))
    assert all(path.exists() for path in old), "whoever reads the older version still can"
    assert tidy(settings, LATER)["trades"] == 0, "there is nothing left to do"


def test_rows_that_come_while_a_day_is_rewritten_are_not_lost(settings: LakeStoreSettings) -> None:
    table = lake_table("trades")
    stale = open_table(settings, table)
    assert stale is not None
    sink = LakeSink(settings)
    sink.open()
    sink.write(deliver(trade(777)))
    sink.flush(everything=True)
    with pytest.raises(CommitFailedError):
        compact(stale, table, "binance", DAY, settings.file_bytes)
    found = open_table(settings, table)
    assert found is not None
    assert pa.table(found.to_pyarrow_table()).num_rows == 401


def test_days_beyond_the_retention_go(settings: LakeStoreSettings) -> None:
    tidy(settings, LATER, keep_days=30)
    assert len(files(settings)) == 1
    tidy(settings, LATER + timedelta(days=30), keep_days=30)
    assert files(settings) == []
