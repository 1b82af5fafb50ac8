"""Each alert that is watched has its SQL, found by its name."""

from __future__ import annotations

import pkgutil
from dataclasses import replace

import pytest
from marketpipeline.alert_kinds import AlertKind, watched_alerts
from marketpipeline.errors import PermanentError
from marketpipeline_job import alerts as package
from marketpipeline_job.alerts import alerts, script_of

from tests.flink_jobs.examples import job_settings

KIND = next(iter(watched_alerts().values()))


@pytest.mark.parametrize("kind", watched_alerts().values(), ids=lambda kind: kind.name)
def test_the_script_raises_the_alert(kind: AlertKind) -> None:
    inserts = script_of(kind)(job_settings()).inserts
    assert any(f"'{kind.name}'" in insert and "INSERT INTO alerts" in insert for insert in inserts)


def test_every_module_is_an_alerts_own() -> None:
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert modules == {"row", *watched_alerts()}


def test_only_alerts_whose_feed_there_is() -> None:
    for feed in ("book", "trades"):
        made = "\n".join(alerts(job_settings(feeds=[feed])).inserts)
        assert {name for name in watched_alerts() if f"'{name}'" in made} == {
            kind.name for kind in watched_alerts().values() if kind.feed == feed
        }


@pytest.mark.parametrize(
    ("sql", "says"),
    [(None, "alerts.absent:script"), ("no_such:script", "no_such:script"), ("json:no_such", "json:no_such")],
)
def test_sql_that_is_not_installed_is_named(sql: str | None, says: str) -> None:
    with pytest.raises(PermanentError, match=f"alert absent: its SQL, [a-z_.]*{says}, does not load"):
        script_of(replace(KIND, name="absent", sql=sql))
