"""The sink that tells people of alerts: each batch to each channel, what one of them refuses to the dead letters.

Delivery is at least once: a process that is killed between a message and the commit of its offset tells it again.
PagerDuty, Alertmanager and a webhook that looks at its key know the repetition; Slack shows it twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import httpx
from pydantic import SecretStr

from marketpipeline.errors import PermanentError
from marketpipeline.records import Alert
from marketpipeline.sink_kinds.notify import SINK, ChannelSettings, NotifySinkSettings, NotifyStoreSettings
from marketpipeline.sinks.base import Backpressure, Delivery, RowsRejected
from marketpipeline.sinks.notify import messages
from marketpipeline.sinks.notify.channel import Channel
from marketpipeline.topics import TopicKind

__all__ = ["NotifySink", "from_settings"]

_log = logging.getLogger(__name__)

_TIMEOUT = httpx.Timeout(5.0)


class NotifySink:
    """Every channel that the settings name."""

    def __init__(self, store: NotifyStoreSettings) -> None:
        self._store = store
        self._channels: list[Channel] = []

    @property
    def name(self) -> str:
        """Short name for logs, metrics and dead letters."""
        return SINK.name

    @property
    def topics(self) -> frozenset[TopicKind]:
        """The alerts."""
        return SINK.topics

    def open(self) -> None:
        """Make a client for each channel; what they were told before is kept. Raises PermanentError."""
        if self._channels:
            return
        store, name = self._store, self._store.pipeline
        key = _secret(store.pagerduty_key)
        page = partial(messages.pagerduty, pipeline=name, key=key)
        found = (
            self._channel("pagerduty", store.pagerduty, page, needs=key, grouped=False),
            self._channel("slack", store.slack, partial(messages.slack, pipeline=name), url=_secret(store.slack_url)),
            self._channel(
                "alertmanager",
                store.alertmanager,
                partial(messages.alertmanager, pipeline=name),
                token=_secret(store.alertmanager_token),
            ),
            self._channel(
                "webhook",
                store.webhook,
                partial(messages.webhook, pipeline=name),
                token=_secret(store.webhook_token),
            ),
        )
        self._channels = [channel for channel in found if channel is not None]
        if not self._channels:
            _log.warning("no channel is named: nobody is told of anything")

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Tell every channel, the others also when one fails. Raises Backpressure, RowsRejected."""
        alerts = [delivery.record for delivery in deliveries if isinstance(delivery.record, Alert)]
        failed: list[Backpressure | RowsRejected] = []
        for channel in self._channels:
            try:
                channel.tell(alerts)
            except (Backpressure, RowsRejected) as error:
                failed.append(error)
        if failed:
            raise next((error for error in failed if isinstance(error, Backpressure)), failed[0])

    def close(self) -> None:
        """Let go of the connections."""
        for channel in self._channels:
            channel.client.close()
        self._channels = []

    def _channel(
        self,
        name: str,
        route: ChannelSettings | None,
        requests: Callable[[Sequence[messages.News]], list[messages.Request]],
        *,
        needs: str = "nothing",
        url: str = "",
        token: str = "",
        grouped: bool = True,
    ) -> Channel | None:
        if route is None:
            return None
        address = url or route.url or ""
        if not needs or not address:
            raise PermanentError(
                f"spec.sinks.notify.{name}Secret: there are no credentials; name the Secret that has them"
            )
        headers: dict[str, Any] = {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.Client(headers=headers, timeout=_TIMEOUT)
        store = self._store
        limits = (store.per_minute, store.max_age_ms / 1e3, store.give_up_after_ms / 1e3)
        return Channel(name, address.rstrip("/"), route, client, requests, *limits, grouped)


def _secret(value: SecretStr | None) -> str:
    return "" if value is None else value.get_secret_value().strip()


def from_settings(settings: NotifySinkSettings) -> NotifySink:
    """The sink of a process."""
    return NotifySink(settings.store)
