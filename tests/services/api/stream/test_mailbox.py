"""A reader's mailbox: whole while it reads, the newest of each key when it does not."""

from __future__ import annotations

import sys

from marketpipeline.api.stream.mailbox import MOST_KEYS, MOST_WAITING, Mailbox
from marketpipeline.api.stream.updates import Batch, Update, update_of
from marketpipeline.records import Record

from tests.services.sinks.samples import BTC, ETH, alert, book, candle, trade


def update(record: Record) -> Update:
    found = update_of(record)
    assert found is not None
    return found


async def test_who_reads_gets_everything_in_order() -> None:
    mailbox = Mailbox()
    batches = [Batch([update(trade(number))], str(number)) for number in range(MOST_WAITING)]
    for batch in batches:
        mailbox.put(batch)
    assert await mailbox.wait(0)
    mail = mailbox.take()
    assert (mail.batches, mail.skipped) == (batches, 0)
    assert not await mailbox.wait(0.01)


async def test_who_does_not_read_gets_the_newest_of_each_key_and_is_told() -> None:
    mailbox = Mailbox()
    mailbox.put(Batch([update(trade(1, ETH)), update(candle(0)), update(candle(0, closed=True))], "1"))
    for number in range(5_000):
        mailbox.put(Batch([update(trade(number)), update(book(number)), update(candle(1, trades=number))], str(number)))
    mail = mailbox.take()
    (batch,) = mail.batches
    assert batch.last == "4999"
    assert [found.body for found in batch.updates] == [
        update(record).body
        for record in (trade(1, ETH), candle(0, closed=True), trade(4_999), book(4_999), candle(1, trades=4_999))
    ], "a closed candle is not lost to the next one that forms"
    assert mail.skipped == mailbox.skipped == 3 + 15_000 - 5
    assert mailbox.take() == ({}, 0, [])


async def test_what_waits_has_a_bound() -> None:
    mailbox = Mailbox()
    for number in range(3 * MOST_KEYS):
        mailbox.put(Batch([update(alert(number, id=f"alert {number}"))], str(number)))
    mail = mailbox.take()
    assert len(mail.batches[0].updates) == MOST_KEYS
    assert mail.skipped == 2 * MOST_KEYS
    assert sys.getsizeof(mail.batches[0].updates) < 10 * MOST_KEYS


async def test_words_are_told_once_each_the_last() -> None:
    mailbox = Mailbox()
    mailbox.say("status", live=False)
    mailbox.say("status", live=True)
    assert mailbox.take().words == {"status": {"live": True}}
    assert mailbox.take().words == {}


def test_keys() -> None:
    forming, closed = update(candle(0)), update(candle(0, closed=True))
    assert forming.names == ("candle",)
    assert closed.names == ("candle", "closed-candle")
    assert forming.key == (BTC, "candle:1m") != closed.key
