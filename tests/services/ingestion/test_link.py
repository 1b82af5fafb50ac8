"""One connection: its subscriptions and their pace, its clock, its death."""

from __future__ import annotations

import json

from marketpipeline.ingestion.link import ACKNOWLEDGE_WITHIN, PING_AFTER, PONG_WITHIN
from marketpipeline.records import Heartbeat, Trade
from marketpipeline.topics import Feed, TopicKind

from tests.services.ingestion.stage import EXCHANGE, Stage, depth_frame, quote_frame, trade_frame


def test_streams_are_asked_for_and_ready_when_acknowledged() -> None:
    stage = Stage(("BTCUSDT", "ETHUSDT"), (Feed.TRADES, Feed.QUOTES))
    stage.run()
    number = stage.connect(acknowledge=False)
    assert [message for _, _, message in stage.sent] == [
        {"method": "SUBSCRIBE", "id": 1,
         "params": ["btcusdt@trade", "btcusdt@bookTicker", "ethusdt@trade", "ethusdt@bookTicker"]}
    ]  # fmt: skip
    started = [stage.session.started]
    stage.frame(b'{"result":null,"id":1}', number)
    started.append(stage.session.started)
    assert started == [False, True], "not before it is acknowledged"
    assert stage.session.connected_links == 1


def test_never_more_than_five_control_messages_a_second_pings_and_pongs_counted() -> None:
    symbols = tuple(f"S{number}USDT" for number in range(500))
    stage = Stage(symbols, (Feed.TRADES, Feed.QUOTES, Feed.BOOK), max_streams=5000)
    stage.run()
    stage.connect(acknowledge=False)
    stage.acknowledge(1)
    for _ in range(8):
        stage.link(1).resubscribe(stage.link(1).streams[0])
    stage.run(20.0)
    times = [time for time, _, _ in stage.sent] + [time for time, _, _ in stage.pings]
    assert len(times) >= 8 + 16
    for start in times:
        assert sum(start <= time < start + 1.0 for time in times) <= 4, "one a second is left to a pong"
    names = [name for _, _, message in stage.sent[:8] for name in message["params"]]
    assert len(names) == len(set(names)) == 1500


def test_a_subscription_without_an_answer_ends_the_connection() -> None:
    stage = Stage()
    stage.run()
    stage.connect(acknowledge=False)
    stage.run(ACKNOWLEDGE_WITHIN + 0.2)
    assert stage.closed == [(1, "no answer to a subscription within 10 s")]


def test_a_refusal_finds_the_stream_that_is_wrong() -> None:
    stage = Stage(("BTCUSDT", "BADUSDT", "ETHUSDT"))
    stage.run()
    stage.connect(acknowledge=False)
    answered = 0
    for _ in range(12):
        for _, _, message in stage.sent[answered:]:
            answered += 1
            wrong = "badusdt@trade" in message["params"]
            error = {"code": 2, "msg": "unknown stream"}
            body = {"error": error} if wrong else {"result": None}
            stage.frame(json.dumps(body | {"id": message["id"]}).encode())
        stage.run(0.5)
    assert stage.session.started
    assert stage.events() == [("rejected", "trades")]
    assert stage.outlet.of(TopicKind.EVENTS)[0].symbol == "binance:BADUSDT"
    stage.frame(trade_frame(1))
    assert [type(record) for record in stage.outlet.of(TopicKind.TRADES)] == [Trade, Heartbeat, Heartbeat]


def test_a_frame_that_cannot_be_used_is_a_dead_letter_and_the_next_one_works() -> None:
    stage = Stage()
    stage.start()
    broken = trade_frame(1).replace(b'"p":"10.5"', b'"p":"-1"')
    stage.frame(broken)
    stage.frame(b"\xff\xfe")
    stage.frame(trade_frame(2))
    first, second = stage.outlet.of(TopicKind.DEAD_LETTERS)
    assert (first.symbol, first.encoding, first.payload) == ("binance:BTCUSDT", "utf-8", broken.decode())
    assert "$.data.p" in first.error
    assert first.source == "binance: connection 1"
    assert (second.symbol, second.encoding, second.payload) == ("", "base64", "//4=")
    assert stage.session.dead_letters == 2
    assert [record.trade_id for record in stage.outlet.of(TopicKind.TRADES) if not isinstance(record, Heartbeat)] == [2]


def test_what_was_surely_received_is_behind_the_newest_event() -> None:
    stage = Stage(feeds=(Feed.TRADES, Feed.QUOTES))
    stage.start()
    assert stage.session.synced_through == 0
    stage.frame(trade_frame(1, at=5.0))
    stage.frame(quote_frame(7))
    stage.frame(trade_frame(2, at=4.0))
    assert stage.session.synced_through == (EXCHANGE + 4500) * 1000


def test_heartbeats_follow_the_records_once_a_second_of_the_exchange() -> None:
    stage = Stage()
    stage.start()
    for tenth in range(35):
        stage.frame(trade_frame(tenth, at=tenth / 10))
    records = stage.outlet.of(TopicKind.TRADES)
    beats = [(place, record.event_time) for place, record in enumerate(records) if isinstance(record, Heartbeat)]
    assert len(beats) == 4
    for place, time in beats:
        before = [record.trade_time for record in records[:place] if not isinstance(record, Heartbeat)]
        after = [record.trade_time for record in records[place:] if not isinstance(record, Heartbeat)]
        assert max(before) > time
        assert all(later > time for later in after), "nothing of before the heartbeat comes after it"


def test_in_a_quiet_market_the_clock_moves_by_the_exchanges_own_time_and_a_pong() -> None:
    stage = Stage(feeds=(Feed.TRADES, Feed.BOOK))
    stage.start()
    stage.frame(trade_frame(1, at=1.0))
    stage.run(0.9)
    assert [get.request.path for get in stage.gets if "time" in get.request.path] == []
    stage.run(0.5)
    stage.answer({"serverTime": EXCHANGE + 9000}, path="/time")
    assert stage.session.synced_through == (EXCHANGE + 500) * 1000, "not before the pong"
    stage.pong()
    assert stage.session.synced_through == (EXCHANGE + 9000) * 1000
    assert stage.outlet.of(TopicKind.TRADES)[-1].event_time == (EXCHANGE + 8500) * 1000


def test_a_pong_of_another_ping_moves_nothing() -> None:
    stage = Stage()
    stage.start()
    stage.frame(trade_frame(1))
    stage.run(1.5)
    stage.answer({"serverTime": EXCHANGE + 9000}, path="/time")
    stage.link(1).pong(b"something else", stage.now)
    assert stage.session.synced_through == EXCHANGE * 1000 - 500_000


def test_an_exchange_whose_time_stands_still_is_asked_once_a_second() -> None:
    stage = Stage(feeds=(Feed.TRADES,))
    stage.start()
    stage.frame(trade_frame(1))
    for _ in range(100):
        stage.run(0.1)
        if any("time" in get.request.path for get in stage.gets):
            stage.answer({"serverTime": EXCHANGE}, path="/time")
            stage.pong()
    assert 7 <= len(stage.pings) <= 10


def test_without_a_pong_the_connection_is_given_up() -> None:
    stage = Stage()
    stage.start()
    stage.run(1.5)
    stage.answer({"serverTime": EXCHANGE}, path="/time")
    stage.run(PONG_WITHIN + 0.2)
    assert stage.closed == [(1, "no pong within 10 s")]


def test_a_ping_needs_no_rest() -> None:
    stage = Stage()
    stage.start()
    stage.run(PING_AFTER + 0.2)
    assert len(stage.pings) == 1
    stage.run(PONG_WITHIN + 0.2)
    assert stage.closed == [(1, "no pong within 10 s")]


def test_nothing_is_overdue_while_nothing_is_read() -> None:
    stage = Stage()
    stage.start()
    stage.run(1.5)
    stage.answer({"serverTime": EXCHANGE}, path="/time")
    stage.session.pressed(True, stage.now)
    stage.run(100.0)
    assert stage.closed == []
    stage.session.pressed(False, stage.now)
    stage.run(PONG_WITHIN / 2)
    assert stage.closed == []
    stage.pong()
    stage.run(1.0)
    assert stage.closed == []


def test_depth_frames_reach_the_book() -> None:
    stage = Stage(feeds=(Feed.BOOK,))
    stage.start()
    stage.frame(depth_frame(5, 8))
    stage.run()
    stage.answer({"lastUpdateId": 7, "bids": [["9.0", "1"]], "asks": [["12.0", "1"]]}, path="/depth")
    book = stage.outlet.of(TopicKind.BOOK)[0]
    assert (book.update_id, book.bids, book.asks) == (8, [(10.0, 1.0), (9.0, 1.0)], [(11.0, 1.0), (12.0, 1.0)])
