"""The forms of rows: what a client accepts is what it gets, and all of them say the same."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import nanoarrow
import pytest
from marketpipeline.api.forms import ARROW, CSV
from marketpipeline.store import table_of
from marketpipeline.store.rows import json_of

from tests.services.api.serving import Api, Stores
from tests.services.sinks.samples import alert, book, candle

KLINES, BOOK, ALERTS = (f"/api/v1/analytics/{path}" for path in ("klines/BTCUSDT", "book/BTCUSDT", "alerts"))


@pytest.mark.parametrize(("path", "name"), [(KLINES, "candles"), (BOOK, "book"), (ALERTS, "alerts")])
async def test_csv_and_arrow_have_the_rows_of_json(api: Api, stores: Stores, path: str, name: str) -> None:
    stores.put(
        candle(0), candle(1, buy_sell_ratio=None), book(1), book(2, bid_depth=None), alert(0), alert(1, trade_id=9)
    )
    rows = (await api.get(path))[name]
    assert len(rows) == 2
    text = await api.client.get(path, headers={"Accept": CSV})
    assert text.headers["content-type"].startswith(CSV)
    read = list(csv.DictReader(io.StringIO(text.text)))
    assert [{key: _shown(value) for key, value in row.items()} for row in rows] == read
    arrow = await api.client.get(path, headers={"Accept": ARROW})
    assert (arrow.headers["content-type"], arrow.headers["vary"]) == (ARROW, "Accept")
    found = nanoarrow.ArrayStream.from_readable(arrow.content).read_all().to_pylist()
    assert [{key: _plain(value) for key, value in row.items()} for row in found] == [
        {key: _moment(value) for key, value in row.items()} for row in rows
    ]


def _shown(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _moment(value: Any) -> Any:
    return (
        datetime.fromisoformat(value) if isinstance(value, str) and value.endswith("Z") and value[4] == "-" else value
    )


async def test_no_rows_have_columns_all_the_same(api: Api) -> None:
    text = await api.client.get(KLINES, headers={"Accept": CSV})
    assert text.text.split("\r\n") == [",".join(table_of("candles").column_names), ""]
    stream = nanoarrow.ArrayStream.from_readable((await api.client.get(KLINES, headers={"Accept": ARROW})).content)
    assert stream.read_all().to_pylist() == []


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "application/json"),
        ("text/*", CSV),
        ("text/html, application/json;q=0.5", "application/json"),
        (f"{ARROW};q=0.9, text/csv;q=0.8", ARROW),
        ("text/csv;q=0.1, */*;q=0.05", CSV),
        ("application/json;q=0, text/csv", CSV),
    ],
)
async def test_the_form_that_the_client_likes_best(api: Api, stores: Stores, accept: str, form: str) -> None:
    stores.put(candle(0))
    answer = await api.client.get(KLINES, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, form)


@pytest.mark.parametrize("accept", ["text/html", "application/xml;q=1", "*/*;q=0", "text/csv;q=x", ";", ",,"])
async def test_no_form_fits(api: Api, accept: str) -> None:
    answer = await api.client.get(KLINES, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (406, "application/problem+json")
    assert CSV in answer.json()["detail"]


async def test_json_has_what_it_had(api: Api, stores: Stores) -> None:
    stores.put(candle(0))
    body = await api.get(KLINES)
    assert body == {"symbol": candle().symbol, "interval": "1m", "candles": [json_of(candle(0))], "next": None}
