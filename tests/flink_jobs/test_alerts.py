"""Each alert that is watched is a rule of the functions, or has SQL that a plugin brings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from marketpipeline.alert_kinds import AlertKind, watched_alerts
from marketpipeline.errors import PermanentError
from marketpipeline_job.alerts import alerts, script_of
from marketpipeline_job.sql import Script

from tests.conftest import PROJECT
from tests.flink_jobs.examples import job_settings

KIND = next(iter(watched_alerts().values()))
RULES = PROJECT / "flink-jobs" / "java" / "src" / "main"


@pytest.mark.parametrize("kind", watched_alerts().values(), ids=lambda kind: kind.name)
def test_an_alert_is_a_rule_of_the_functions(kind: AlertKind) -> None:
    sources = "\n".join(path.read_text() for path in RULES.rglob("*.java"))
    assert f' = "{kind.name}";' in sources
    for threshold in kind.thresholds:
        assert f'"{threshold.name}"' in sources


def test_without_a_plugin_there_is_no_sql() -> None:
    assert alerts(job_settings()) == Script()


@pytest.mark.parametrize("sql", ["absent:script", "no_such:script", "json:no_such"])
def test_sql_that_is_not_installed_is_named(sql: str) -> None:
    with pytest.raises(PermanentError, match=f"alert absent: its SQL, {sql}, does not load"):
        script_of(replace(KIND, name="absent", sql=sql))
