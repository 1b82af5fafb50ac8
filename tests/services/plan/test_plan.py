"""The plan of each sample manifest is what was reviewed, printed as it was reviewed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from marketpipeline.alert_kinds import threshold_defaults
from marketpipeline.plan import Plan, ScheduledJob, Workload, plan, plan_as_json, plan_as_text, programs
from marketpipeline.records import SymbolThresholds
from marketpipeline.settings import JobSettings
from marketpipeline.spec import MarketPipeline, load_file, load_text
from marketpipeline.topics import TopicKind

from tests.conftest import PROJECT
from tests.support.golden import check_golden

GOLDEN = Path(__file__).parent / "golden"
MANIFESTS = sorted((PROJECT / "manifests").glob("*.yaml"))


def planned(spec: str = "") -> Plan:
    return plan(pipeline(spec))


def pipeline(spec: str = "") -> MarketPipeline:
    head = "apiVersion: marketpipeline.dev/v1alpha1\nkind: MarketPipeline\nmetadata: {name: crypto}\n"
    return load_text(f"{head}spec:\n  symbols: [binance:BTCUSDT, binance:ETHUSDT]\n{spec}")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", ["json", "txt"])
def test_golden(manifest: Path, form: str) -> None:
    found = plan(load_file(manifest))
    text = (json.dumps(plan_as_json(found), indent=2) if form == "json" else plan_as_text(found)) + "\n"
    check_golden(GOLDEN / f"{manifest.stem}.{form}", text)


def test_the_environment_of_who_plans_is_not_in_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_as_json(planned())
    for name in ("TELEMETRY__LOG_LEVEL=DEBUG", "HTTP__PORT=1", "KAFKA__PASSWORD=secret", "STORE__PASSWORD=secret"):
        monkeypatch.setenv(*f"MARKETPIPELINE_{name}".split("=", 1))
    assert plan_as_json(planned()) == before


def test_every_golden_has_its_manifest() -> None:
    assert len(MANIFESTS) >= 3
    assert {path.stem for path in GOLDEN.iterdir()} == {path.stem for path in MANIFESTS}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_each_process_accepts_the_settings_that_it_is_given(manifest: Path) -> None:
    found = plan(load_file(manifest))
    parts: list[Workload | ScheduledJob] = [*found.workloads, *found.scheduled_jobs]
    for part in parts:
        model = programs()[part.component].settings(**part.settings)
        assert model.model_dump(mode="json", exclude_none=True) == part.settings
    if found.stream_job is not None:
        JobSettings(**found.stream_job.settings)


def test_the_same_pipeline_gives_the_same_plan() -> None:
    assert planned() == planned()
    assert planned() != planned("  windows: [1m]\n")


def test_suspended_changes_nothing_else() -> None:
    suspended = planned("  suspend: true\n")
    assert suspended.suspended
    assert suspended.model_copy(update={"suspended": False}) == planned()


def test_topics_follow_the_feeds() -> None:
    kinds = {topic.kind for topic in planned("  feeds: [trades]\n").topics}
    assert TopicKind.BOOK_METRICS not in kinds
    assert TopicKind.BOOK not in kinds
    assert {TopicKind.TRADES, TopicKind.CANDLES, TopicKind.LATE, TopicKind.ALERTS, TopicKind.THRESHOLDS} <= kinds
    only_quotes = planned("  feeds: [quotes]\n")
    assert {topic.kind for topic in only_quotes.topics} == {
        TopicKind.QUOTES,
        TopicKind.EVENTS,
        TopicKind.DEAD_LETTERS,
    }
    assert only_quotes.stream_job is None


def test_retention_and_prefix_of_topics() -> None:
    found = planned(
        "  broker: {topicPrefix: desk.a, partitions: 6}\n  retention: {topics: {raw: 1d, deadLetters: 2d}}\n"
    )
    by_kind = {topic.kind: topic for topic in found.topics}
    assert by_kind[TopicKind.TRADES].name == "desk.a.trades"
    assert by_kind[TopicKind.TRADES].config["retention.ms"] == str(86_400_000)
    assert by_kind[TopicKind.CANDLES].config["retention.ms"] == str(7 * 86_400_000)
    assert by_kind[TopicKind.DEAD_LETTERS].config["retention.ms"] == str(2 * 86_400_000)
    assert by_kind[TopicKind.THRESHOLDS].config["cleanup.policy"] == "compact"
    assert (by_kind[TopicKind.TRADES].partitions, by_kind[TopicKind.THRESHOLDS].partitions) == (6, 1)


def test_forever_is_no_limit_in_any_store() -> None:
    found = planned("  retention: {topics: {raw: forever}, tables: {trades: forever, book: 36h}}\n")
    topic = found.topic(TopicKind.TRADES)
    assert topic is not None
    assert topic.config == {"cleanup.policy": "delete", "retention.ms": "-1"}
    kept = found.workload("sink-timescale").settings["store"]["retention_days"]
    assert "trades" not in kept
    assert kept["book"] == 1.5


def test_a_rule_for_each_symbol() -> None:
    found = planned("  thresholds: {imbalance: {medium: 0.4}, whaleTrade: 5}\n")
    assert found.thresholds == tuple(
        SymbolThresholds(
            symbol=symbol,
            effective_from=0,
            values=threshold_defaults() | {"imbalance_medium": 0.4, "whale_trade": 5.0},
        )
        for symbol in ("binance:BTCUSDT", "binance:ETHUSDT")
    )


def test_a_symbol_may_have_thresholds_of_its_own() -> None:
    own = "{binance:ETHUSDT: {imbalance: {high: 0.9}, whaleTrade: 20}}"
    found = planned(f"  thresholds: {{imbalance: {{medium: 0.4}}, whaleTrade: 5, overrides: {own}}}\n")
    of_all, of_one = (record.values for record in found.thresholds)
    changed = {"imbalance_high": 0.9, "whale_trade": 20.0}
    assert of_one == of_all | changed
    assert found.stream_job is not None
    assert found.stream_job.settings["thresholds"] == of_all
    assert "0.4/0.9" in plan_as_text(found)


def test_a_threshold_may_be_a_multiple_of_what_is_usual() -> None:
    own = "{binance:ETHUSDT: {whaleTrade: 7000}}"
    found = planned(f"  thresholds: {{whaleTrade: {{usual: 20}}, overrides: {own}}}\n")
    of_all, of_one = (record.values for record in found.thresholds)
    assert (of_all["whale_trade"], of_all["whale_trade_usual"]) == (100_000.0, 20.0)
    assert (of_one["whale_trade"], of_one["whale_trade_usual"]) == (7_000.0, 0.0)
    assert "x20 usual" in plan_as_text(found)
    other = planned("  thresholds: {overrides: {binance:ETHUSDT: {whaleTrade: {usual: 20}}}}\n")
    of_all, of_one = (record.values for record in other.thresholds)
    assert (of_all["whale_trade_usual"], of_one["whale_trade_usual"]) == (0.0, 20.0)


def test_patterns_are_told_with_the_thresholds() -> None:
    squeeze = "{name: squeeze, sequence: [imbalanceFlip, whaleTrade], within: 20s}"
    found = planned(f"  patterns: [{squeeze}, {{name: two, sequence: [outlier, outlier]}}]\n")
    text = "squeeze|HIGH|20000000|imbalance_flip,whale_trade;two|HIGH|30000000|outlier,outlier"
    assert {record.patterns for record in found.thresholds} == {text}
    assert found.stream_job == planned("").stream_job, "a change of patterns restarts nothing"


def test_sinks_that_are_off_are_not_planned() -> None:
    found = planned("  sinks: {timescale: {enabled: false}}\n")
    assert [workload.name for workload in found.workloads] == ["ingestion-binance", "sink-redis", "api"]
    assert set(found.workload("api").settings["stores"]) == {"redis"}
    assert [job.name for job in found.scheduled_jobs] == ["staleness"]


def test_a_sink_has_the_resources_that_it_is_given() -> None:
    found = planned("  sinks: {redis: {resources: {cpu: 2, memory: 1Gi}}}\n")
    assert (found.workload("sink-redis").cpu, found.workload("sink-redis").memory) == ("2", "1Gi")
    assert (found.workload("sink-timescale").cpu, found.workload("sink-timescale").memory) == ("250m", "256Mi")


def test_no_password_is_in_a_plan_only_where_it_comes_from() -> None:
    found = planned("  sinks: {timescale: {passwordSecret: {name: db, key: pw}}}\n")
    (secret,) = found.workload("sink-timescale").secrets
    assert (secret.variable, secret.secret, secret.key) == ("MARKETPIPELINE_STORE__PASSWORD", "db", "pw")
    (secret,) = found.workload("api").secrets
    assert secret.variable == "MARKETPIPELINE_STORES__TIMESCALE__PASSWORD"


def test_the_dashboard_asks_the_api_alone() -> None:
    assert "dashboard" not in {workload.name for workload in planned("").workloads}
    found = planned(
        "  api: {auth: {secretName: keys}, tls: {secretName: tls}}\n"
        "  dashboard: {enabled: true, port: 80, apiKeySecret: {name: keys}, apiCaSecret: {name: tls}}\n"
    ).workload("dashboard")
    assert found.settings["api"] == {"url": "https://api:8000"}
    assert not found.settings.keys() & {"stores", "kafka"}
    assert (found.ports[0].number, found.replicas, found.after) == (80, 1, ("api",))
    assert [(secret.variable, secret.secret, secret.key) for secret in found.secrets] == [
        ("MARKETPIPELINE_API__KEY", "keys", "dashboard"),
        ("MARKETPIPELINE_API__CA", "tls", "ca.crt"),
    ]


def test_a_brokers_certificates_come_from_their_secrets() -> None:
    found = planned(
        "  broker:\n    username: u\n    passwordSecret: {name: user}\n    saslMechanism: SCRAM-SHA-512\n"
        "    tls: true\n    caSecret: {name: ca}\n"
        "    clientCertificateSecret: {name: user, certificate: user.crt, key: user.key}\n"
    )
    expected = [
        ("MARKETPIPELINE_KAFKA__PASSWORD", "user", "password"),
        ("MARKETPIPELINE_KAFKA__CA", "ca", "ca.crt"),
        ("MARKETPIPELINE_KAFKA__CERTIFICATE", "user", "user.crt"),
        ("MARKETPIPELINE_KAFKA__KEY", "user", "user.key"),
    ]
    assert found.stream_job is not None
    for consumer in (found.workload("ingestion-binance"), found.workload("sink-redis"), found.stream_job):
        assert [(secret.variable, secret.secret, secret.key) for secret in consumer.secrets] == expected
        assert consumer.settings["kafka"]["sasl_mechanism"] == "SCRAM-SHA-512"
    assert "sasl_mechanism" not in planned("").workload("sink-redis").settings["kafka"], "nobody is authenticated"


def test_lookups() -> None:
    found = planned()
    topic = found.topic(TopicKind.ALERTS)
    assert topic is not None
    assert topic.name == "crypto.alerts"
    assert found.topic(TopicKind.TICKERS) is None
    with pytest.raises(KeyError):
        found.workload("sink-nowhere")
