"""Alerts to people: Slack, PagerDuty, Alertmanager, or any program that takes a webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from marketpipeline.alert_kinds import Severity, alert_kinds
from marketpipeline.schema import Duration, Milliseconds, SecretKey, SettingsModel, SpecModel, Url, milliseconds
from marketpipeline.sink_kinds.kind import SinkKind, SinkSettings, SinkSpec, StoreSettings
from marketpipeline.topics import TopicKind

if TYPE_CHECKING:
    from marketpipeline.spec import MarketPipeline

__all__ = [
    "SINK",
    "ChannelSettings",
    "NotifySinkSettings",
    "NotifySinkSpec",
    "NotifyStoreSettings",
    "Route",
    "ServiceRoute",
]

_URL = Url("http", "https")


def _known_rule(name: str) -> str:
    if name not in alert_kinds():
        raise ValueError(f"is not an alert; there are: {', '.join(alert_kinds())}")
    return name


Rule = Annotated[str, StringConstraints(max_length=100), AfterValidator(_known_rule)]
RoutedSymbol = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]+:.+$", max_length=100)]


class Route(SpecModel):
    """Which alerts a channel is told of: those that are in every list that is not empty."""

    severities: Annotated[list[Severity], Field(max_length=10)] = Field(
        default_factory=list, description="Severities; all when empty."
    )
    rules: Annotated[list[Rule], Field(max_length=100)] = Field(
        default_factory=list, description="Names of alerts, as in the records: whale_trade; all when empty."
    )
    symbols: Annotated[list[RoutedSymbol], Field(max_length=1_000)] = Field(
        default_factory=list, description="Symbols as exchange:SYMBOL; all when empty."
    )


class ServiceRoute(Route):
    """The same for a service at an address."""

    url: Annotated[str, StringConstraints(max_length=2048), _URL] = Field(
        description="Address, without credentials.", examples=["http://alertmanager:9093"]
    )


class NotifySinkSpec(SinkSpec):
    """Alerts as messages: one when an alert opens, or escalates, and one when it closes."""

    slack: Route | None = Field(default=None, description="Messages in the channel of an incoming webhook of Slack.")
    slack_secret: SecretKey | None = Field(default=None, description="Where the URL of that webhook is, a secret.")
    pagerduty: Route | None = Field(
        default=None, description="Incidents of PagerDuty, by its Events API v2, resolved when the alert closes."
    )
    pagerduty_secret: SecretKey | None = Field(default=None, description="Where the integration's routing key is.")
    alertmanager: ServiceRoute | None = Field(default=None, description="Alerts of Prometheus' Alertmanager.")
    alertmanager_secret: SecretKey | None = Field(default=None, description="Where a bearer token for it is.")
    webhook: ServiceRoute | None = Field(default=None, description="The records themselves, as JSON by POST.")
    webhook_secret: SecretKey | None = Field(default=None, description="Where a bearer token for it is.")
    per_minute: Annotated[int, Field(ge=1, le=600)] = Field(
        default=60, description="Messages a minute to each channel; what is more waits, and goes as one message."
    )
    max_age: Duration = Field(
        default="15m", description="Age of an alert beyond which nobody is told of it any more, as after an outage."
    )
    give_up_after: Duration = Field(
        default="30s",
        description="How long a channel that fails may hold up the others; then its alerts go to the dead letters "
        "until it answers.",
    )
    batch_rows: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=200, description="Alerts after which they are sent."
    )
    flush_interval: Duration = Field(default="1s", description="How long alerts are gathered for one message.")

    @model_validator(mode="after")
    def _named_secrets(self) -> Self:
        for channel, secret in (("slack", self.slack_secret), ("pagerduty", self.pagerduty_secret)):
            if getattr(self, channel) is not None and secret is None:
                raise ValueError(f"{channel} needs {channel}Secret, which names the Secret with its credentials")
        return self


class ChannelSettings(SettingsModel):
    """Which alerts a channel is told of, and where it is."""

    url: str | None = Field(default=None, description="Address; of Slack it is the secret.")
    severities: list[Severity] = Field(default_factory=list, description="Severities; all when empty.")
    rules: list[str] = Field(default_factory=list, description="Names of alerts; all when empty.")
    symbols: list[str] = Field(default_factory=list, description="Symbols; all when empty.")


class NotifyStoreSettings(StoreSettings):
    """The channels and their credentials."""

    pipeline: str = Field(description="Name of the pipeline, for the messages.")
    slack: ChannelSettings | None = Field(default=None, description="Slack.")
    slack_url: SecretStr | None = Field(default=None, description="URL of its incoming webhook.")
    pagerduty: ChannelSettings | None = Field(default=None, description="PagerDuty.")
    pagerduty_key: SecretStr | None = Field(default=None, description="Routing key of its integration.")
    alertmanager: ChannelSettings | None = Field(default=None, description="Alertmanager.")
    alertmanager_token: SecretStr | None = Field(default=None, description="Its bearer token.")
    webhook: ChannelSettings | None = Field(default=None, description="Any program.")
    webhook_token: SecretStr | None = Field(default=None, description="Its bearer token.")
    per_minute: Annotated[int, Field(ge=1)] = Field(default=60, description="Messages a minute to each channel.")
    max_age_ms: Milliseconds = Field(default=900_000, description="Age beyond which nobody is told of an alert.")
    give_up_after_ms: Milliseconds = Field(default=30_000, description="How long a channel may hold up the others.")


class NotifySinkSettings(SinkSettings):
    """The notifications."""

    store: NotifyStoreSettings


_PAGERDUTY = "https://events.pagerduty.com"


def _store(pipeline: MarketPipeline, sink: NotifySinkSpec) -> NotifyStoreSettings:
    def channel(route: Route | None, url: str | None = None) -> ChannelSettings | None:
        return None if route is None else ChannelSettings(**({"url": url} | route.model_dump()))

    return NotifyStoreSettings(
        pipeline=pipeline.name,
        slack=channel(sink.slack),
        pagerduty=channel(sink.pagerduty, _PAGERDUTY),
        alertmanager=channel(sink.alertmanager),
        webhook=channel(sink.webhook),
        per_minute=sink.per_minute,
        max_age_ms=milliseconds(sink.max_age),
        give_up_after_ms=milliseconds(sink.give_up_after),
    )


SINK = SinkKind(
    name="notify",
    title="Notifications: Slack, PagerDuty, Alertmanager, webhooks",
    spec=NotifySinkSpec,
    settings=NotifySinkSettings,
    store=_store,
    topics=frozenset({TopicKind.ALERTS}),
    sink="marketpipeline.sinks.notify:from_settings",
    summary="Tell people of alerts.",
    extra="notify",
    secrets={
        "slack_url": "slack_secret",
        "pagerduty_key": "pagerduty_secret",
        "alertmanager_token": "alertmanager_secret",
        "webhook_token": "webhook_secret",
    },
    opt_in=True,
)
