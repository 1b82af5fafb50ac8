"""Requests as the exchange documents them; answers → values, and what an error code means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from marketpipeline.errors import MarketPipelineError, PermanentError, RetryableError
from marketpipeline.venues.adapter import Throttled, UnknownSymbol
from marketpipeline.venues.instruments import Contract, Instrument
from marketpipeline.venues.messages import FrameError
from marketpipeline.venues.okx.adapter import ADAPTER

NOW = 1_652_459_225_503_749
SPOT, SWAP = "okx:BTC-USDT", "okx:BTC-USDT-SWAP"


def body(*rows: Any, code: str = "0", msg: str = "") -> bytes:
    return json.dumps({"code": code, "msg": msg, "data": list(rows)}, separators=(",", ":")).encode()


def past(number: int, **more: Any) -> dict[str, Any]:
    return {
        "instId": "BTC-USDT",
        "side": "buy",
        "sz": "1",
        "px": "9",
        "tradeId": str(number),
        "ts": "1652459225393",
    } | more


def test_requests() -> None:
    found = {
        request.path: (dict(request.params), request.weight)
        for request in (
            ADAPTER.server_time(),
            ADAPTER.snapshot(SPOT),
            ADAPTER.trades(SPOT, 1000, 100),
            *ADAPTER.instruments([SPOT]),
        )
    }
    assert found == {
        "/api/v5/public/time": ({}, 4),
        "/api/v5/market/books": ({"instId": "BTC-USDT", "sz": "400"}, 1),
        "/api/v5/market/history-trades": ({"instId": "BTC-USDT", "type": "1", "limit": "100", "after": "1100"}, 2),
        "/api/v5/public/instruments": ({"instType": "SPOT", "instId": "BTC-USDT"}, 2),
    }


def test_one_question_for_each_kind_of_instrument() -> None:
    asked = [dict(r.params) for r in ADAPTER.instruments([SPOT, "okx:ETH-USDT", SWAP, "okx:BTC-USD-261225"])]
    assert asked == [
        {"instType": "FUTURES", "instId": "BTC-USD-261225"},
        {"instType": "SPOT"},
        {"instType": "SWAP", "instId": "BTC-USDT-SWAP"},
    ]
    assert [dict(r.params)["instType"] for r in ADAPTER.instruments(None)] == ["SPOT", "SWAP", "FUTURES"]


def test_what_a_contract_stands_for() -> None:
    (request,) = ADAPTER.instruments([SWAP])
    rows = [
        {"instId": "BTC-USDT-SWAP", "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "state": "live"},
        {"instId": "BTC-USD-SWAP", "ctVal": "100", "ctMult": "1", "ctValCcy": "USD", "state": "live"},
        {"instId": "X-USDT-SWAP", "ctVal": "10", "ctMult": "10", "ctValCcy": "X", "state": "suspend"},
        {"instId": "BTC-USDT", "ctVal": "", "baseCcy": "BTC", "state": "live"},
        {"instId": "NEW-USDT", "ctVal": "", "baseCcy": "NEW", "state": "preopen"},
        {"instId": "BAD-USDT-SWAP", "ctVal": "", "state": "live"},
    ]
    assert request.read(body(*rows), NOW) == {
        "okx:BTC-USDT-SWAP": Instrument(Contract(0.01), "USDT-SWAP"),
        "okx:BTC-USD-SWAP": Instrument(Contract(100.0, inverse=True), "USD-SWAP"),
        "okx:X-USDT-SWAP": Instrument(Contract(100.0), "USDT-SWAP", trading=False),
        "okx:BTC-USDT": Instrument(market="USDT"),
    }


def test_volumes_are_in_the_quote_currency() -> None:
    requests = ADAPTER.volumes()
    assert [dict(request.params)["instType"] for request in requests] == ["SPOT", "SWAP", "FUTURES"]
    rows = [
        {"instId": "BTC-USDT", "last": "60000", "vol24h": "2", "volCcy24h": "120000"},
        {"instId": "BTC-USD-SWAP", "last": "60000", "vol24h": "1200", "volCcy24h": "2"},
        {"instId": "NEW-USDT-SWAP", "last": "", "vol24h": "", "volCcy24h": ""},
    ]
    volumes = requests[0].read(body(*rows), NOW)
    assert volumes == {"okx:BTC-USDT": 120_000.0, "okx:BTC-USD-SWAP": 120_000.0, "okx:NEW-USDT-SWAP": 0.0}


def test_a_page_of_past_trades_is_in_order_and_begins_at_the_id() -> None:
    page = ADAPTER.trades(SPOT, 10, 3).read(body(past(12), past(11), past(10), past(9)), NOW)
    assert [trade.trade_id for trade in page.records] == [10, 11, 12]
    assert page.records[0].backfilled
    page = ADAPTER.trades(SPOT, 12, 3).read(body(past(12), past(11), past(10)), NOW)
    assert [trade.trade_id for trade in page.records] == [12], "the page was filled up by older ones"
    assert page.rows < 3
    page = ADAPTER.trades(SPOT, 10, 3).read(body(past(12), past(11, sz="0"), past(10)), NOW)
    assert ([trade.trade_id for trade in page.records], [row.number for row in page.bad]) == ([10, 12], [11])


def test_past_trades_are_aggregates_of_one() -> None:
    (record,) = ADAPTER.agg_trades(SPOT, 10, 1).read(body(past(10)), NOW).records
    assert (record.first_trade_id, record.last_trade_id, record.backfilled) == (10, 10, True)


def test_a_book_and_the_time() -> None:
    row = {"asks": [["11", "1", "0", "1"]], "bids": [["10", "2", "0", "1"]], "ts": "1652459225393", "seqId": 77}
    snapshot = ADAPTER.snapshot(SPOT).read(body(row), NOW)
    assert (snapshot.last_id, snapshot.bids, snapshot.asks) == (77, [(10.0, 2.0)], [(11.0, 1.0)])
    assert ADAPTER.server_time().read(body({"ts": "1652459225393"}), NOW) == 1_652_459_225_393_000
    with pytest.raises(FrameError, match="0 rows"):
        ADAPTER.snapshot(SPOT).read(body(), NOW)


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (200, body(), None),
        (200, b'{ "code" : "0", "data": []}', None),
        (200, body(code="51001", msg="Instrument ID does not exist"), UnknownSymbol),
        (200, body(code="51000", msg="Parameter instId error"), PermanentError),
        (400, body(code="50014", msg="Parameter instId can not be empty."), PermanentError),
        (429, body(code="50011", msg="Too Many Requests"), Throttled),
        (200, body(code="50011", msg="Too Many Requests"), Throttled),
        (503, body(code="50001", msg="Service temporarily unavailable"), RetryableError),
        (200, body(code="50026", msg="System error"), RetryableError),
        (502, b"<html>", RetryableError),
        (403, b"<html>", RetryableError),
        (200, b"<html>", RetryableError),
        (404, b"Not Found", PermanentError),
    ],
)
def test_what_an_answer_means(status: int, answer: bytes, error: type[MarketPipelineError] | None) -> None:
    if error is None:
        ADAPTER.judge(status, {}, answer)
        return
    with pytest.raises(error) as caught:
        ADAPTER.judge(status, {}, answer)
    assert type(caught.value) is error
    assert str(status) in str(caught.value)
