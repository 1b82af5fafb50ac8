"""A capture of what is on the topic `raw` of a real broker: its order, its span, and what cannot be made."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.errors import InvalidInput, PermanentError
from marketpipeline.records import RawFrame, encode
from marketpipeline.settings import KafkaSettings
from marketpipeline.simulator.recording import from_topic
from marketpipeline.simulator.recording.from_topic import Part, TopicSpan, record_topic

from tests.support.broker import RunningBroker, broker  # noqa: F401

START = 1_700_000_000_000_000
COUNT = 900
SYMBOLS = ("binance:BTCUSDT", "binance:ETHUSDT", "okx:BTC-USDT")
BOTH = ["binance", "okx"]


def frame(number: int) -> RawFrame:
    """One a millisecond, in turn of each symbol. Every tenth is of none, and some are answers of REST."""
    symbol = SYMBOLS[number % 3] if number % 10 else ""
    request = f"http://x/depth?symbol={symbol}" if symbol and number % 9 == 0 else ""
    exchange = SYMBOLS[number % 3].partition(":")[0]
    return RawFrame(
        symbol=symbol, exchange=exchange, connection=f"{exchange}/1", sequence=number, payload=f'{{"n":{number}}}',
        receive_time=START + number * 1_000, stream="" if request else symbol, request=request,
    )  # fmt: skip


@pytest.fixture(scope="module")
def kept(broker: RunningBroker) -> tuple[KafkaSettings, str]:  # noqa: F811
    """A second process wrote the middle third of the streams too, later into the topic."""
    prefix = broker.prefix()
    _make(broker, prefix, 3)
    first = [frame(number) for number in range(COUNT)]
    second = [
        msgspec.structs.replace(one, connection=f"{one.exchange}/2", receive_time=one.receive_time + 300)
        for one in first[300:600]
        if one.stream
    ]
    producer = Producer({"bootstrap.servers": broker.address})
    for one in (*first, *second):
        partition = SYMBOLS.index(one.symbol) if one.symbol else 0
        producer.produce(f"{prefix}.raw", encode(one), b"", partition, timestamp=one.receive_time // 1000)
    producer.produce(f"{prefix}.raw", b"no record", b"", 0, timestamp=START // 1000)
    assert producer.flush(30) == 0
    return KafkaSettings(bootstrap_servers=broker.address), prefix


def _make(broker: RunningBroker, prefix: str, partitions: int) -> None:  # noqa: F811
    admin = AdminClient({"bootstrap.servers": broker.address})
    for made in admin.create_topics([NewTopic(f"{prefix}.raw", partitions, 1)]).values():
        made.result(30)


def numbers(part: Part) -> list[int]:
    lines = gzip.decompress(part.path.read_bytes()).splitlines()
    return [int(line.rpartition(b":")[2].rstrip(b"}")) for line in lines]


@pytest.mark.parametrize("most", [from_topic.MOST, 20])
def test_partitions_become_one_order_and_each_message_is_there_once(
    kept: tuple[KafkaSettings, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Also where fewer frames may wait than a partition is behind the others: then the order is as good as it gets."""
    monkeypatch.setattr(from_topic, "MOST", most)
    monkeypatch.setattr(from_topic, "ENOUGH", most // 2)
    binance, okx = record_topic(*kept, TopicSpan(BOTH), tmp_path / "all.gz", lambda count: None)
    assert (binance.path.name, okx.path.name) == ("all-binance.gz", "all-okx.gz")
    for part, name in ((binance, "binance"), (okx, "okx")):
        wanted = [number for number in range(COUNT) if frame(number).exchange == name]
        found = numbers(part)
        assert sorted(found) == wanted
        assert found == wanted or most < from_topic.DISORDER // 1_000
        assert part.lines == len(wanted)
        assert part.doubles == sum(frame(n).stream != "" for n in wanted if 300 <= n < 600)
    lines = gzip.decompress(binance.path.read_bytes()).splitlines()
    assert b"%d http://x/depth?symbol=binance:BTCUSDT {" % ((START + 9_000) * 1000) in b"".join(lines)


def test_a_span_of_some_symbols_and_what_belongs_to_none(kept: tuple[KafkaSettings, str], tmp_path: Path) -> None:
    span = TopicSpan(["binance"], ["binance:ETHUSDT"], START + 100_000, START + 200_000)
    (part,) = record_topic(*kept, span, tmp_path / "some.gz", lambda count: None)
    assert part.path == tmp_path / "some.gz"
    some = [frame(number) for number in range(100, 200)]
    assert numbers(part) == [
        one.sequence for one in some if one.exchange == "binance" and one.symbol in ("", "binance:ETHUSDT")
    ]


def test_what_cannot_be_made(kept: tuple[KafkaSettings, str], tmp_path: Path) -> None:
    kafka, prefix = kept
    with pytest.raises(PermanentError, match="holds nothing of okx in this span"):
        record_topic(kafka, prefix, TopicSpan(["okx"], since=START + 10**9), tmp_path / "a.gz", lambda count: None)
    assert not (tmp_path / "a.gz").exists()
    with pytest.raises(InvalidInput, match="a pipeline has it with `raw` among its feeds"):
        record_topic(kafka, "other", TopicSpan(["okx"]), tmp_path / "a.gz", lambda count: None)


def test_partitions_that_are_all_full_within_a_moment_are_read_to_their_ends(
    broker: RunningBroker,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each was paused while none had as many waiting as stop it, and nothing was read any more."""
    monkeypatch.setattr(from_topic, "MOST", 1_500)
    monkeypatch.setattr(from_topic, "ENOUGH", 750)
    monkeypatch.setattr(from_topic, "SILENT_SECONDS", 20.0)
    prefix = broker.prefix()
    _make(broker, prefix, 2)
    producer = Producer({"bootstrap.servers": broker.address})
    for number in range(6_000):
        symbol, place = SYMBOLS[number % 2], number % 2
        one = msgspec.structs.replace(frame(number), symbol=symbol, exchange="binance", stream=symbol, request="")
        one = msgspec.structs.replace(one, receive_time=START + number * 166)
        producer.produce(f"{prefix}.raw", encode(one), b"", place, timestamp=one.receive_time // 1000)
    assert producer.flush(30) == 0
    kafka = KafkaSettings(bootstrap_servers=broker.address)
    (part,) = record_topic(kafka, prefix, TopicSpan(["binance"]), tmp_path / "all.gz", lambda count: None)
    assert sorted(numbers(part)) == list(range(6_000))
