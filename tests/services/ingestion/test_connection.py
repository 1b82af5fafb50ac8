"""One connection: its subscriptions and their pace, its clock, its death."""

from __future__ import annotations

import json

from marketpipeline.ingestion.connection import ACKNOWLEDGE_WITHIN, PING_AFTER, PONG_WITHIN
from marketpipeline.records import Heartbeat, Trade
from marketpipeline.topics import Feed, TopicKind

from tests.services.ingestion.driver import EXCHANGE, WALL, Driver, depth_frame, quote_frame, trade_frame


def test_streams_are_asked_for_and_ready_when_acknowledged() -> None:
    driver = Driver(("BTCUSDT", "ETHUSDT"), (Feed.TRADES, Feed.QUOTES))
    driver.run()
    number = driver.connect(acknowledge=False)
    assert [message for _, _, message in driver.sent] == [
        {"method": "SUBSCRIBE", "id": 1,
         "params": ["btcusdt@trade", "btcusdt@bookTicker", "ethusdt@trade", "ethusdt@bookTicker"]}
    ]  # fmt: skip
    started = [driver.session.started]
    driver.frame(b'{"result":null,"id":1}', number)
    started.append(driver.session.started)
    assert started == [False, True], "not before it is acknowledged"
    assert driver.session.ready_connections == 1


def test_never_more_than_five_control_messages_a_second_pings_and_pongs_counted() -> None:
    symbols = tuple(f"S{number}USDT" for number in range(500))
    driver = Driver(symbols, (Feed.TRADES, Feed.QUOTES, Feed.BOOK), max_streams=5000)
    driver.run()
    driver.connect(acknowledge=False)
    driver.acknowledge(1)
    for _ in range(8):
        driver.connection(1).resubscribe(driver.connection(1).streams[:1])
    driver.run(20.0)
    times = [time for time, _, _ in driver.sent] + [time for time, _, _ in driver.pings]
    assert len(times) >= 8 + 16
    for start in times:
        assert sum(start <= time < start + 1.0 for time in times) <= 4, "one a second is left to a pong"
    names = [name for _, _, message in driver.sent[:8] for name in message["params"]]
    assert len(names) == len(set(names)) == 1500


def test_a_subscription_without_an_answer_ends_the_connection() -> None:
    driver = Driver()
    driver.run()
    driver.connect(acknowledge=False)
    driver.run(ACKNOWLEDGE_WITHIN + 0.2)
    assert driver.closed == [(1, "no answer to a subscription within 10 s")]


def test_a_refusal_finds_the_stream_that_is_wrong() -> None:
    driver = Driver(("BTCUSDT", "BADUSDT", "ETHUSDT"))
    driver.run()
    driver.connect(acknowledge=False)
    answered = 0
    for _ in range(12):
        for _, _, message in driver.sent[answered:]:
            answered += 1
            wrong = "badusdt@trade" in message["params"]
            error = {"code": 2, "msg": "unknown stream"}
            body = {"error": error} if wrong else {"result": None}
            driver.frame(json.dumps(body | {"id": message["id"]}).encode())
        driver.run(0.5)
    assert driver.session.started
    assert driver.events() == [("rejected", "trades")]
    assert driver.publisher.of(TopicKind.EVENTS)[0].symbol == "binance:BADUSDT"
    driver.frame(trade_frame(1, at=driver.now + 1))
    assert [type(record) for record in driver.publisher.of(TopicKind.TRADES)] == [Trade, Heartbeat, Heartbeat]


def test_a_frame_that_cannot_be_used_is_a_dead_letter_and_the_next_one_works() -> None:
    driver = Driver()
    driver.start()
    broken = trade_frame(1).replace(b'"p":"10.5"', b'"p":"-1"')
    driver.frame(broken)
    driver.frame(b"\xff\xfe")
    driver.frame(trade_frame(2))
    first, second = driver.publisher.of(TopicKind.DEAD_LETTERS)
    assert (first.symbol, first.encoding, first.payload) == ("binance:BTCUSDT", "utf-8", broken.decode())
    assert "$.data.p" in first.error
    assert first.source == "binance: connection 1"
    assert (second.symbol, second.encoding, second.payload) == ("", "base64", "//4=")
    assert driver.session.dead_letters == 2
    assert [
        record.trade_id for record in driver.publisher.of(TopicKind.TRADES) if not isinstance(record, Heartbeat)
    ] == [2]


def test_what_was_surely_received_is_behind_the_newest_event() -> None:
    driver = Driver(feeds=(Feed.TRADES, Feed.QUOTES))
    driver.start()
    assert driver.session.synced_through == 0
    driver.frame(trade_frame(1, at=5.0))
    driver.frame(quote_frame(7))
    driver.frame(trade_frame(2, at=4.0))
    assert driver.session.synced_through == (EXCHANGE + 4500) * 1000


def test_heartbeats_follow_the_records_once_a_second_of_the_exchange() -> None:
    driver = Driver()
    driver.start()
    for tenth in range(35):
        driver.frame(trade_frame(tenth, at=tenth / 10))
    records = driver.publisher.of(TopicKind.TRADES)
    beats = [(place, record.event_time) for place, record in enumerate(records) if isinstance(record, Heartbeat)]
    assert len(beats) == 3, "none that promises what was before the subscription"
    for place, time in beats:
        before = [record.trade_time for record in records[:place] if not isinstance(record, Heartbeat)]
        after = [record.trade_time for record in records[place:] if not isinstance(record, Heartbeat)]
        assert max(before) > time
        assert all(later > time for later in after), "nothing of before the heartbeat comes after it"


def test_in_a_quiet_market_the_clock_moves_by_the_exchanges_own_time_and_a_pong() -> None:
    driver = Driver(feeds=(Feed.TRADES, Feed.BOOK))
    driver.start()
    driver.frame(trade_frame(1, at=1.0))
    driver.run(0.9)
    assert [get.request.path for get in driver.gets if "time" in get.request.path] == []
    driver.run(0.5)
    driver.answer({"serverTime": EXCHANGE + 9000}, path="/time")
    assert driver.session.synced_through == (EXCHANGE + 500) * 1000, "not before the pong"
    driver.pong()
    assert driver.session.synced_through == (EXCHANGE + 9000) * 1000
    assert driver.publisher.of(TopicKind.TRADES)[-1].event_time == (EXCHANGE + 8500) * 1000


def test_a_pong_of_another_ping_moves_nothing() -> None:
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(1))
    driver.run(1.5)
    driver.answer({"serverTime": EXCHANGE + 9000}, path="/time")
    driver.connection(1).pong(b"something else", driver.now)
    assert driver.session.synced_through == EXCHANGE * 1000 - 500_000


def test_an_exchange_whose_time_stands_still_is_asked_once_a_second() -> None:
    driver = Driver(feeds=(Feed.TRADES,))
    driver.start()
    driver.frame(trade_frame(1))
    for _ in range(100):
        driver.run(0.1)
        if any("time" in get.request.path for get in driver.gets):
            driver.answer({"serverTime": EXCHANGE}, path="/time")
            driver.pong()
    assert 7 <= len(driver.pings) <= 10


def test_without_a_pong_the_connection_is_given_up() -> None:
    driver = Driver()
    driver.start()
    driver.run(1.5)
    driver.answer({"serverTime": EXCHANGE}, path="/time")
    driver.run(PONG_WITHIN + 0.2)
    assert driver.closed == [(1, "no pong within 10 s")]


def test_a_ping_needs_no_rest() -> None:
    driver = Driver()
    driver.start()
    driver.run(PING_AFTER + 0.2)
    assert len(driver.pings) == 1
    driver.run(PONG_WITHIN + 0.2)
    assert driver.closed == [(1, "no pong within 10 s")]


def test_nothing_is_overdue_while_nothing_is_read() -> None:
    driver = Driver()
    driver.start()
    driver.run(1.5)
    driver.answer({"serverTime": EXCHANGE}, path="/time")
    driver.session.pressed(True, driver.now)
    driver.run(100.0)
    assert driver.closed == []
    driver.session.pressed(False, driver.now)
    driver.run(PONG_WITHIN / 2)
    assert driver.closed == []
    driver.pong()
    driver.run(1.0)
    assert driver.closed == []


def test_depth_frames_reach_the_book() -> None:
    driver = Driver(feeds=(Feed.BOOK,))
    driver.start()
    driver.frame(depth_frame(5, 8))
    driver.run()
    driver.answer({"lastUpdateId": 7, "bids": [["9.0", "1"]], "asks": [["12.0", "1"]]}, path="/depth")
    book = driver.publisher.of(TopicKind.BOOK)[0]
    assert (book.update_id, book.bids, book.asks) == (8, [(10.0, 1.0), (9.0, 1.0)], [(11.0, 1.0), (12.0, 1.0)])


def test_a_symbol_that_the_exchange_took_off_its_list_is_told_once_and_comes_back() -> None:
    driver = Driver(("BTCUSDT", "OLDUSDT"), (Feed.BOOK, Feed.TRADES), stale_after_ms=600_000)
    driver.start()
    driver.run(1.1)
    for get in [get for get in driver.gets if ("symbol", "OLDUSDT") in get.request.params]:
        driver.gets.remove(get)
        driver.session.limiter.answered(get.call, 400, {}, b'{"code":-1121,"msg":"Invalid symbol."}', driver.now, WALL)
    assert driver.events() == [("rejected", "book")]
    assert list(driver.session.unlisted_symbols) == ["binance:OLDUSDT"]
    assert driver.session.pending == 1, "a run that drains waits for the other book only"
    for _ in range(60):
        driver.run(1.0)
        if driver.pings:
            driver.pong()
    assert driver.closed == []
    assert [get for get in driver.gets if ("symbol", "OLDUSDT") in get.request.params] == []
    driver.frame(depth_frame(5, 8, symbol="OLDUSDT"))
    driver.gets = [get for get in driver.gets if ("symbol", "OLDUSDT") in get.request.params]
    driver.run()
    assert driver.session.unlisted_symbols == {}, "it speaks"
    driver.answer({"lastUpdateId": 7, "bids": [["9.0", "1"]], "asks": [["12.0", "1"]]}, path="/depth")
    assert [book.update_id for book in driver.publisher.of(TopicKind.BOOK) if book.symbol == "binance:OLDUSDT"] == [8]
    assert driver.session.unlisted_symbols == {}


def test_a_trade_without_a_quantity_is_one_dead_letter_and_a_gap_of_one() -> None:
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(3))
    driver.frame(trade_frame(4).replace(b'"q":"2"', b'"q":"0"'))
    driver.frame(trade_frame(5))
    assert driver.gets == []
    assert driver.session.dead_letters == 1
    (gap,) = driver.publisher.of(TopicKind.EVENTS)
    assert (gap.kind, gap.first_id, gap.last_id) == ("gap", 4, 4)


def test_a_bad_row_among_good_ones_of_a_page_stops_nothing() -> None:
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(2))
    driver.frame(trade_frame(7))
    row = {"price": "1", "qty": "1", "time": EXCHANGE, "isBuyerMaker": True}
    driver.answer([row | {"id": number, "qty": "0" if number == 4 else "1"} for number in range(3, 7)], path="Trades")
    ids = [record.trade_id for record in driver.publisher.of(TopicKind.TRADES) if isinstance(record, Trade)]
    assert ids == [2, 3, 5, 6, 7]
    assert driver.session.dead_letters == 1
    assert driver.session.events["gap"] == 1
    assert driver.gets == []


def test_frames_that_tell_nothing_are_counted_and_make_no_dead_letters() -> None:
    driver = Driver(feeds=(Feed.QUOTES,))
    driver.start()
    for number in range(3):
        driver.frame(quote_frame(number).replace(b'"b":"10.0","B":"1.0"', b'"b":"0.0","B":"0.0"'))
    driver.frame(quote_frame(3))
    (handler,) = driver.session.handlers.values()
    assert (handler.seen, handler.nothing, driver.session.dead_letters) == (4, {"one-sided book": 3}, 0)
    assert len(driver.publisher.of(TopicKind.QUOTES)) == 1


def test_deep_nesting_is_a_dead_letter_like_any_other() -> None:
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(1)[:-2] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}}")
    driver.frame(trade_frame(1))
    assert driver.session.dead_letters == 1
    assert [record.trade_id for record in driver.publisher.of(TopicKind.TRADES) if isinstance(record, Trade)] == [1]
