"""One channel: which alerts it is told of, what it was told already, and how much it may be told."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import get_args

import httpx

from marketpipeline.alert_kinds import Severity, alert_kinds
from marketpipeline.records import Alert
from marketpipeline.sink_kinds.notify import ChannelSettings
from marketpipeline.sinks.base import Backpressure, RowsRejected
from marketpipeline.sinks.notify.messages import News, Request, Told

__all__ = ["Channel"]

_log = logging.getLogger(__name__)

_REMEMBERED = 10_000
_QUIET_SECONDS = 60.0
"""After a word about an alert that is too old, of which an outage leaves many."""
_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_SEVERITIES = get_args(Severity)


@dataclass(slots=True)
class Channel:
    """`requests` makes what is sent of the news: of all of a batch, or, where they are not `grouped`, of each alone.

    `tell` says nothing twice, whatever is repeated to it.

    A channel that fails is tried again for `give_up_after` seconds, which holds up the others; after that what cannot
    be told is refused at once, until it answers again.
    """

    name: str
    url: str
    route: ChannelSettings
    client: httpx.Client
    requests: Callable[[Sequence[News]], list[Request]]
    per_minute: int
    max_age: float
    give_up_after: float
    grouped: bool = True
    _told: OrderedDict[str, tuple[str, bool]] = field(default_factory=OrderedDict)
    _tokens: float = -1.0
    _filled: float = 0.0
    _failing_since: float | None = None
    _quiet_until: float = 0.0

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Send what is new to it. Raises Backpressure, RowsRejected."""
        news = list(self._news(alerts))
        for group in [news] * bool(news) if self.grouped else [[one] for one in news]:
            for request in self.requests(group):
                self._take_token()
                self._send(request)
            self._failing_since = None
            for one in group:
                self._remember(one)

    def _news(self, alerts: Sequence[Alert]) -> Iterator[News]:
        """Of each alert at most one thing, the last of the batch."""
        last = {alert.id: alert for alert in alerts}
        for alert in last.values():
            told = self._what(alert)
            if told is not None:
                yield News(alert, told)

    def _what(self, alert: Alert) -> Told | None:
        known = self._told.get(alert.id)
        if known is None:
            if not self._wants(alert):
                return None
            return Told.HAPPENED if alert.status == "closed" or _is_momentary(alert) else Told.OPENED
        severity, closed = known
        if closed:
            return None
        if alert.status == "closed":
            return Told.CLOSED
        escalated = _SEVERITIES.index(alert.severity) > _SEVERITIES.index(severity)
        return Told.ESCALATED if escalated else None

    def _wants(self, alert: Alert) -> bool:
        asked = (
            (alert.severity, self.route.severities),
            (alert.rule, self.route.rules),
            (alert.symbol, self.route.symbols),
        )
        if not all(not wanted or value in wanted for value, wanted in asked):
            return False
        age = time.time() - alert.process_time / 1e6
        if age > self.max_age and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _QUIET_SECONDS
            said = {"channel": self.name, "alert": alert.id, "age_s": round(age), "max_age_s": round(self.max_age)}
            _log.warning("nobody is told of an alert this old; if it is not, see this machine's clock", extra=said)
        return age <= self.max_age

    def _remember(self, news: News) -> None:
        closed = news.told in (Told.CLOSED, Told.HAPPENED)
        self._told[news.alert.id] = (news.alert.severity, closed)
        self._told.move_to_end(news.alert.id)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def _take_token(self) -> None:
        """One message's share of the minute. Raises Backpressure until there is one."""
        now = time.monotonic()
        rate = self.per_minute / 60
        self._tokens = self.per_minute if self._tokens < 0 else self._tokens + (now - self._filled) * rate
        self._tokens, self._filled = min(self._tokens, float(self.per_minute)), now
        if self._tokens < 1:
            raise Backpressure(f"{self.name}: {self.per_minute} messages a minute are sent", (1 - self._tokens) / rate)
        self._tokens -= 1

    def _send(self, request: Request) -> None:
        try:
            answer = self.client.post(self.url + request.path, json=request.body, headers=request.headers)
        except httpx.HTTPError as error:
            raise self._failed(f"{self.name} is away: {type(error).__name__}: {error}", None) from error
        if answer.is_success:
            return
        said = f"{self.name} answers {answer.status_code}: {' '.join(answer.text.split())[:300]}"
        if answer.is_server_error or answer.status_code in _AGAIN:
            raise self._failed(said, answer.headers.get("Retry-After"))
        raise RowsRejected(said)

    def _failed(self, said: str, retry_after: str | None) -> Backpressure | RowsRejected:
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= self.give_up_after:
            return RowsRejected(f"gave up after {self.give_up_after:g} s: {said}")
        wait = float(retry_after) if retry_after and retry_after.isdigit() else None
        return Backpressure(said, wait if wait is None else min(wait, self.give_up_after))


def _is_momentary(alert: Alert) -> bool:
    kind = alert_kinds().get(alert.rule)
    return kind is not None and kind.momentary
