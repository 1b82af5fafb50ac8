"""Alerts to each service, in its documented form: once, its closing, routed, limited; and a channel that fails."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.errors import PermanentError
from marketpipeline.records import Alert
from marketpipeline.sink_kinds.notify import ChannelSettings, NotifyStoreSettings
from marketpipeline.sinks.base import Backpressure, RowsRejected
from marketpipeline.sinks.notify import NotifySink
from pydantic import SecretStr

from tests.conftest import free_port, wait_for
from tests.services.sinks.running import RunningSink
from tests.services.sinks.samples import BTC, ETH, alert, deliver
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.prometheus import alertmanager
from tests.support.receiver import KEY, Receiver, receiver
from tests.support.tied import tied

SLACK, PAGERDUTY, WEBHOOK = "/services/T/B/X", "/v2/enqueue", "/hook"


@pytest.fixture
def served() -> Iterator[tuple[Receiver, str]]:
    with receiver() as found:
        yield found


def settings(url: str, **changes: Any) -> NotifyStoreSettings:
    """Every channel of the receiver that `changes` do not take away."""
    channels: dict[str, Any] = {
        "slack": ChannelSettings(),
        "slack_url": SecretStr(url + SLACK),
        "pagerduty": ChannelSettings(url=url),
        "pagerduty_key": SecretStr(KEY),
        "webhook": ChannelSettings(url=url + WEBHOOK),
        "webhook_token": SecretStr("a-token"),
    }
    return NotifyStoreSettings(pipeline="crypto", **(channels | changes))


def opened(url: str, **changes: Any) -> NotifySink:
    sink = NotifySink(settings(url, **changes))
    sink.open()
    return sink


ONLY_SLACK: dict[str, Any] = {"pagerduty": None, "webhook": None}


def fresh(number: int = 0, **changes: Any) -> Alert:
    return alert(number, process_time=time.time_ns() // 1_000, **changes)


def told(found: Receiver) -> list[tuple[str, str]]:
    """Identity and news, as the webhook was told them."""
    return [(one["id"], one["told"]) for body in found[WEBHOOK] for one in body["alerts"]]


def test_an_alert_and_its_closing_are_a_message_each(served: tuple[Receiver, str]) -> None:
    found, url = served
    sink = opened(url)
    first = fresh()
    sink.write(deliver(first))
    sink.write(deliver(first, fresh(extreme=0.6), fresh(extreme=0.65)))
    closed = fresh(status="closed", ended_at=first.started_at + 5_000_000)
    sink.write(deliver(closed))
    sink.write(deliver(first, closed))
    assert told(found) == [(first.id, "opened"), (first.id, "closed")]
    assert [event["event_action"] for event in found[PAGERDUTY]] == ["trigger", "resolve"]
    assert {event["dedup_key"] for event in found[PAGERDUTY]} == {first.id}
    payload = found[PAGERDUTY][0]["payload"]
    assert (payload["severity"], payload["source"], payload["class"]) == ("warning", BTC, "extreme_imbalance")
    texts = [message["blocks"][0]["text"]["text"] for message in found[SLACK]]
    assert ["opened" in texts[0], "closed" in texts[1]] == [True, True]
    assert found.refused == []
    assert any(headers.get("Authorization") == "Bearer a-token" for headers in found.headers)
    sink.close()


def test_an_escalation_is_told_and_what_only_happened_is_one_message(served: tuple[Receiver, str]) -> None:
    found, url = served
    sink = opened(url)
    whale = fresh(1, rule="whale_trade", id="whale_trade:1", trade_id=7)
    closed = fresh(1, rule="whale_trade", id="whale_trade:1", trade_id=7, status="closed", ended_at=whale.started_at)
    sink.write(deliver(fresh(), whale))
    sink.write(deliver(fresh(status="escalated", severity="HIGH"), closed))
    assert told(found) == [(fresh().id, "opened"), (whale.id, "happened"), (fresh().id, "escalated")]
    actions = [(event["dedup_key"], event["event_action"]) for event in found[PAGERDUTY]]
    assert actions == [
        (fresh().id, "trigger"), (whale.id, "trigger"), (whale.id, "resolve"), (fresh().id, "trigger"),
    ]  # fmt: skip
    assert found[PAGERDUTY][-1]["payload"]["severity"] == "critical"


def test_routes_by_severity_rule_and_symbol(served: tuple[Receiver, str]) -> None:
    found, url = served
    sink = opened(
        url,
        slack=ChannelSettings(severities=["HIGH"]),
        pagerduty=ChannelSettings(url=url, rules=["whale_trade"], symbols=[ETH]),
    )
    wanted = fresh(3, symbol=ETH, rule="whale_trade", id="w")
    sink.write(deliver(fresh(1), fresh(2, severity="HIGH"), wanted, fresh(4, rule="whale_trade", id="x")))
    assert len(told(found)) == 4
    assert [message["text"].split(" ")[1] for message in found[SLACK]] == ["HIGH"]
    assert {event["dedup_key"] for event in found[PAGERDUTY]} == {"w"}
    sink.write(deliver(fresh(1, status="escalated", severity="HIGH")))
    assert len(found[SLACK]) == 2, "it has become one that the channel asks for"


def test_many_alerts_are_one_message_and_none_is_forgotten(served: tuple[Receiver, str]) -> None:
    found, url = served
    sink = opened(url, **ONLY_SLACK)
    sink.write(deliver(*(fresh(number) for number in range(100))))
    (message,) = found[SLACK]
    assert message["text"].endswith("and 99 more")
    assert "and 60 more alerts" in message["blocks"][-1]["elements"][0]["text"]


def test_text_of_an_alert_is_no_markup(served: tuple[Receiver, str]) -> None:
    found, url = served
    opened(url, **ONLY_SLACK).write(deliver(fresh(symbol="okx:<!channel>&")))
    assert "&lt;!channel&gt;&amp;" in found[SLACK][0]["blocks"][0]["text"]["text"]
    assert "<!channel>" not in json.dumps(found[SLACK])


def test_nobody_is_told_of_what_is_old(served: tuple[Receiver, str], caplog: pytest.LogCaptureFixture) -> None:
    """Nor of what a clock that jumped makes old; that this is so is said, once a minute."""
    found, url = served
    opened(url).write(deliver(alert(), alert(2), fresh(1)))
    assert [identity for identity, _ in told(found)] == [fresh(1).id]
    said = [record for record in caplog.records if "see this machine's clock" in record.getMessage()]
    assert len(said) == len({record.channel for record in said}) > 0  # type: ignore[attr-defined]


def test_messages_have_a_limit_and_what_is_more_waits(served: tuple[Receiver, str]) -> None:
    found, url = served
    sink = opened(url, slack=None, webhook=None, per_minute=60)
    batch = deliver(*(fresh(number) for number in range(65)))
    with pytest.raises(Backpressure, match="60 messages a minute") as caught:
        sink.write(batch)
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 1
    assert len(found[PAGERDUTY]) >= 60, "the whole minute's share at once"

    def goes_on() -> bool:
        try:
            sink.write(batch)
        except Backpressure:
            return False
        return True

    wait_for(goes_on, "the rest is told")
    assert len({event["dedup_key"] for event in found[PAGERDUTY]}) == len(found[PAGERDUTY]) == 65


def test_a_channel_that_fails_is_tried_again_and_the_others_are_told_once(served: tuple[Receiver, str]) -> None:
    found, url = served
    sink = opened(url, slack_url=SecretStr(f"http://127.0.0.1:{free_port()}/x"))
    with pytest.raises(Backpressure, match="slack is away"):
        sink.write(deliver(fresh()))
    with pytest.raises(Backpressure):
        sink.write(deliver(fresh()))
    assert (len(found[WEBHOOK]), len(found[PAGERDUTY])) == (1, 1)


def test_when_to_try_again_is_what_the_service_says(served: tuple[Receiver, str]) -> None:
    found, url = served
    found.answers = [(429, {"Retry-After": "3"}), (503, {})]
    sink = opened(url, **ONLY_SLACK)
    with pytest.raises(Backpressure, match="429") as caught:
        sink.write(deliver(fresh()))
    assert caught.value.retry_after == 3
    with pytest.raises(Backpressure, match="503"):
        sink.write(deliver(fresh()))
    sink.write(deliver(fresh()))
    assert len(found[SLACK]) == 1


def test_after_its_time_a_failing_channel_holds_up_nobody(served: tuple[Receiver, str]) -> None:
    found, url = served
    found.answers = [(500, {})] * 2
    sink = opened(url, **ONLY_SLACK, give_up_after_ms=1)
    with pytest.raises(Backpressure):
        sink.write(deliver(fresh()))
    time.sleep(0.002)
    with pytest.raises(RowsRejected, match="slack answers 500"):
        sink.write(deliver(fresh()))
    sink.write(deliver(fresh(1)))
    assert len(found[SLACK]) == 1, "it is asked again with the next"


def test_what_a_service_refuses_is_a_dead_letter_and_told_nobody_twice(
    served: tuple[Receiver, str], broker: RunningBroker
) -> None:
    """404 no_service: the webhook of Slack was removed. The others go on."""
    found, url = served
    topics = Topics(broker)
    sink = NotifySink(settings(url, slack_url=SecretStr(url + "/gone")))
    found.answers = []
    original = found.answer
    found.answer = lambda path, *rest: (404, "no_service", {}) if path == "/gone" else original(path, *rest)  # type: ignore[method-assign]
    with RunningSink(sink, topics, flush_interval_ms=200) as running:
        topics.put(*(fresh(number) for number in range(5)))
        running.drained()
        assert running.metrics.dead_letters == 5
    assert sorted(told(found)) == sorted((fresh(number).id, "opened") for number in range(5))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"slack_url": None}, "spec.sinks.notify.slackSecret: there are no credentials"),
        ({"pagerduty_key": None}, "spec.sinks.notify.pagerdutySecret: there are no credentials"),
    ],
)
def test_absent_credentials_are_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        opened("http://127.0.0.1:1", **changes)


@pytest.fixture
def pager(tmp_path: Path) -> Iterator[str]:
    """A real Alertmanager."""
    port = free_port()
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    options = (f"--config.file={tmp_path}/alertmanager.yml", f"--storage.path={tmp_path}", "--cluster.listen-address=")
    with (tmp_path / "log").open("ab") as log:
        command = alertmanager(*options, f"--web.listen-address=127.0.0.1:{port}")
        process = subprocess.Popen(tied(command), stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


def active(url: str) -> list[tuple[str, str]] | None:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/alerts?active=true", timeout=2) as answer:
            found = json.load(answer)
    except OSError:
        return None
    return sorted((one["labels"]["alert_id"], one["labels"]["severity"]) for one in found)


def test_a_real_alertmanager_fires_and_resolves(pager: str) -> None:
    wait_for(lambda: active(pager) is not None, "Alertmanager serves", seconds=30)
    sink = NotifySink(NotifyStoreSettings(pipeline="crypto", alertmanager=ChannelSettings(url=pager)))
    sink.open()
    now = time.time_ns() // 1_000
    first, second = fresh(0, started_at=now), fresh(1, started_at=now, severity="HIGH")
    sink.write(deliver(first, second))
    assert active(pager) == sorted([(first.id, "MEDIUM"), (second.id, "HIGH")])
    sink.write(deliver(fresh(0, started_at=now, status="escalated", severity="HIGH", event_time=now)))
    wait_for(lambda: active(pager) == sorted([(first.id, "HIGH"), (second.id, "HIGH")]), "it has escalated")
    ended = {"started_at": now, "status": "closed", "severity": "HIGH", "ended_at": now + 1}
    sink.write(deliver(fresh(0, **ended), fresh(1, **ended)))
    wait_for(lambda: active(pager) == [], "both are resolved")
