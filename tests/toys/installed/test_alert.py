"""The toy alert, in everything that has to know of an alert."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from marketpipeline.alert_kinds import threshold_defaults, watched_alerts
from marketpipeline.api.app import create_app
from marketpipeline.cli import cli
from marketpipeline.errors import InvalidSpec
from marketpipeline.local.view.format import describe_alert
from marketpipeline.plan import plan, plan_as_text
from marketpipeline.records import SymbolThresholds, Trade
from marketpipeline.settings import ApiSettings, JobSettings, KafkaSettings
from marketpipeline.spec import MarketPipeline, load_object
from marketpipeline.topic_admin import ensure_topics, publish_thresholds
from marketpipeline.topics import TopicKind
from marketpipeline_operator.crd import custom_resource_definition
from toys.block_trade import ALERT

from tests.conftest import FLINK_PYTHON, JARS, PROJECT, require
from tests.flink_jobs.examples import plain_settings
from tests.flink_jobs.running import RunningJob
from tests.services.sinks.samples import alert
from tests.support.broker import RunningBroker

OURS = {"block_trade_large": 3.0, "block_trade_huge": 7.0}


def pipeline(limits: dict[str, Any] | None = None, **spec: Any) -> MarketPipeline:
    wanted = {"large": 3, "huge": 7} if limits is None else limits
    body = {"symbols": ["binance:BTCUSDT"], "thresholds": {"blockTrade": wanted}} | spec
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "crypto"}}
    return load_object(head | {"spec": body})


def test_the_spec_has_its_thresholds_within_their_bounds() -> None:
    assert pipeline({}).spec.thresholds.by_name() == threshold_defaults()
    assert pipeline().spec.thresholds.by_name().items() >= OURS.items()
    for limits, says in (
        ({"large": 0}, "spec.thresholds.blockTrade.large: 0: must be greater than 0"),
        ({"large": 9, "huge": 7}, "thresholds.blockTrade.large (9.0) must be at most thresholds.blockTrade.huge (7.0)"),
        ({"hug": 7}, "did you mean 'huge'? known here: huge, large"),
    ):
        with pytest.raises(InvalidSpec) as caught:
            pipeline(limits)
        assert says in str(caught.value)


def test_the_crd_has_them_too() -> None:
    (version,) = custom_resource_definition()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    found = spec["thresholds"]["properties"]["blockTrade"]
    assert found["properties"]["huge"] == {
        "description": "Quantity above which its severity is HIGH; at least `large`. Default: 500.",
        "type": "number",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 1_000_000,
        "default": 500,
    }
    (rule,) = found["x-kubernetes-validations"]
    assert rule["rule"] == "self.large <= self.huge"
    assert spec["thresholds"]["default"]["blockTrade"] == {"large": 50, "huge": 500}


def test_plan_settings_and_records_have_them() -> None:
    found = plan(pipeline())
    assert found.stream_job is not None
    assert JobSettings(**found.stream_job.settings).thresholds.items() >= OURS.items()
    (record,) = found.thresholds
    assert record.values.items() >= OURS.items()
    header, row = plan_as_text(found).splitlines()[-2:]
    assert header[header.index(ALERT.title) :].startswith("block trade ")
    assert row[header.index(ALERT.title) :].startswith("3/7 ")


def test_a_change_of_one_is_published(broker: RunningBroker) -> None:
    settings = KafkaSettings(bootstrap_servers=broker.address)
    prefix = {"broker": {"topicPrefix": broker.prefix()}}
    first, second = plan(pipeline(**prefix)), plan(pipeline({"large": 4, "huge": 7}, **prefix))
    topic = first.topic(TopicKind.THRESHOLDS)
    assert topic is not None
    ensure_topics(settings, [topic])
    assert publish_thresholds(settings, topic, first.thresholds) == 1
    assert publish_thresholds(settings, topic, first.thresholds) == 0
    assert publish_thresholds(settings, topic, second.thresholds) == 1


def test_filters_of_the_api_and_of_the_command_line() -> None:
    document = create_app(ApiSettings(pipeline="x", symbols=["a:B"], windows=["1m"])).openapi()
    parameters = document["paths"]["/api/v1/analytics/alerts"]["get"]["parameters"]
    (rule,) = [parameter for parameter in parameters if parameter["name"] == "rule"]
    assert "block_trade" in json.dumps(rule)
    assert "block_trade" in CliRunner().invoke(cli, ["query", "alerts", "--help"]).output


def test_its_words() -> None:
    record = alert(0, rule="block_trade", side="sell", severity="HIGH", value=12_345.0)
    assert describe_alert(record) == "HIGH block trade binance:BTCUSDT: sell of 12.3k"


@pytest.fixture
def job(broker: RunningBroker, tmp_path: Path) -> Iterator[RunningJob]:
    require(shutil.which("java"), "no Java to run Flink")
    require((JARS / "flink").is_dir(), "no connector jars in .cache/jars/flink: run `make setup`")
    limits = plain_settings()["thresholds"] | OURS
    found = RunningJob(
        broker.address, broker.prefix(), tmp_path, python=FLINK_PYTHON, feeds=["trades"], thresholds=limits
    )
    try:
        found.start()
        yield found
    finally:
        found.kill()


def test_the_sql_is_found_and_fires_by_the_thresholds_in_force(job: RunningJob) -> None:
    def trade(number: int, quantity: float) -> Trade:
        time = 1_723_161_240_000_000 + number
        return Trade(
            symbol="a:B", event_time=time, trade_time=time, receive_time=time, trade_id=number, price=1.0,
            quantity=quantity, taker_side="buy",
        )  # fmt: skip

    def raised(number: int) -> list[tuple[int | None, str, str, float]]:
        rows = job.wait_rows(
            TopicKind.ALERTS, lambda rows: [row for row in rows if row.trade_id == number], f"alert of trade {number}"
        )
        return [(row.trade_id, row.status, row.severity, row.threshold) for row in rows if row.rule == "block_trade"]

    job.send(TopicKind.TRADES, [trade(1, 2.0), trade(2, 4.0), trade(3, 8.0)])
    first = [(number, status, severity, limit) for number, severity, limit in ((2, "MEDIUM", 3.0), (3, "HIGH", 7.0))
             for status in ("open", "closed")]  # fmt: skip
    raised(3)
    assert raised(3) == first
    job.send(
        TopicKind.THRESHOLDS,
        [SymbolThresholds(symbol="a:B", effective_from=0, values=OURS | {"block_trade_large": 5.0})],
    )
    job.caught_up(TopicKind.THRESHOLDS)
    job.send(TopicKind.TRADES, [trade(4, 4.0), trade(5, 6.0)])
    assert raised(5) == [*first, (5, "open", "MEDIUM", 5.0), (5, "closed", "MEDIUM", 5.0)]


def test_without_it_the_job_says_so(tmp_path: Path) -> None:
    """A job whose environment lacks the plugin does not leave an alert out without a word."""
    limits = plain_settings()["thresholds"] | OURS
    (tmp_path / "job.json").write_text(json.dumps(plain_settings(thresholds=limits)))
    command = [str(FLINK_PYTHON), "-m", "marketpipeline_job", "--print-sql", "--config", str(tmp_path / "job.json")]
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=without, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "absent or unknown: block_trade_huge, block_trade_large" in done.stderr
    assert {"block_trade", "extreme_imbalance", "whale_trade"} <= set(watched_alerts())
