from __future__ import annotations

import pytest
from marketpipeline.ingestion.partition import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_as_javas_client_computes_it(data: bytes, value: int) -> None:
    """The values of Kafka's own test of its `Utils.murmur2`."""
    assert murmur2(data) == value & 0xFFFFFFFF


def test_partitions_are_in_range() -> None:
    assert {partition_of(f"exchange:S{n}".encode(), 7) for n in range(200)} == set(range(7))
