"""Times that cannot be true: no clock moves and no other symbol notices. A replay of another year is plausible."""

from __future__ import annotations

import json

import pytest
from marketpipeline.ingestion.clock import FIRST_WAIT, ExchangeClock
from marketpipeline.ingestion.connection import ALIKE, TIME_WITHIN
from marketpipeline.records import Heartbeat, Trade
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues.binance.adapter import ADAPTER

from tests.services.ingestion.driver import EXCHANGE, WALL, Driver, depth_frame, trade_frame

DAY = 86_400.0
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def trades(driver: Driver) -> list[int]:
    return [record.trade_id for record in driver.publisher.of(TopicKind.TRADES) if isinstance(record, Trade)]


def heartbeats(driver: Driver) -> list[int]:
    return [record.event_time for record in driver.publisher.of(TopicKind.TRADES) if isinstance(record, Heartbeat)]


def errors(driver: Driver) -> list[str]:
    return [letter.error for letter in driver.publisher.of(TopicKind.DEAD_LETTERS)]


def tell_time(driver: Driver, seconds: float) -> None:
    """The exchange tells its time, `seconds` after its start."""
    driver.answer({"serverTime": EXCHANGE + int(seconds * 1000)}, path="/time")


@pytest.mark.parametrize("feed", [Feed.TRADES, Feed.BOOK])
def test_a_frame_a_day_ahead_is_a_dead_letter_and_no_other_symbol_notices(feed: Feed) -> None:
    driver = Driver(SYMBOLS, (Feed.TRADES, feed) if feed is not Feed.TRADES else (feed,))
    driver.start()
    driver.frame(trade_frame(1, at=1.0, symbol="ETHUSDT"))
    bad = trade_frame(5, at=DAY) if feed is Feed.TRADES else depth_frame(5, 6, at=DAY)
    driver.frame(bad)
    driver.frame(trade_frame(2, at=1.2, symbol="ETHUSDT"))
    assert trades(driver) == [1], "held until the exchange has told its time"
    tell_time(driver, 1.2)
    assert trades(driver) == [1, 2]
    (letter,) = driver.publisher.of(TopicKind.DEAD_LETTERS)
    assert (letter.symbol, letter.payload) == ("binance:BTCUSDT", bad.decode())
    assert "is implausible beside the exchange's clock" in letter.error
    driver.frame(trade_frame(3, at=3.0, symbol="ETHUSDT"))
    assert max(heartbeats(driver)) <= (EXCHANGE + 3000) * 1000
    assert driver.session.synced_through == (EXCHANGE + 2500) * 1000
    assert driver.session.frames == 5


def test_a_trade_whose_own_time_is_wrong_moves_nothing_either() -> None:
    driver = Driver(SYMBOLS)
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    for wrong in (DAY, -DAY):
        right = json.loads(trade_frame(2, at=1.1))
        right["data"]["T"] += int(wrong * 1000)
        driver.frame(json.dumps(right, separators=(",", ":")).encode())
    right["data"]["T"] = (EXCHANGE + 1100) * 1_000_000
    driver.frame(json.dumps(right, separators=(",", ":")).encode())
    driver.frame(trade_frame(2, at=1.1))
    assert trades(driver) == [1, 2]
    assert ["trade time" in error for error in errors(driver)] == [True, True, False]
    assert "$.data.T" in errors(driver)[2]


def test_a_time_that_is_long_past_is_a_dead_letter() -> None:
    driver = Driver(max_behind_ms=1_000)
    driver.start()
    driver.frame(trade_frame(1, at=5.0))
    driver.frame(trade_frame(2, at=4.1))
    driver.frame(trade_frame(3, at=3.9))
    assert trades(driver) == [1, 2]
    assert ["implausibly far before" in error for error in errors(driver)] == [True]


def test_where_the_exchange_really_is_ahead_nothing_is_lost() -> None:
    """A replay that jumps over a hole, or a clock of ours that was set back."""
    driver = Driver(SYMBOLS)
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    for number in (2, 3, 4):
        driver.frame(trade_frame(number, at=3600.0 + number))
    tell_time(driver, 3604.0)
    assert trades(driver) == [1, 2, 3, 4]
    assert errors(driver) == []
    driver.frame(trade_frame(5, at=3605.0))
    assert trades(driver) == [1, 2, 3, 4, 5]


def test_a_replay_of_another_year_starts_when_its_server_tells_its_time() -> None:
    driver = Driver()
    driver.session.exchange_clock.told(WALL, WALL)
    driver.start()
    driver.frame(trade_frame(1))
    driver.frame(trade_frame(2))
    assert trades(driver) == []
    tell_time(driver, 0.0)
    assert trades(driver) == [1, 2]
    assert errors(driver) == []


def test_without_an_answer_the_frame_is_given_up_and_the_others_go_on() -> None:
    driver = Driver(SYMBOLS)
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    driver.frame(trade_frame(2, at=DAY))
    driver.frame(trade_frame(7, at=1.1, symbol="ETHUSDT"))
    driver.run(TIME_WITHIN + 0.1)
    assert trades(driver) == [1, 7]
    assert len(errors(driver)) == 1


def test_a_stream_whose_times_stay_wrong_does_not_ask_each_time() -> None:
    driver = Driver(SYMBOLS)
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    driver.frame(trade_frame(2, at=DAY))
    tell_time(driver, 1.0)
    for number in range(3, 50):
        driver.frame(trade_frame(number, at=DAY))
        driver.frame(trade_frame(number, at=1.0, symbol="ETHUSDT"))
    assert len(errors(driver)) == 48
    assert [get for get in driver.gets if "time" in get.request.path] == []
    assert trades(driver) == [1, *range(3, 50)]


def test_a_pong_does_not_overtake_what_is_held() -> None:
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    driver.run(1.5)
    tell_time(driver, 2.0)
    driver.frame(trade_frame(2, at=3600.0))
    driver.pong()
    assert driver.session.synced_through == (EXCHANGE + 500) * 1000
    tell_time(driver, 3600.0)
    assert trades(driver) == [1, 2]
    assert driver.session.synced_through == (EXCHANGE + 3_599_500) * 1000


def test_a_past_trade_with_a_wrong_time_is_a_gap_of_one() -> None:
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    driver.frame(trade_frame(4, at=1.3))
    row = {"price": "1", "qty": "1", "isBuyerMaker": True}
    rows = [row | {"id": 2, "time": EXCHANGE + 1100}, row | {"id": 3, "time": EXCHANGE + int(DAY * 1000)}]
    driver.answer(rows, path="historicalTrades")
    assert trades(driver) == [1], "the exchange is asked for its time first"
    tell_time(driver, 1.3)
    assert trades(driver) == [1, 2, 4]
    assert ("gap", "trades") in driver.events()
    assert ["implausibly far ahead" in error for error in errors(driver)] == [True]


def test_past_trades_of_an_exchange_that_went_on_meanwhile_are_right() -> None:
    """As after a cut of the wire in a replay at twenty times the speed."""
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    driver.frame(trade_frame(3, at=2.0))
    row = {"price": "1", "qty": "1", "isBuyerMaker": True}
    driver.answer([row | {"id": number, "time": EXCHANGE + 60_000} for number in (2, 3, 4)], path="historicalTrades")
    tell_time(driver, 60.0)
    assert trades(driver) == [1, 2, 3, 4]
    assert errors(driver) == []


def test_the_wait_between_two_questions_grows_and_starts_again() -> None:
    clock = ExchangeClock(10, 100)
    clock.judged(False, 0.0)
    assert not clock.may_ask(FIRST_WAIT / 2)
    assert clock.may_ask(FIRST_WAIT)
    clock.judged(False, FIRST_WAIT)
    assert not clock.may_ask(2.5 * FIRST_WAIT)
    clock.judged(True, 3 * FIRST_WAIT)
    clock.judged(False, 3 * FIRST_WAIT)
    assert clock.may_ask(4 * FIRST_WAIT)


def test_a_time_at_the_edge_of_what_is_plausible_is_judged_once() -> None:
    """Our clock went on between the frame and the answer, so that beside the answer the time is plausible."""
    driver = Driver(SYMBOLS)
    driver.start()
    driver.frame(trade_frame(1))
    driver.frame(trade_frame(2, at=10.05))
    driver.frame(trade_frame(7, at=0.1, symbol="ETHUSDT"))
    driver.run(0.1)
    tell_time(driver, driver.now)
    assert trades(driver) == [1, 7]
    assert len(errors(driver)) == 1
    assert [get for get in driver.gets if "time" in get.request.path] == []


def test_no_heartbeat_promises_a_trade_whose_time_was_wrong_before_rest_was_asked() -> None:
    driver = Driver(SYMBOLS)
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    driver.frame(trade_frame(2, at=DAY))
    tell_time(driver, 1.2)
    before = len(heartbeats(driver))
    driver.frame(trade_frame(7, at=9.0, symbol="ETHUSDT"))
    driver.run()
    of_symbol = [
        record.event_time for record in driver.publisher.of(TopicKind.TRADES)
        if isinstance(record, Heartbeat) and record.symbol == "binance:BTCUSDT"
    ]  # fmt: skip
    assert len(heartbeats(driver)) > before
    assert max(of_symbol) < (EXCHANGE + 1200) * 1000, "trade 2 may still come from REST"
    row = {"price": "1", "qty": "1", "isBuyerMaker": True}
    driver.answer([row | {"id": 2, "time": EXCHANGE + 1200}], path="historicalTrades")
    assert trades(driver) == [1, 7, 2]
    before = len(heartbeats(driver))
    driver.frame(trade_frame(8, at=10.5, symbol="ETHUSDT"))
    assert len(heartbeats(driver)) == before + 2


def test_a_wrong_id_beside_a_wrong_time_stops_no_heartbeat_for_long() -> None:
    driver = Driver(SYMBOLS)
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    driver.frame(trade_frame(10**12, at=DAY))
    tell_time(driver, 1.2)
    driver.run()
    driver.answer([], path="historicalTrades")
    before = len(heartbeats(driver))
    driver.frame(trade_frame(2, at=3.0))
    assert trades(driver) == [1, 2]
    assert len(heartbeats(driver)) == before + 2


@pytest.fixture
def without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that offers no time over REST."""
    monkeypatch.setattr(type(ADAPTER), "server_time", lambda self: None)


@pytest.mark.usefixtures("without_time")
@pytest.mark.parametrize("off", [3_600.0, -3_600.0])
def test_where_the_exchange_tells_no_time_a_wrong_clock_of_ours_is_found_out(off: float) -> None:
    driver = Driver(SYMBOLS, stale_after_ms=600_000)
    driver.session.exchange_clock.known = False
    driver.session.exchange_clock.moved((EXCHANGE * 1000 - WALL) - int(off * 1e6))
    driver.start()
    for second in range(15):
        for symbol in SYMBOLS:
            driver.frame(trade_frame(second, at=float(second), symbol=symbol))
        driver.run(1.0)
    assert len(errors(driver)) == ALIKE - 1, "not one dead letter after the other for ever"
    assert trades(driver) == [9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14]


@pytest.mark.usefixtures("without_time")
def test_where_the_exchange_tells_no_time_one_wrong_symbol_among_others_is_not_believed() -> None:
    driver = Driver(SYMBOLS)
    driver.session.exchange_clock.known = False
    driver.start()
    for second in range(60):
        driver.frame(trade_frame(second, at=DAY + second))
        driver.frame(trade_frame(second, at=float(second), symbol="ETHUSDT"))
        driver.run(1.0)
    assert max(heartbeats(driver)) <= (EXCHANGE + 60_000) * 1000
    assert len(errors(driver)) == 60
