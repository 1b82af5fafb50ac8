"""Alerts of a pipeline: they fire when nothing is left to ask, and not where nothing is to run."""

from __future__ import annotations

from dataclasses import replace

from marketpipeline_operator.builders import Capabilities, build

from tests.conftest import PROJECT
from tests.operator.builders.support import context_of

PROMETHEUS = Capabilities(prometheus=True)


def test_an_alert_on_a_sum_fires_also_without_any_series() -> None:
    rule = next(
        thing for thing in build(replace(context_of(), capabilities=PROMETHEUS)) if thing["kind"] == "PrometheusRule"
    )
    rules = [each for each in rule["spec"]["groups"][0]["rules"] if "alert" in each]
    sums = [each["expr"] for each in rules if each["expr"].lstrip("(").startswith("sum")]
    assert sums
    for expression in sums:
        inner, _, comparison = expression.rpartition(")")
        assert inner.endswith(" or vector(0)"), expression
        assert comparison == " == 0", expression


def test_every_alert_has_its_runbook() -> None:
    rule = next(
        thing for thing in build(replace(context_of(), capabilities=PROMETHEUS)) if thing["kind"] == "PrometheusRule"
    )
    for each in (each for each in rule["spec"]["groups"][0]["rules"] if "alert" in each):
        name = each["annotations"]["runbook_url"].rpartition("/")[2]
        assert (PROJECT / "docs" / "runbooks" / name).is_file()


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
