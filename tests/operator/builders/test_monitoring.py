"""Alerts of a pipeline, put to Prometheus' own engine: each fires on what it is for, and on nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from marketpipeline_operator.builders import Capabilities, Context, build
from marketpipeline_operator.builders.alert_rules import RULES

from tests.conftest import PROJECT
from tests.operator.builders.alert_cases import CASES, Case
from tests.operator.builders.support import context_of
from tests.support.prometheus import UnitTest, verdicts

PROMETHEUS = Capabilities(prometheus=True)
LAKE = {"lake": {"url": "s3://market-data/crypto"}}
STATE = {"checkpointDirectory": "file:///state", "checkpointClaim": "state"}


def rule_of(context: Context) -> Any:
    found = build(replace(context, capabilities=PROMETHEUS))
    return next(thing for thing in found if thing["kind"] == "PrometheusRule")


def alerts_of(**spec: Any) -> dict[str, Any]:
    group = rule_of(context_of(**spec))["spec"]["groups"][0]
    return {rule["alert"]: rule for rule in group["rules"] if "alert" in rule}


def looks_of(name: str, case: Case) -> list[UnitTest]:
    looks = [*((series, True) for series in case.fires), *((series, False) for series in case.silent)]
    return [UnitTest(name, {selected(each): s[each] for each in s}, fires) for s, fires in looks]


def selected(series: str) -> str:
    """With the labels by which a series is of the pipeline."""
    head, _, labels = series.partition("{")
    own = (
        'pipeline_namespace="markets", pipeline="crypto"'
        if head.startswith("marketpipeline_operator_")
        else 'namespace="markets"'
        if head.startswith("kubelet_")
        else 'namespace="markets", marketpipeline_dev_pipeline="crypto"'
    )
    return f"{head}{{{', '.join(filter(None, (own, labels.rstrip('}'))))}}}"


def test_each_alert_fires_on_what_it_is_for_and_on_nothing_else(tmp_path: Path) -> None:
    assert set(CASES) == {rule.name for rule in RULES}
    tests = [test for name, case in CASES.items() for test in looks_of(name, case)]
    assert verdicts(tmp_path, rule_of(context_of(processing=STATE, sinks=LAKE))["spec"], tests) == ""


def test_the_cases_can_fail(tmp_path: Path) -> None:
    wrong = Case(fires=CASES["MarketPipelineGap"].silent, silent=CASES["MarketPipelineGap"].fires)
    said = verdicts(tmp_path, rule_of(context_of())["spec"], looks_of("MarketPipelineGap", wrong))
    assert said.count("FAILED") == 1
    assert "MarketPipelineGap" in said


def test_an_alert_is_only_there_for_what_the_pipeline_has() -> None:
    whole, small = alerts_of(processing=STATE, sinks=LAKE), alerts_of(feeds=["quotes"], api={"enabled": False})
    assert set(whole) == {rule.name for rule in RULES}
    job = {"MarketPipelineJobDown", "MarketPipelineCheckpointOld", "MarketPipelineTradesLate"}
    assert not set(small) & {*job, "MarketPipelineApiFails", "MarketPipelineVolumeFilling"}
    assert not {"MarketPipelineVolumeFilling", "MarketPipelineTierNotArchived"} & set(alerts_of())


def test_a_slow_checkpoint_is_not_an_old_one() -> None:
    alert = alerts_of(processing=STATE | {"checkpointInterval": "10m"})["MarketPipelineCheckpointOld"]
    assert alert["expr"].endswith("<= 6000")


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    pages = {page.stem for page in (PROJECT / "docs" / "runbooks").glob("*.md")}
    assert {page for page in pages if "Operator" not in page} == {rule.name for rule in RULES}
    for name, alert in alerts_of(processing=STATE, sinks=LAKE).items():
        assert alert["annotations"]["runbook_url"].endswith(f"/{name}.md")
        assert alert["annotations"]["summary"] in (PROJECT / "docs" / "runbooks" / f"{name}.md").read_text()


def test_a_suspended_pipeline_has_no_alerts() -> None:
    kinds = {thing["kind"] for thing in build(replace(context_of(suspend=True), capabilities=PROMETHEUS))}
    assert "ServiceMonitor" in kinds
    assert "PrometheusRule" not in kinds


def test_every_pod_has_the_port_that_is_scraped() -> None:
    """Also the ones that Flink's operator makes from our template."""
    for capabilities in (Capabilities(), Capabilities(flink=True)):
        for thing in build(replace(context_of(processing={"mode": "auto"}), capabilities=capabilities)):
            if thing["kind"] in ("Deployment", "FlinkDeployment"):
                template = thing["spec"]["template" if thing["kind"] == "Deployment" else "podTemplate"]
                ports = template["spec"]["containers"][0]["ports"]
                assert "http" in [port["name"] for port in ports], thing["metadata"]["name"]
