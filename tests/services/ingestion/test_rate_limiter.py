"""When requests go out, and what becomes of their answers."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.context import Get
from marketpipeline.ingestion.rate_limiter import CONCURRENT, TRIES, RateLimiter
from marketpipeline.venues.adapter import RestRequest
from marketpipeline.venues.binance.adapter import ADAPTER
from marketpipeline.venues.messages import FrameError

TIME = b'{"serverTime":1723161254087}'


class Scenario:
    def __init__(self) -> None:
        self.sent: list[Get] = []
        self.letters: list[tuple[bytes, str, str]] = []
        self.done: list[Any] = []
        self.refused: list[PermanentError] = []
        self.now = 0.0
        self.limiter = RateLimiter(ADAPTER, self.sent.append, self.letter, Random(1))
        self.limiter.tick(0.0)

    def letter(self, body: bytes, error: FrameError, source: str) -> None:
        self.letters.append((body, str(error), source))

    def ask(self, request: RestRequest[Any] | None = None) -> None:
        self.limiter.ask(request or ADAPTER.server_time(), self.done.append, self.refused.append)

    def answer(self, status: int = 200, body: bytes = TIME, **headers: str) -> None:
        call = self.sent.pop(0).call
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.limiter.answered(call, status, names, body, self.now, 5)

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.limiter.tick(self.now)


def test_an_answer_is_read_and_handed_on() -> None:
    b = Scenario()
    b.ask()
    b.answer()
    assert b.done == [1_723_161_254_087_000]
    assert b.limiter.weight_used == 1


def test_only_so_many_are_under_way() -> None:
    b = Scenario()
    for _ in range(CONCURRENT + 2):
        b.ask()
    assert len(b.sent) == CONCURRENT
    b.answer()
    assert len(b.sent) == CONCURRENT


def test_the_weight_of_a_minute_is_kept() -> None:
    b = Scenario()
    spent = 0
    for _ in range(300):
        b.ask(ADAPTER.snapshot("binance:BTCUSDT"))
        while b.sent:
            b.answer(body=b'{"lastUpdateId":1,"bids":[],"asks":[]}')
            spent += 50
    assert spent <= 6000 * 0.9
    assert len(b.done) == spent // 50
    b.tick(60.0)
    assert b.sent


def test_what_others_on_this_address_spent_counts() -> None:
    b = Scenario()
    b.ask()
    b.answer(x_mbx_used_weight_1m="5399")
    b.ask(ADAPTER.snapshot("binance:BTCUSDT"))
    assert not b.sent
    b.tick(60.0)
    assert b.sent


def test_429_stops_everything_for_as_long_as_it_says() -> None:
    b = Scenario()
    b.ask()
    b.ask()
    b.answer(429, b'{"code":-1003,"msg":"Too much request weight used."}', retry_after="7")
    b.answer()
    b.ask()
    b.tick(6.9)
    assert not b.sent
    b.tick(0.2)
    assert len(b.sent) == 2
    b.answer()
    b.answer()
    assert len(b.done) == 3
    assert (b.limiter.throttled, b.limiter.failures, b.refused) == (1, 0, [])


def test_a_ban_is_waited_out_however_often() -> None:
    b = Scenario()
    b.ask()
    for _ in range(TRIES + 5):
        b.answer(418, b"", retry_after="300")
        b.tick(300.1)
    b.answer()
    assert len(b.done) == 1


def test_a_fault_is_tried_again_with_growing_waits_then_given_up() -> None:
    b = Scenario()
    b.ask()
    tries = 0
    while not b.refused:
        tries += 1
        if tries % 2:
            b.answer(503, b"busy")
        else:
            b.limiter.failed(b.sent.pop(0).call, "connection refused", b.now)
        assert not b.sent, "not at once"
        b.tick(15.0)
    assert tries == TRIES
    assert [str(error) for error in b.refused] == [f"connection refused (tried {TRIES} times)"]
    assert b.limiter.failures == TRIES


def test_a_refusal_is_final() -> None:
    b = Scenario()
    b.ask()
    b.answer(400, b'{"code":-1121,"msg":"Invalid symbol."}')
    assert [str(error) for error in b.refused] == ["HTTP 400: -1121: Invalid symbol."]
    b.tick(100.0)
    assert not b.sent


def test_a_body_that_cannot_be_read_is_a_dead_letter_and_asked_again() -> None:
    b = Scenario()
    b.ask()
    b.answer(200, b"<html>")
    assert [(body, source) for body, _, source in b.letters] == [(b"<html>", "/api/v3/time")]
    b.tick(15.0)
    b.answer()
    assert len(b.done) == 1


def test_nothing_goes_out_while_the_broker_is_behind() -> None:
    b = Scenario()
    b.limiter.paused = True
    b.ask()
    b.tick(5.0)
    assert not b.sent
    b.limiter.paused = False
    b.tick(0.1)
    assert b.sent


def test_an_answer_to_no_request_is_ignored() -> None:
    b = Scenario()
    b.limiter.answered(99, 200, {}, TIME, 0.0, 5)
    b.limiter.failed(98, "gone", 0.0)
    assert b.done == []


def test_a_patient_request_lets_all_others_pass() -> None:
    """Forty that nobody waits for and one book: the book's goes first, whoever asked before."""
    b = Scenario()
    heavy = replace(ADAPTER.server_time(), weight=50)
    for _ in range(108):
        b.ask(heavy)
        b.answer()
    dead, living = replace(heavy, path="/dead"), replace(heavy, path="/living")
    for _ in range(40):
        b.limiter.ask(dead, b.done.append, b.refused.append, patient=True)
    b.ask(living)
    assert b.sent == [], "the budget of this minute is spent"
    b.tick(61.0)
    assert [get.request.path for get in b.sent] == ["/living"]
    b.answer()
    b.tick(0.1)
    assert {get.request.path for get in b.sent} == {"/dead"}
