"""What a chart is told to show."""

from __future__ import annotations

import json

from marketpipeline.dashboard import charts
from marketpipeline.dashboard.market import Moment
from marketpipeline.store.rows import json_of

from tests.services.sinks.samples import START, alert, candle, raw_book


def test_candles_with_their_volume_and_the_last_price() -> None:
    rows = [json_of(candle(number, close=61_000.0 + 7 * number - 5)) for number in range(3)]
    option = charts.candles(rows, 2)
    price, vwap, volume = option["series"]
    assert price["data"][1] == [61_000.0, 61_002.0, 60_990.0, 61_010.0], "open, close, low, high, as ECharts wants them"
    assert [bar["itemStyle"]["color"] for bar in volume["data"]] == [charts.SELL, charts.BUY, charts.BUY]
    assert price["markLine"]["data"] == [{"yAxis": 61_009.0}]
    assert option["xAxis"][0]["data"] == ["23:54", "23:55", "23:56"]
    assert len(vwap["data"]) == 3
    assert "dataZoom" not in option
    assert "dataZoom" in charts.candles(rows, 2, zoom=True)
    json.dumps(option, allow_nan=False)


def test_labels_of_long_candles_have_the_day() -> None:
    days = charts.candles([json_of(candle(0, interval="1d"))], 2)["xAxis"][1]["data"]
    hours = charts.candles([json_of(candle(0, interval="1h"))], 2)["xAxis"][1]["data"]
    assert (days, hours) == (["08-08"], ["08. 23:54"])


def test_alerts_are_pins_at_their_candles() -> None:
    rows = [json_of(candle(number)) for number in range(3)]
    alerts = [json_of(alert(second)) for second in (1, 2, 70, 9_000)]
    pins = charts.candles(rows, 2, alerts)["series"][0]["markPoint"]["data"]
    assert [(pin["coord"][0], pin["value"]) for pin in pins] == [(0, 2), (1, 1)]
    assert "markPoint" not in charts.candles(rows, 2)["series"][0]


def test_no_candles_are_an_empty_chart() -> None:
    assert charts.candles([], 2)["series"][0]["data"] == []


def test_depth_adds_up_from_the_mid_outwards() -> None:
    option = charts.depth(json_of(raw_book(1)))
    bids, asks = (series["data"] for series in option["series"])
    assert bids == [[60_996.0, 15.0], [60_997.0, 10.0], [60_998.0, 6.0], [60_999.0, 3.0], [61_000.0, 1.0]]
    assert asks[0] == [61_000.5, 1.5]
    assert asks[-1] == [61_004.5, 17.5]
    assert charts.cumulated([]) == []


def test_measures_as_they_moved() -> None:
    stretch = tuple(Moment(START // 1_000 + 1_000 * n, 1.0, 0.5, 0.1 * n, -0.1) for n in range(5))
    option = charts.measures(stretch)
    assert [series["name"] for series in option["series"]] == ["imbalance", "weighted", "spread, bps"]
    assert option["series"][0]["data"][2] == [START // 1_000 + 2_000, 0.2]
    assert option["xAxis"][1]["axisLabel"]["formatter"] == "{HH}:{mm}:{ss}"
    assert charts.measures(())["series"][0]["data"] == []
