"""The staleness check, on the real stores with what the sinks write there."""

from __future__ import annotations

import json
import time

import pytest
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.readers import NewestRecords
from marketpipeline.settings import ApiSettings
from marketpipeline.settings import Stores as StoresSettings
from marketpipeline.sink_kinds import StoreSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.staleness.main import run, stale_symbols

from tests.conftest import free_port
from tests.services.api.serving import Stores
from tests.services.sinks.samples import BTC, ETH, book, trade

NOBODY = "okx:BTC-USDT"
SECOND = 1_000_000


@pytest.mark.parametrize("other", ["redis", "timescale"])
def test_in_either_store(stores: Stores, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings, now = stores.settings(**{other: None}), time.time_ns() // 1_000
    stores.put(trade(1, receive_time=now), trade(1, ETH, receive_time=now - 900 * SECOND))
    capsys.readouterr()
    assert run(settings) == 1
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    warnings = {entry["symbol"]: entry["message"] for entry in said if entry["level"] == "WARNING"}
    assert warnings.keys() == {ETH, NOBODY}
    assert warnings[ETH].startswith("no recent data: the newest was received 90")
    assert warnings[NOBODY] == "no recent data: the newest was received never"
    stores.put(book(2, ETH, receive_time=now), book(1, NOBODY, receive_time=now))
    assert run(settings) == 0


def over(**stores: StoreSettings) -> ApiSettings:
    return ApiSettings(pipeline="crypto", symbols=[BTC], windows=[], stores=StoresSettings.model_validate(stores))


def test_stores_that_do_not_answer() -> None:
    with pytest.raises(RetryableError, match="the cache is away"):
        run(over(redis=RedisStoreSettings(url=f"redis://127.0.0.1:{free_port()}/0", prefix="x")))
    with pytest.raises(RetryableError, match="the database is away"):
        run(over(timescale=TimescaleStoreSettings(url=f"postgresql://u@127.0.0.1:{free_port()}/d")))
    with pytest.raises(PermanentError, match="no store that keeps newest values"):
        run(over())


def test_a_stale_symbol_is_one_without_a_record_for_five_minutes() -> None:
    now = 1_000 * SECOND
    newest: dict[str, NewestRecords] = {
        "a": {"trade": trade(receive_time=1), "book": book(receive_time=now - 300 * SECOND)},
        "b": {"trade": trade(receive_time=now - 301 * SECOND)},
        "c": {},
        "ahead": {"trade": trade(receive_time=now + SECOND)},
    }
    assert stale_symbols(newest, now) == {"b": 301.0, "c": None}
