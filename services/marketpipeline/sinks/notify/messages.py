"""What each service is sent, in its documented form: pure functions from what is to be told to HTTP requests.

Slack: incoming webhooks (`text` for notifications, `blocks` of at most 50, texts of at most 3,000 characters).
PagerDuty: Events API v2, `POST /v2/enqueue`; an alert's id is its `dedup_key` (at most 255 characters), so that a
repetition is no second incident, and `resolve` names the incident alone.
Alertmanager: API v2, `POST /api/v2/alerts`; labels are an alert's identity: an escalation ends one and begins another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import sha256
from types import MappingProxyType
from typing import Any, get_args

from marketpipeline.alert_kinds import Severity, alert_kinds
from marketpipeline.records import Alert
from marketpipeline.store.rows import iso, json_of

__all__ = ["News", "Request", "Told", "alertmanager", "pagerduty", "slack", "webhook"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = 40
"""Alerts that one message of Slack shows."""
_FIRES_FOR = timedelta(days=1)
"""Alertmanager takes an alert as ended that nobody repeats for five minutes, unless it says itself when it will end."""
_PAGED_AS = MappingProxyType({"MEDIUM": "warning", "HIGH": "critical"})


class Told(Enum):
    """What a channel is told of an alert."""

    OPENED = "opened"
    ESCALATED = "escalated"
    CLOSED = "closed"
    HAPPENED = "happened"
    """Opened and closed at once, or closed before anybody was told of it."""


@dataclass(frozen=True, slots=True)
class News:
    """An alert and what is new of it."""

    alert: Alert
    told: Told


@dataclass(frozen=True, slots=True)
class Request:
    """A POST of JSON to a path below a channel's address."""

    body: Any
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def title(alert: Alert) -> str:
    """The alert in a line: `HIGH Whale trade binance:BTCUSDT buy`."""
    kind = alert_kinds().get(alert.rule)
    return f"{alert.severity} {kind.title if kind else alert.rule} {alert.symbol} {alert.side}"


def _measured(alert: Alert) -> str:
    return f"value {alert.value:g}, furthest {alert.extreme:g}, threshold {alert.threshold:g}"


def slack(news: Sequence[News], pipeline: str) -> list[Request]:
    """One message for all of them."""
    lines = [_slack_line(one) for one in news[:_SHOWN]]
    left = len(news) - len(lines)
    context = f"pipeline {_escaped(pipeline)}" + (f", and {left} more alerts" if left else "")
    text = f"{news[0].told.value}: {title(news[0].alert)}" + (f" and {len(news) - 1} more" if len(news) > 1 else "")
    blocks: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": line}} for line in lines]
    blocks += [{"type": "context", "elements": [{"type": "mrkdwn", "text": context}]}]
    return [Request({"text": _escaped(text), "blocks": blocks})]


def _slack_line(news: News) -> str:
    alert, mark = news.alert, ":white_check_mark:" if news.told is Told.CLOSED else ":rotating_light:"
    when = alert.ended_at if news.told is Told.CLOSED and alert.ended_at is not None else alert.started_at
    moment = f"<!date^{when // 1_000_000}^{{date_short_pretty}} {{time_secs}}|{_time(when)}>"
    return f"{mark} *{_escaped(title(alert))}* {news.told.value} {moment}\n{_measured(alert)}"[:3_000]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pagerduty(news: Sequence[News], pipeline: str, key: str) -> list[Request]:
    """An event each; of what has only happened, a trigger and the resolution of it."""
    found = []
    for one in news:
        identity: dict[str, Any] = {"routing_key": key, "dedup_key": _dedup_key(one.alert.id)}
        if one.told is not Told.CLOSED:
            found.append(identity | {"event_action": "trigger", "payload": _incident(one.alert, pipeline)})
        if one.told in (Told.CLOSED, Told.HAPPENED):
            found.append(identity | {"event_action": "resolve"})
    return [Request(event, "/v2/enqueue") for event in found]


def _incident(alert: Alert, pipeline: str) -> dict[str, Any]:
    return {
        "summary": f"{title(alert)}: {_measured(alert)}"[:1_024],
        "source": alert.symbol,
        "severity": _PAGED_AS[alert.severity],
        "timestamp": _time(alert.started_at),
        "component": alert.symbol,
        "group": pipeline,
        "class": alert.rule,
        "custom_details": json_of(alert),
    }


def _dedup_key(alert_id: str) -> str:
    return alert_id if len(alert_id) <= 255 else sha256(alert_id.encode()).hexdigest()


def alertmanager(news: Sequence[News], pipeline: str) -> list[Request]:
    """All of them at once. An escalation and a closing also end what was told of the alert before it had escalated."""
    found = []
    for one in news:
        fires = one.told is not Told.CLOSED
        found.append(_labelled(one.alert, one.alert.severity, pipeline) | _end(one))
        if one.told is Told.ESCALATED or not fires:
            lower = get_args(Severity)[: get_args(Severity).index(one.alert.severity)]
            ended = {"endsAt": _time(one.alert.ended_at or one.alert.event_time)}
            found += [_labelled(one.alert, severity, pipeline) | ended for severity in lower]
    return [Request(found, "/api/v2/alerts")]


def _labelled(alert: Alert, severity: str, pipeline: str) -> dict[str, Any]:
    labels = {"alertname": alert.rule, "severity": severity, "symbol": alert.symbol, "pipeline": pipeline}
    return {
        "labels": labels | {"side": alert.side, "alert_id": alert.id},
        "annotations": {"summary": title(alert), "description": _measured(alert)},
        "startsAt": _time(alert.started_at),
    }


def _end(news: News) -> dict[str, str]:
    """When it ends, or ended. Of what has only happened it is not said: Alertmanager then takes five minutes."""
    if news.told is Told.HAPPENED:
        return {}
    if news.told is Told.CLOSED:
        return {"endsAt": _time(news.alert.ended_at or news.alert.event_time)}
    return {"endsAt": iso(datetime.now(UTC) + _FIRES_FOR)}


def webhook(news: Sequence[News], pipeline: str) -> list[Request]:
    """All of them at once, each the record with what is new of it; the key tells a repetition of the request."""
    alerts = [json_of(one.alert) | {"told": one.told.value} for one in news]
    names = "\n".join(f"{one.alert.id} {one.told.value}" for one in news)
    headers = {"Idempotency-Key": sha256(names.encode()).hexdigest()}
    return [Request({"version": 1, "pipeline": pipeline, "alerts": alerts}, headers=headers)]


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _time(microseconds: int) -> str:
    return iso(_moment(microseconds))
