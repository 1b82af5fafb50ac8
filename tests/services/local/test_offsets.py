"""Asking a real broker how far topics reach, also after it was killed and started again."""

from __future__ import annotations

from marketpipeline.errors import RetryableError
from marketpipeline.local.offsets import Offsets
from marketpipeline.plan import Topic
from marketpipeline.topics import TopicKind

from tests.conftest import wait_for
from tests.services.sinks.samples import BTC, trade
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker, broker  # noqa: F401


def test_it_answers_again_after_the_broker_was_killed(broker: RunningBroker) -> None:  # noqa: F811
    topics = Topics(broker, kinds=[TopicKind.TRADES])
    topics.put(trade(1), trade(2))
    name = topics.name(TopicKind.TRADES)
    asked = Topic(name=name, kind=TopicKind.TRADES, partitions=3, replication_factor=1, config={})
    offsets = Offsets(topics.kafka)

    def ends() -> list[int] | None:
        try:
            found = offsets.ends([asked])
            assert offsets.behind("nobody", found) == sum(found.values())
        except RetryableError:
            return None
        return list(found.values())

    assert wait_for(ends, "the ends") == [2]
    for count in (3, 4):
        broker.kill()
        broker.start()
        topics.put_raw(TopicKind.TRADES, BTC.encode(), b"{}")
        assert wait_for(ends, "the ends after a restart", seconds=60) == [count]
