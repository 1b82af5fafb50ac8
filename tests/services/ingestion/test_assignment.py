from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from marketpipeline.ingestion.assignment import share_of, share_out
from marketpipeline.sharding import shard_of
from marketpipeline.topics import EXCHANGE_FEEDS
from marketpipeline.venues.messages import Stream

SYMBOLS = [f"exchange:S{number}USDT" for number in range(400)]


def test_every_symbol_has_one_reader_and_all_have_work() -> None:
    shares = [share_of(SYMBOLS, replica, 4) for replica in range(4)]
    assert sorted(symbol for share in shares for symbol in share) == sorted(SYMBOLS)
    assert min(map(len, shares)) > 60


def test_one_more_replica_takes_and_moves_nothing_else() -> None:
    moved = [symbol for symbol in SYMBOLS if shard_of(symbol, 4) != shard_of(symbol, 5)]
    assert all(shard_of(symbol, 5) == 4 for symbol in moved)
    assert 40 < len(moved) < 130


@given(st.integers(0, 40), st.integers(1, 6), st.integers(1, 30))
def test_streams_are_shared_out_within_the_limit(symbols: int, feeds: int, most: int) -> None:
    streams = [
        Stream(f"{symbol}@{feed}", f"exchange:{symbol}", feed)
        for symbol in range(symbols)
        for feed in EXCHANGE_FEEDS[:feeds]
    ]
    parts = share_out(streams, most)
    assert [stream for part in parts for stream in part] == streams
    assert all(0 < len(part) <= most for part in parts)
    if feeds <= most:
        places = [{number for number, part in enumerate(parts) for s in part if s.symbol == f"exchange:{symbol}"}
                  for symbol in range(symbols)]  # fmt: skip
        assert all(len(place) == 1 for place in places), "the streams of a symbol were torn apart"


def test_parts_are_even() -> None:
    streams = [
        Stream(f"{symbol}@{feed}", f"exchange:{symbol}", feed) for symbol in range(20) for feed in EXCHANGE_FEEDS
    ]
    assert [len(part) for part in share_out(streams, 100)] == [60, 60]
