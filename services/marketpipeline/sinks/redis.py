"""The sink into Redis or Valkey: the latest record of each kind per symbol, and the recent alerts.

The layout of the keys is in `marketpipeline.store.latest`. Within a batch only the newest record of each key is
sent; the server compares its order with the stored one in a script, so that older never goes over newer,
whoever writes. A batch is one pipeline: one round trip.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from marketpipeline.errors import PermanentError, Refused
from marketpipeline.records import Alert
from marketpipeline.sink_kinds.redis import RedisSinkSettings, RedisStoreSettings
from marketpipeline.sinks.base import Backpressure, Delivery, RowsRejected
from marketpipeline.store import REDIS_TOPICS, LatestKeys
from marketpipeline.store.latest import alert_order, latest_entries
from marketpipeline.store.redis import redis_address, redis_options
from marketpipeline.topics import TopicKind

__all__ = ["RedisSink", "from_settings"]

_log = logging.getLogger(__name__)

_LATEST = """
local held = redis.call('HGET', KEYS[1], 'order')
if held and held > ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'order', ARGV[1], 'record', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""KEYS: the hash. ARGV: order, record, life in milliseconds."""

_ALERT = """
local held = redis.call('HGET', KEYS[2], ARGV[1])
if held and held > ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
local excess = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[5])
if excess > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, excess - 1)) do
    redis.call('ZREM', KEYS[3], id)
    redis.call('HDEL', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
  end
end
return 1
"""
"""KEYS: records, order, index. ARGV: id, order, record, started_at, the most alerts to hold."""

_SPEC = "spec.sinks.redis"

_LATER = (
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
)
_LATER_WORDS = (
    "OOM",
    "BUSY",
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "FAILOVER",
)
"""Answers by which a server says that it cannot write now; for some the client has a type, of others the code."""


_Latest = dict[tuple[str, str], tuple[str, bytes]]
_Alerts = dict[str, tuple[Alert, str, bytes]]


class RedisSink:
    """Keeps what is newest. Every value expires unless it is renewed; the list of alerts is bounded."""

    def __init__(self, store: RedisStoreSettings) -> None:
        self._store = store
        self._keys = LatestKeys(store.prefix)
        self._client: redis.Redis | None = None
        self._latest: Any = None
        self._alert: Any = None

    @property
    def name(self) -> str:
        """Short name for logs, metrics and dead letters."""
        return "redis"

    @property
    def topics(self) -> frozenset[TopicKind]:
        """Everything that has a latest value, and the alerts."""
        return REDIS_TOPICS

    def open(self) -> None:
        """Connect. Raises Backpressure while the server is away, PermanentError when it refuses the user."""
        if self._client is not None:
            return
        password = self._store.password.get_secret_value() if self._store.password else None
        with _translated(self._store.url):
            client = redis.Redis.from_url(
                redis_address(self._store, self._store.url),
                password=password,
                socket_timeout=10,
                socket_connect_timeout=5,
                health_check_interval=15,
                retry=Retry(NoBackoff(), 0),
                **redis_options(self._store, self._store.url),
            )
            client.ping()
        self._latest = client.register_script(_LATEST)
        self._alert = client.register_script(_ALERT)
        self._client = client
        _log.info("cache is ready")

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Send the newest record of each key. Raises Backpressure, RowsRejected, PermanentError."""
        if self._client is None:
            raise Backpressure("the cache is not connected", retry_after=0)
        latest, alerts = _newest(deliveries)
        if not latest and not alerts:
            return
        try:
            self._send(self._client, latest, alerts)
        except Backpressure:
            # Whatever the reason: after a failover the primary is at the other end of a new connection only.
            self.close()
            raise

    def _send(self, client: redis.Redis, latest: _Latest, alerts: _Alerts) -> None:
        with _translated(self._store.url), client.pipeline(transaction=False) as pipeline:
            for (kind, symbol), (order, payload) in latest.items():
                key = self._keys.latest(kind, symbol)
                self._latest([key], [order, payload, self._store.expiry_ms], client=pipeline)
            for alert, order, payload in alerts.values():
                values = [alert.id, order, payload, alert.started_at, self._store.alerts]
                self._alert(list(self._keys.alerts), values, client=pipeline)
            pipeline.execute()

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _newest(deliveries: Sequence[Delivery]) -> tuple[_Latest, _Alerts]:
    """Of a batch the newest record of each (kind, symbol), and of each alert."""
    latest: _Latest = {}
    alerts: _Alerts = {}
    for delivery in deliveries:
        record = delivery.record
        if isinstance(record, Alert):
            order = alert_order(record)
            held = alerts.get(record.id)
            if held is None or order >= held[1]:
                alerts[record.id] = (record, order, delivery.payload)
            continue
        for kind, order in latest_entries(record):
            key = (kind, record.symbol)
            if key not in latest or order >= latest[key][0]:
                latest[key] = (order, delivery.payload)
    return latest, alerts


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn what the client raises into this project's errors; `url` is the store's."""
    try:
        yield
    except redis.AuthenticationError as error:
        remedy = "give this user's password, or name another user in url"
        raise Refused(f"{_SPEC}.passwordSecret", _user(url), remedy, error) from error
    except redis.exceptions.NoPermissionError as error:
        remedy = "allow it by ACL SETUSER: keys and commands below the pipeline's prefix, and PING, EVALSHA, SCRIPT"
        raise Refused(f"{_SPEC}.url", _user(url), remedy, error) from error
    except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.BusyLoadingError) as error:
        raise Backpressure(f"the cache is away: {error}") from error
    except redis.ResponseError as error:
        if "DB index" in str(error):
            remedy = "the server has fewer databases: name one that it has, as /0"
            raise Refused(f"{_SPEC}.url", repr(url), remedy, error) from error
        if isinstance(error, _LATER) or any(word in str(error) for word in _LATER_WORDS):
            raise Backpressure(f"the cache cannot write now: {error}") from error
        raise PermanentError(f"the cache does not do what it is asked: {error}") from error
    except (redis.DataError, OverflowError) as error:
        raise RowsRejected(str(error)) from error
    except ValueError as error:
        remedy = "give an address of the form redis://host[:port][/number of the database]"
        raise Refused(f"{_SPEC}.url", repr(url), remedy, error) from error
    except redis.RedisError as error:
        raise Backpressure(f"the cache fails: {error}") from error


def _user(url: str) -> str:
    parts = urlsplit(url)
    return f"user {unquote(parts.username or 'default')!r} at {parts.hostname}"


def from_settings(settings: RedisSinkSettings) -> RedisSink:
    """The sink of a process."""
    return RedisSink(settings.store)
