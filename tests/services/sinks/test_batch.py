from __future__ import annotations

from marketpipeline.sinks.batch import Batch

from tests.services.sinks.samples import deliver, trade


def test_an_empty_batch_is_never_due_and_waits_a_whole_interval() -> None:
    batch = Batch(rows=10, interval=0.5)
    assert not batch.is_due(1e9)
    assert batch.wait(1e9) == 0.5


def test_due_by_time_from_the_first_thing_on() -> None:
    batch = Batch(rows=10, interval=0.5)
    batch.reach({("t", 0): 1}, now=100.0)
    batch.reach({("t", 0): 2}, now=100.4)
    assert batch.wait(100.2) == 0.3 or abs(batch.wait(100.2) - 0.3) < 1e-9
    assert not batch.is_due(100.49)
    assert batch.is_due(100.5)


def test_due_by_size() -> None:
    batch = Batch(rows=2, interval=60)
    batch.rows.extend(deliver(trade(1), trade(2)))
    batch.reach({("t", 0): 2}, now=100.0)
    assert batch.is_due(100.0)
    assert batch.room == 1


def test_partitions_that_went_elsewhere_are_left_out() -> None:
    batch = Batch(rows=10, interval=1)
    batch.rows.extend(deliver(trade(1)))
    batch.reach({("t", 0): 1, ("t", 1): 7}, now=0)
    batch.lose({("t", 0)})
    assert batch.rows == []
    assert batch.offsets == {("t", 1): 7}


def test_clear_begins_anew() -> None:
    batch = Batch(rows=10, interval=1)
    batch.rows.extend(deliver(trade(1), trade(2)))
    batch.drop(batch.rows[0])
    assert [row.offset for row in batch.rows] == [1]
    batch.reach({("t", 0): 1}, now=0)
    batch.clear()
    assert (batch.rows, batch.offsets, batch.is_due(100)) == ([], {}, False)
