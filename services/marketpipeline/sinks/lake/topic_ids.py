"""Which topic a name stands for: the id that the broker gave to it when it was made."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from marketpipeline.errors import RetryableError
from marketpipeline.kafka import client_config
from marketpipeline.sink_kinds import SinkSettings
from marketpipeline.store.lake import LAKE_TOPICS
from marketpipeline.topics import topic_name

__all__ = ["topic_ids"]

_SECONDS, _GRACE_SECONDS = 10.0, 5.0
"""For the answer, and for the client to say that there was none."""
_NO_SUCH_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNSUPPORTED_FEATURE)
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""What a broker says that gives no ids: 16 bytes of zeros."""


def topic_ids(settings: SinkSettings) -> dict[str, str]:
    """The ids of the topics that there are, by name; none of a broker that gives no ids. Raises RetryableError."""
    admin = AdminClient(client_config(settings.kafka, f"{settings.pipeline}-lake"))
    names = [topic_name(settings.topic_prefix, kind) for kind in LAKE_TOPICS]
    found: dict[str, str] = {}
    for name, future in admin.describe_topics(TopicCollection(names), request_timeout=_SECONDS).items():
        try:
            told = str(future.result(_SECONDS + _GRACE_SECONDS).topic_id)
        except TimeoutError as error:
            raise RetryableError(f"the broker does not tell the ids of its topics within {_SECONDS:g} s") from error
        except KafkaException as error:
            if error.args[0].code() not in _NO_SUCH_TOPIC:
                raise RetryableError(f"the broker does not tell the ids of its topics: {error.args[0]}") from error
            continue
        if told != _NO_ID:
            found[name] = told
    return found
