"""The path of a test mirrors the path of what it tests: `a/b.py` has `a/test_b.py`, or is named here.

A module is named where a test of its own would repeat another's or could not exist. Whole folders are named only
where one suite runs over whatever is in them; elsewhere a new module needs its test, or its name here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import PROJECT

PACKAGES = {
    "services/marketpipeline": "tests/services",
    "operator/marketpipeline_operator": "tests/operator",
    "flink-jobs/marketpipeline_job": "tests/flink_jobs",
}


@dataclass(frozen=True)
class Covered:
    """Modules of a folder, by name or `*`, that are tested by what is below `tests`, and why there."""

    folder: str
    names: str
    test: str
    reason: str

    def holds(self, module: str) -> bool:
        """Whether it is about this module."""
        folder, _, file = module.rpartition("/")
        return folder == self.folder and (self.names == "*" or file.removesuffix(".py") in self.names.split())


DEFINITION = "definitions: what uses them tests them"
PROCESS = "only the whole process shows what it does"
GOLDEN = "pure, and compared as a whole with golden files"
SHARED = "one suite runs over all that is there"
CLUSTER = "only a real API server shows what it does"

SRC, OPR, JOB = PACKAGES
SIM = f"{SRC}/simulator"
COVERED = (
    Covered(SRC, "__main__", "services/cli/test_main.py", PROCESS),
    Covered(SRC, "console", "services/cli/test_main.py", PROCESS),
    Covered(SRC, "records topics", "services/test_record_kinds.py", DEFINITION),
    Covered(SRC, "sharding", "services/ingestion/test_assignment.py", SHARED),
    Covered(f"{SRC}/alert_kinds", "*", "services/alert_kinds/test_alert_kinds.py", SHARED),
    Covered(f"{SRC}/sink_kinds", "*", "services/sink_kinds/test_sink_kinds.py", SHARED),
    Covered(f"{SRC}/schema", "resource scaling settings", "services/spec/test_load.py", DEFINITION),
    Covered(f"{SRC}/settings", "*", "services/plan/test_plan.py", DEFINITION),
    Covered(f"{SRC}/setup", "places", "repository/test_wheel.py", PROCESS),
    Covered(f"{SRC}/spec", "*", "services/spec/test_load.py", DEFINITION),
    Covered(f"{SRC}/plan", "*", "services/plan/test_plan.py", GOLDEN),
    Covered(f"{SRC}/api", "models parameters", "services/api/routes/test_analytics.py", DEFINITION),
    Covered(f"{SRC}/api", "measuring problems", "services/api/test_app.py", PROCESS),
    Covered(f"{SRC}/api", "books", "services/api/routes/test_v3.py", PROCESS),
    Covered(f"{SRC}/api/stream", "feed newest tail", "services/api/routes/test_stream.py", PROCESS),
    Covered(f"{SRC}/dashboard", "page serving", "services/dashboard/test_main.py", PROCESS),
    Covered(f"{SRC}/dashboard", "client", "services/dashboard/test_desk.py", PROCESS),
    Covered(f"{SRC}/dashboard/views", "*", "services/dashboard/test_main.py", PROCESS),
    Covered(f"{SRC}/local", "change selecting", "services/cli/test_apply.py", PROCESS),
    Covered(f"{SRC}/cli", "components", "repository/test_extras.py", PROCESS),
    Covered(f"{SRC}/cli", "parameters", "services/cli/test_run.py", DEFINITION),
    Covered(f"{SRC}/readers", "*", "services/readers/test_contract.py", SHARED),
    Covered(f"{SRC}/ingestion", "context engine main reporting rest", "services/ingestion/test_service.py", PROCESS),
    Covered(f"{SRC}/ingestion", "status", "services/ingestion/test_delivered.py", PROCESS),
    Covered(f"{SRC}/venues", "adapter messages", "services/venues/binance/test_adapter.py", DEFINITION),
    Covered(f"{SRC}/venues/okx", "convert wire", "services/venues/okx/test_mapper.py", DEFINITION),
    Covered(f"{SRC}/venues/binance", "convert wire", "services/venues/binance/test_mapper.py", DEFINITION),
    Covered(f"{SRC}/lake", "asking", "services/readers/test_lake.py", PROCESS),
    Covered(f"{SRC}/lake", "delta", "services/sinks/lake/test_sink.py", PROCESS),
    Covered(f"{SRC}/sinks/tiers", "main warm", "services/sinks/tiers/test_moving.py", PROCESS),
    Covered(f"{SRC}/store", "digest", "services/sinks/tiers/test_moving.py", PROCESS),
    Covered(f"{SRC}/sinks", "base", "services/sinks/test_contract.py", DEFINITION),
    Covered(f"{SRC}/sinks", "source", "services/sinks/test_runner.py", PROCESS),
    Covered(f"{SRC}/sinks/notify", "channel messages", "services/sinks/notify/test_sink.py", PROCESS),
    Covered(f"{SRC}/sinks/timescale", "connection extension writer", "services/sinks/timescale/test_sink.py", PROCESS),
    Covered(f"{SRC}/store", "postgres redis", "services/store/test_tls.py", PROCESS),
    Covered(f"{SRC}/sinks/snowflake", "connection", "services/sinks/snowflake/test_sink.py", PROCESS),
    Covered(f"{SRC}/sinks/snowflake", "schema", "services/sinks/snowflake/test_statements.py", GOLDEN),
    Covered(f"{SRC}/store", "snowflake", "services/sinks/snowflake/test_held.py", DEFINITION),
    Covered(f"{SRC}/local/servers", "snowflake", "services/sinks/snowflake/test_sink.py", PROCESS),
    Covered(f"{SRC}/local/components", "snowflake", "services/sinks/snowflake/test_sink.py", PROCESS),
    Covered(f"{SRC}/sinks/lake", "topic_ids writer", "services/sinks/lake/test_sink.py", PROCESS),
    Covered(f"{SRC}/local", "component managed_process", "services/local/test_supervisor.py", PROCESS),
    Covered(f"{SRC}/local", "stored", "services/local/test_main.py", PROCESS),
    Covered(
        f"{SRC}/local/components", "clickhouse postgres valkey", "services/local/components/test_stores.py", SHARED
    ),
    Covered(f"{SRC}/local/components", "seaweed", "services/sinks/test_contract.py", PROCESS),
    Covered(f"{SRC}/local/view", "base screen screenshot", "services/local/view/test_render.py", GOLDEN),
    Covered(SIM, "candles", "services/simulator/test_derived.py", DEFINITION),
    Covered(SIM, "events", "services/simulator/test_market_state.py", DEFINITION),
    Covered(SIM, "frames", "services/simulator/test_connections.py", DEFINITION),
    Covered(SIM, "control", "services/simulator/test_server.py", PROCESS),
    Covered(SIM, "timeline", "services/simulator/test_main.py", PROCESS),
    Covered(f"{SIM}/protocols/okx", "instruments", "services/simulator/protocols/okx/test_encode.py", DEFINITION),
    Covered(f"{SIM}/protocols/binance", "messages", "services/simulator/protocols/binance/test_wire.py", DEFINITION),
    Covered(f"{SIM}/protocols/binance", "requests", "services/simulator/protocols/binance/test_rest.py", DEFINITION),
    Covered(f"{SIM}/recording", "main", "services/simulator/recording/test_recorder.py", PROCESS),
    Covered(f"{SIM}/simulation", "flow", "services/simulator/simulation/test_scenarios.py", PROCESS),
    Covered(OPR, "__main__ application handlers main metrics settings", "operator/test_process_api.py", CLUSTER),
    Covered(OPR, "install", "operator/crd/test_definition.py", GOLDEN),
    Covered(OPR, "pages", "repository/test_site.py", GOLDEN),
    Covered(OPR, "names", "operator/builders/test_build.py", GOLDEN),
    Covered(OPR, "packed", "operator/reconcile/test_working_state.py", SHARED),
    Covered(f"{OPR}/builders", "*", "operator/builders/test_build.py", GOLDEN),
    Covered(f"{OPR}/observe", "selection", "operator/test_selection_api.py", CLUSTER),
    Covered(f"{OPR}/chart", "files model values writing", "helm/marketpipeline_operator/test_objects.py", GOLDEN),
    Covered(f"{OPR}/chart", "stack_files stack_values", "helm/market_stack/test_objects.py", GOLDEN),
    Covered(f"{OPR}/cluster", "client discovery events kinds", "operator/test_rights_api.py", CLUSTER),
    Covered(f"{OPR}/crd", "*", "operator/crd/test_definition.py", GOLDEN),
    Covered(f"{OPR}/dashboards", "*", "operator/dashboards/test_panels.py", GOLDEN),
    Covered(f"{SRC}/sinks/backup", "offsets place tables", "services/sinks/backup/test_main.py", PROCESS),
    Covered(f"{OPR}/flink", "schedule", "operator/flink/test_kept_savepoints.py", SHARED),
    Covered(f"{OPR}/flink", "health lifecycle rest savepoint", "operator/flink/test_standalone.py", PROCESS),
    Covered(f"{OPR}/observe", "secrets topics", "operator/test_process_api.py", CLUSTER),
    Covered(f"{OPR}/plugin", "access show", "operator/plugin/test_commands.py", CLUSTER),
    Covered(f"{OPR}/reconcile", "children", "operator/test_drift_api.py", CLUSTER),
    Covered(f"{OPR}/reconcile", "deletion reconciler", "operator/test_lifecycle_api.py", CLUSTER),
    Covered(JOB, "__main__", "flink_jobs/test_main.py", PROCESS),
    Covered(JOB, "book trades functions deadletters", "flink_jobs/test_tables.py", GOLDEN),
    Covered(JOB, "patterns", "flink_jobs/test_rules.py", GOLDEN),
    Covered(f"{JOB}/alerts", "*", "flink_jobs/test_alerts.py", SHARED),
    Covered(f"{JOB}/runtime", "broker", "flink_jobs/test_state.py", PROCESS),
    Covered(f"{JOB}/runtime", "files orders", "flink_jobs/runtime/test_state.py", SHARED),
    Covered(f"{JOB}/runtime", "main", "flink_jobs/test_main.py", PROCESS),
    Covered(f"{JOB}/runtime", "broker files", "flink_jobs/test_state.py", PROCESS),
    Covered(f"{JOB}/runtime", "jvm local places rest submit", "flink_jobs/test_running.py", PROCESS),
)


def untested() -> Iterator[tuple[str, str]]:
    """Every module without a test at the mirrored path, and that path; a package's own module needs none.

    A test that needs an API server says so in its name.
    """
    for package, tests in PACKAGES.items():
        for path in sorted((PROJECT / package).rglob("*.py")):
            place = PROJECT / tests / path.relative_to(PROJECT / package)
            names = (f"test_{path.stem}.py", f"test_{path.stem}_api.py")
            if path.name != "__init__.py" and not any(place.with_name(name).is_file() for name in names):
                yield str(path.relative_to(PROJECT)), str(place.with_name(names[0]).relative_to(PROJECT))


def test_every_module_has_its_test_or_is_named() -> None:
    lacking = [f"{module}: {test}" for module, test in untested() if not any(one.holds(module) for one in COVERED)]
    assert not lacking, "put its test there, or say in COVERED what tests it:\n" + "\n".join(lacking)


@pytest.mark.parametrize("one", COVERED, ids=lambda one: f"{one.folder} {one.names}")
def test_what_is_named_is_still_so(one: Covered) -> None:
    """Each name is of a module without a test of its own, and the test that covers it exists."""
    assert (PROJECT / "tests" / one.test).is_file(), f"tests/{one.test} is gone"
    held = {module.rpartition("/")[2].removesuffix(".py") for module, _ in untested() if one.holds(module)}
    assert held, "covers nothing: take it out"
    assert one.names == "*" or held == set(one.names.split()), "take out what is gone or has a test of its own"
