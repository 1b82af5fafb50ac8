"""What selectors stand for, by listings that are made up."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline.selection import Listed, choose, events_of
from marketpipeline.spec import PipelineSpec
from marketpipeline.venues import venues

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def spec(*symbols: str, **more: Any) -> PipelineSpec:
    return PipelineSpec(symbols=list(symbols), **more)


def market(order: str = LETTERS, quote: str = "USDT") -> dict[str, Listed]:
    """A symbol a letter, the first the most traded."""
    return {
        f"binance:{letter}{quote}": Listed(quote, volume=float(len(order) - place))
        for place, letter in enumerate(order)
    }


def letters(symbols: tuple[str, ...]) -> str:
    return "".join(symbol.partition(":")[2][0] for symbol in symbols)


def test_a_pattern_stands_for_what_has_its_form_and_is_not_excluded() -> None:
    listed = {"binance": market("ABC") | market("AB", "USDC") | {"binance:D.USDT": Listed("USDT")}}
    found = choose(spec("binance:*USDT", exclude=["binance:BUSDT", "binance:*.*"]), listed, ())
    assert found.symbols == ("binance:AUSDT", "binance:CUSDT")
    assert found.counts == {"binance:*USDT": 2}


def test_a_rank_is_of_its_market_by_volume() -> None:
    listed = {"binance": market("ABCDEF") | market("XYZ", "USDC")}
    assert letters(choose(spec("binance:top-3-USDT"), listed, ()).symbols) == "ABC"
    assert letters(choose(spec("binance:top-3-USDT", exclude=["binance:AUSDT"]), listed, ()).symbols) == "BCD"
    assert choose(spec("binance:top-3-EUR"), listed, ()).counts == {"binance:top-3-EUR": 0}


def test_ranks_that_change_places_at_the_edge_do_not_flap() -> None:
    asked, first = spec("binance:top-20-USDT"), LETTERS
    followed = choose(asked, {"binance": market(first)}, ()).symbols
    assert letters(followed) == first[:20]
    for swapped in (first[:19] + "UT" + first[21:], first[:18] + "UVST" + first[22:]):
        assert choose(asked, {"binance": market(swapped)}, followed).symbols == followed
    far_ahead = choose(asked, {"binance": market("V" + first.replace("V", ""))}, followed).symbols
    assert letters(far_ahead) == first[:19] + "V"
    far_behind = choose(asked, {"binance": market(first.replace("A", "") + "A")}, followed).symbols
    assert letters(far_behind) == first[1:21]


def test_what_is_halted_does_not_join_and_leaves_when_nothing_was_traded_for_a_day() -> None:
    asked, listed = spec("binance:*USDT"), market("AB")
    halted = {"binance:AUSDT": Listed("USDT", trading=False, volume=1.0)}
    dead = {"binance:AUSDT": Listed("USDT", trading=False, volume=0.0)}
    assert letters(choose(asked, {"binance": listed | halted}, ()).symbols) == "B"
    both = choose(asked, {"binance": listed}, ()).symbols
    assert letters(choose(asked, {"binance": listed | halted}, both).symbols) == "AB"
    assert letters(choose(asked, {"binance": listed | dead}, both).symbols) == "B"
    assert letters(choose(asked, {"binance": market("A")}, both).symbols) == "A"


def test_an_exchange_that_does_not_answer_changes_nothing_of_its_own() -> None:
    asked = spec("binance:*USDT", "okx:top-2-USDT")
    followed = ("binance:AUSDT", "okx:A-USDT", "okx:B-USDT")
    listed = {"okx": {"okx:C-USDT": Listed("USDT", volume=3.0), "okx:B-USDT": Listed("USDT", volume=2.0)}}
    found = choose(asked, listed, followed)
    assert found.symbols == ("binance:AUSDT", "okx:B-USDT", "okx:C-USDT")
    assert found.counts == {"binance:*USDT": None, "okx:top-2-USDT": 2}


def test_beyond_the_bound_who_is_followed_comes_first() -> None:
    asked = spec("binance:*USDT", maxSymbols=3)
    found = choose(asked, {"binance": market("ABCDE")}, ("binance:EUSDT",))
    assert (letters(found.symbols), found.cut) == ("ABE", 2)


def test_events_say_what_came_and_why_something_went() -> None:
    listed = {"binance": market("AB")}
    joined, left, gone = events_of({"binance:AUSDT"}, {"binance:BUSDT", "binance:CUSDT"}, listed)
    assert (joined.kind, joined.symbol, joined.process) == ("followed", "binance:AUSDT", "platform")
    assert (left.kind, left.detail) == ("unfollowed", "no selector stands for it any more")
    assert (gone.kind, gone.detail) == ("unfollowed", "the exchange lists it no more")


@pytest.mark.parametrize("exchange", sorted(venues()))
def test_no_symbol_of_an_exchange_is_written_like_a_rank(exchange: str) -> None:
    assert "*" not in venues()[exchange].symbol_example
    assert not venues()[exchange].symbol_example.startswith("top-")
